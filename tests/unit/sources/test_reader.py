"""Reading a frame copies nothing and imports no library."""

from __future__ import annotations

import decimal
import subprocess
import sys
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions

D = decimal.Decimal


def _ranges(batches: Any) -> list[tuple[int, int]]:
    """Memory addresses of the values of these batches, without the validity bitmaps."""
    return [
        (buffer.address, buffer.address + buffer.size)
        for batch in batches
        for column in batch.columns
        for buffer in filter(None, column.buffers()[1:])
    ]


@pytest.mark.parametrize("kind", ["table", "pandas"])
def test_arrow_is_never_copied(kind: str) -> None:
    """The batches are slices of the frame's own memory."""
    rows = 300_000
    table = pa.table(
        {
            "T": pa.array([f"a text of more than twelve characters {n}" for n in range(rows)]),
            "D": pa.array(["a", "b", None] * (rows // 3)).dictionary_encode(),
            "N": pa.array(range(rows), pa.int64()),
            "F": pa.array(range(rows), pa.float64()),
            "W": pa.array(range(rows), pa.timestamp("us")),
        }
    )
    if kind == "table":
        frame, own = table, _ranges(table.to_batches())
    else:
        frame = table.select(["T"]).to_pandas(types_mapper=pd.ArrowDtype)
        own = _ranges([table.select(["T"]).combine_chunks().to_batches()[0]])
    prepared = prepare(frame, "T", PushOptions())
    written = [prepared.layout.convert(batch) for batch in prepared.source.batches()]
    assert len(written) > 1
    assert sum(batch.num_rows for batch in written) == rows
    for begin, end in _ranges(written):
        assert any(first <= begin and end <= last for first, last in own)


def test_a_frame_of_one_library_does_not_import_the_other() -> None:
    """An import takes longer than a small push."""
    code = (
        "import sys, polars, celonis_frames\n"
        "from celonis_frames._options.push_options import PushOptions\n"
        "from celonis_frames._frames.preparation import prepare\n"
        "texts = {'A': ['x', None], 'B': ['a text of more than twelve characters', None]}\n"
        "frame = polars.DataFrame(texts | {'N': [1, 2], 'F': [0.5, 1]})\n"
        "for one in (frame, frame.lazy()):\n"
        "    prepared = prepare(one, 'T', PushOptions())\n"
        "    prepared.begin()\n"
        "    [chunk.release() for chunk in prepared.chunks()]\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SHARED = """
import sys, threading
import polars as pl
from celonis_frames._sources.reader import read

frame = pl.DataFrame({"A": range(10), "B": ["x"] * 10})
sys.setswitchinterval(1e-6)
threads = [
    threading.Thread(target=lambda: [list(read(frame).batches()) for _ in range(100)], daemon=True)
    for _ in range(4)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_read_one_polars_frame_do_not_block_each_other() -> None:
    """Some versions of polars lock a frame while it is exported; in a process that may hang."""
    subprocess.run([sys.executable, "-c", SHARED], check=True, timeout=120)
