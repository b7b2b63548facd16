"""The notebook on Spark runs as it stands there, in the environment that has Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_spark.ipynb"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells, and what they print is what their text says."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    text = "".join(map(_printed, notebook.cells))
    assert "200000 rows, 4 partitions" in text
    assert "Key column 'EVENT_ID' has 1 null" in text
    assert '"state": "DONE"' in text


def _printed(cell: Any) -> str:
    outputs = cell.get("outputs", [])
    return "".join(one.get("text", "") for one in outputs if one.output_type == "stream")
