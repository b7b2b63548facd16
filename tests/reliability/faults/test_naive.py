"""The harness can fail: the usual way of retrying writes rows twice, and the judge says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cells
import naive
import pytest
import rules

UPLOADS = [c for c in cells.cells() if c.call == "upload" and not c.staging and c.workers == 1]


@pytest.mark.parametrize("cell", [c for c in UPLOADS if not c.always], ids=str)
def test_blind_retries_write_rows_twice(cell: cells.Cell, faulty: Any, tmp_path: Path) -> None:
    """Whenever a chunk was stored and that was not said, its rows are there twice."""
    observed = cells.run(cell, faulty, tmp_path, naive.push)
    twice = [sentence for sentence in observed.wrong if "twice" in sentence]
    # Half a JSON text, a web page of 200 and an answer that drips are success to this client.
    heard = cell.hazard.name in ("json", "html-done", "drip")
    assert bool(twice) == (cell.hazard.arrives and not heard), observed


def test_without_faults_the_usual_way_is_right(faulty: Any) -> None:
    """The naive client is no straw man: without a fault it pushes every row once."""
    client = naive.Naive(faulty.url, faulty.token, "Calm", 20.0)
    client.push(cells.frame(), "T", rules.CHUNKS)
    client.close()
    assert faulty.table("Calm", "T").sort_by("ROW") == cells.frame()


def test_a_page_for_an_upload_loses_rows_in_silence(faulty: Any, tmp_path: Path) -> None:
    """A login page with status 200 is success to the naive client: its rows are lost."""
    cell = next(c for c in UPLOADS if c.hazard.name == "html" and not c.always)
    observed = cells.run(cell, faulty, tmp_path, naive.push)
    assert any("lost" in sentence for sentence in observed.wrong), observed
