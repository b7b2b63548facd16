"""Loads and data jobs under every fault: the outcome is as documented.

The whole matrix is ``python tests/reliability/faults/runs.py``, which takes minutes. The normal run
takes a part of it.
"""

from __future__ import annotations

from typing import Any

import pytest
import reliability_page
import run_cells
import runs

SAMPLE = run_cells.sample()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=str(cell), marks=[] if cell in SAMPLE else pytest.mark.slow)
        for cell in run_cells.cells()
    ],
)
def test_the_outcome_is_as_documented(cell: run_cells.Cell, faulty: Any) -> None:
    """Success means that ours ran; a data job never runs twice; what is in doubt is said."""
    observed = run_cells.run(cell, faulty)
    assert run_cells.problems(cell, observed) == [], observed


def test_the_published_table_follows_the_promises() -> None:
    """Every entry of the table in docs/reliability.md is an outcome that the cells allow."""
    lines = reliability_page.part("runs").splitlines()[2:]
    assert len(lines) == len(run_cells.RUN_HAZARDS)
    every = list(run_cells.cells())
    for line, hazard in zip(lines, run_cells.RUN_HAZARDS, strict=True):
        title, *entries = (cell.strip() for cell in line.strip("|").split(" | "))
        assert title == hazard.title
        for (kind, place), entry in zip(runs.COLUMNS, entries, strict=True):
            once, _, always = entry.partition(" / ")
            for seen, often in ((once, False), (always or once, True)):
                allowed = {
                    runs.entry(end)
                    for cell in every
                    if (cell.hazard, cell.kind, cell.place, cell.always)
                    == (hazard, kind, place, often)
                    for end in cell.ends
                }
                assert set(seen.split(" or ")) <= (allowed or {"–"}), (hazard.title, place, seen)
