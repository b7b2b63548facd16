"""The check can fail: it detects that blind retries write rows twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import expected_outcomes
import matrix_cells
import naive_client
import pytest

UPLOADS = [
    c for c in matrix_cells.cells() if c.call == "upload" and not c.staging and c.workers == 1
]


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    "cell",
    [c for c in UPLOADS if not c.always and c.hazard.name not in matrix_cells.ALIKE],
    ids=str,
)
def test_blind_retries_write_rows_twice(
    cell: matrix_cells.Cell, faulty: Any, tmp_path: Path
) -> None:
    """A stored chunk whose response was lost is stored twice."""
    observed = matrix_cells.run(cell, faulty, tmp_path, naive_client.push)
    twice = [sentence for sentence in observed.wrong if "twice" in sentence]
    # Half a JSON text, a web page of 200 and an answer that drips are success to this client; an
    # informational response is one it cannot read.
    heard = cell.hazard.name in ("json", "html-done", "drip", "102")
    again = cell.hazard.arrives or cell.hazard.name.startswith("twice-lost")
    assert bool(twice) == (again and not heard), observed


def test_without_faults_the_naive_client_is_correct(faulty: Any) -> None:
    """Without faults the naive client pushes every row once."""
    client = naive_client.NaiveClient(faulty.url, faulty.token, "Calm", 20.0)
    client.push(matrix_cells.frame(), "T", expected_outcomes.CHUNKS)
    client.close()
    assert faulty.table("Calm", "T").sort_by("ROW") == matrix_cells.frame()


def test_a_login_page_as_response_loses_rows(faulty: Any, tmp_path: Path) -> None:
    """The naive client takes a login page with status 200 for success: rows are lost."""
    cell = next(c for c in UPLOADS if c.hazard.name == "html" and not c.always)
    observed = matrix_cells.run(cell, faulty, tmp_path, naive_client.push)
    assert any("lost" in sentence for sentence in observed.wrong), observed
