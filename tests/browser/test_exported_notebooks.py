"""A notebook, executed by a real kernel and exported: legible, and without stale lines."""

from __future__ import annotations

import textwrap
from pathlib import Path

import nbclient
import nbformat
import pytest
from chromium import LEAST, SCHEMES, texts
from nbconvert import HTMLExporter

CELLS = (
    """
    import polars as pl
    import celonis_frames
    from celonis_frames import local
    celonis = local.start(limits=False)
    connection = celonis.connect()
    celonis.faults.delay("upload", 0.5)
    celonis.faults.slow_jobs(running=2.0)
    frame = pl.DataFrame({"K": range(20_000), "V": [f"text {i}" for i in range(20_000)]})
    """,
    """
    connection.push(frame, "P", "EVENTS", keys="K", upload={"chunk_bytes": 30_000})
    """,
    """
    connection.push_many(
        {"A": frame, "B": frame, "C": frame}, "P", upload={"chunk_bytes": 30_000}
    )["A"]
    """,
    """
    print(connection.plan(frame, "P", "EVENTS").rows)
    connection.close()
    celonis.close()
    """,
)


@pytest.fixture(scope="module")
def executed() -> tuple[nbformat.NotebookNode, list[str]]:
    """The executed notebook, and the ids of the outputs that were updated while it ran."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in CELLS]
    )
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    updated: list[str] = []
    handle = client.process_message

    def process(msg: dict[str, object], cell: object, cell_index: int) -> object:
        if msg["msg_type"] == "update_display_data":
            updated.append(msg["content"]["transient"]["display_id"])  # type: ignore[index]
        return handle(msg, cell, cell_index)

    client.process_message = process
    client.execute()
    return notebook, updated


def test_a_push_has_one_bar_which_leaves_nothing(
    executed: tuple[nbformat.NotebookNode, list[str]],
) -> None:
    """While a push runs its output is updated; the notebook keeps the status and an empty output.

    Several tables have one bar each while they are sent, and one together while their jobs run.
    Nothing is written to stdout or stderr.
    """
    notebook, updated = executed
    _, one, several, last = (cell.outputs for cell in notebook.cells)
    for outputs, bars in ((one, 1), (several, 4)):
        assert [out.output_type for out in outputs] == ["display_data"] * bars + ["execute_result"]
        for out in outputs[:-1]:
            assert dict(out.data) == {"text/html": "", "text/plain": ""}
        assert "celonis-frames good" in outputs[-1].data["text/html"]
    assert [out.output_type for out in last] == ["stream"]
    assert len(set(updated)) == 5
    assert len(updated) > 2 * 5, "they move while the job runs"


@pytest.mark.parametrize("theme", SCHEMES)
def test_an_exported_notebook_is_legible(
    executed: tuple[nbformat.NotebookNode, list[str]], theme: str, tmp_path: Path
) -> None:
    """In both themes of the export, whatever the reader prefers."""
    page = tmp_path / "page.html"
    body, _ = HTMLExporter(theme=theme).from_notebook_node(executed[0])
    page.write_text(body, "utf-8")
    for scheme in SCHEMES:
        found = texts(page, scheme=scheme, scope=".celonis-frames")
        assert len(found) > 20
        assert [one for one in found if one.contrast < LEAST] == []
