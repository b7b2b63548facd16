"""Every call under every fault: what the documentation promises is what happens.

The whole matrix takes minutes:
``pytest -m "slow or not slow" tests/reliability/faults/test_matrix.py``. The normal run takes
a part of it (`cells.sample`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cells
import matrix
import page
import pytest
import rules

SAMPLE = cells.sample()


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(c, id=str(c), marks=[] if c in SAMPLE else pytest.mark.slow)
        for c in cells.cells()
    ],
)
def test_a_push_keeps_its_promise(cell: cells.Cell, faulty: Any, tmp_path: Path) -> None:
    """The outcome is the documented one; no row is lost or there twice, no job left open."""
    observed = cells.run(cell, faulty, tmp_path)
    assert observed.wrong == (), observed
    assert observed.outcome in cell.allowed, observed
    if not observed.outcome.error:
        assert observed.chunks is not None
        assert observed.chunks >= rules.CHUNKS


def test_the_page_has_the_promises() -> None:
    """docs/reliability.md lists the rules as they are."""
    assert page.part("promises") == matrix.promises(), "run tests/reliability/faults/matrix.py"


def test_the_published_table_is_what_is_promised() -> None:
    """Every entry of the table in docs/reliability.md is an outcome that the rules allow."""
    lines = page.part("matrix").splitlines()[2:]
    assert len(lines) == len(rules.HAZARDS)
    for line, hazard in zip(lines, rules.HAZARDS, strict=True):
        title, *entries = (cell.strip() for cell in line.strip("|").split(" | "))
        assert title == hazard.title
        for call, entry in zip(rules.CALLS, entries, strict=True):
            if call not in hazard.calls:
                assert entry == "–"
                continue
            once, _, always = entry.partition(" / ")
            for seen, often in ((once, False), (always or once, True)):
                found = rules.rule(call, hazard, often).outcomes(call, hazard)
                assert set(seen.split(" or ")) <= set(map(str, found)), (call, hazard.title, seen)
