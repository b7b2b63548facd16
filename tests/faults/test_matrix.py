"""Every call under every fault: what the documentation promises is what happens.

The whole matrix takes minutes: ``pytest -m "slow or not slow" tests/faults/test_matrix.py``. The
normal run takes a quarter of it, each pair of call and fault in one of the four ways of pushing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cells
import pytest

SAMPLE = cells.sample()


@pytest.mark.usefixtures("fast_waits")
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
        assert observed.chunks >= cells.CHUNKS
