"""Every call under every fault: the outcome is as documented.

The whole matrix takes minutes:
``pytest -m "slow or not slow" tests/reliability/faults/test_matrix.py``. The normal run takes
a part of it (`matrix_cells.sample`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import expected_outcomes
import matrix
import matrix_cells
import pytest
import reliability_page

SAMPLE = matrix_cells.sample()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(c, id=str(c), marks=[] if c in SAMPLE else pytest.mark.slow)
        for c in matrix_cells.cells()
    ],
)
def test_the_outcome_is_as_documented(cell: matrix_cells.Cell, faulty: Any, tmp_path: Path) -> None:
    """The outcome is the documented one; no row is lost or duplicated, no job stays open."""
    observed = matrix_cells.run(cell, faulty, tmp_path)
    assert observed.wrong == (), observed
    assert observed.outcome in cell.allowed, observed
    if not observed.outcome.error:
        assert observed.chunks is not None
        assert observed.chunks >= expected_outcomes.CHUNKS


def test_the_page_lists_all_rules() -> None:
    """docs/reliability.md lists the current rules."""
    assert reliability_page.part("promises") == matrix.promises(), (
        "run tests/reliability/faults/matrix.py"
    )


def test_the_published_table_follows_the_rules() -> None:
    """Every entry of the table in docs/reliability.md is an outcome that the rules allow."""
    lines = reliability_page.part("matrix").splitlines()[2:]
    assert len(lines) == len(expected_outcomes.HAZARDS)
    for line, hazard in zip(lines, expected_outcomes.HAZARDS, strict=True):
        title, *entries = (cell.strip() for cell in line.strip("|").split(" | "))
        assert title == hazard.title
        for call, entry in zip(expected_outcomes.CALLS, entries, strict=True):
            if call not in hazard.calls:
                assert entry == "–"
                continue
            once, _, always = entry.partition(" / ")
            for seen, often in ((once, False), (always or once, True))[: len(hazard.often)]:
                found = expected_outcomes.rule(call, hazard, often).outcomes(call, hazard)
                assert set(seen.split(" or ")) <= set(map(str, found)), (call, hazard.title, seen)
