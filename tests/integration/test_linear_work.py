"""The work of a push grows linearly with its rows, columns, frames and files.

Shown by counting the calls of the functions that handle data, Arrow's kernels among them, and the
bytes of batches: neither depends on how busy the machine is.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import celonis_frames as cf
from celonis_frames._arrow.batching import COLUMN_BYTES, SLICE_BYTES, batch_bytes
from celonis_frames._event_log.cases import CaseTable
from celonis_frames._sources.reader import read

_DATA_PACKAGES = ("_arrow", "_sources", "_schema", "_validation", "_encoding", "_event_log")
_COUNTED = (
    str(Path(pa.__file__).parent),
    str(Path(pl.__file__).parent),
    *(str(Path(cf.__file__).parent / name) for name in _DATA_PACKAGES),
)


@contextmanager
def _counted_calls() -> Iterator[list[int]]:
    """Counts the calls of functions that handle data, in this thread and in those it starts."""
    counts: dict[int, int] = {}
    total = [0]

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_COUNTED):
            thread = threading.get_ident()
            counts[thread] = counts.get(thread, 0) + 1

    before = sys.getprofile()
    threading.setprofile(count)
    sys.setprofile(count)
    try:
        yield total
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
        total[0] = sum(counts.values())


def _table(rows: int, columns: int) -> Any:
    numbers = pa.array(range(rows), pa.int64())
    return pa.table([numbers] * columns, names=[f"C{n}" for n in range(columns)])


def _files(table: Any, folder: Path, files: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.parquet" for number in range(files)]
    for path in paths:
        pq.write_table(table, path)
    return paths


KINDS: dict[str, Callable[[Any, Path], Any]] = {
    "table": lambda table, _: table,
    "stream": lambda table, _: table.to_reader(1_000),
    "pandas": lambda table, _: table.to_pandas(),
    "objects": lambda table, _: table.to_pandas().astype({"C0": object}),
    "polars": lambda table, _: pl.from_arrow(table),
    "lazy": lambda table, _: pl.from_arrow(table).lazy(),  # type: ignore[union-attr]
    "files": lambda table, folder: _files(table, folder, 1),
    "dataset": lambda table, folder: ds.dataset(_files(table, folder, 1)),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_many_columns_are_not_shorter(kind: str, tmp_path: Path) -> None:
    """Four times as many columns give batches of four times the bytes, not four times as many.

    Otherwise the number of arrays, and of the kernels called, grows with the square of the columns.
    """
    found = {}
    for columns in (500, 2_000):
        source = read(KINDS[kind](_table(4_000, columns), tmp_path / f"{columns}"))
        batches = list(source.batches())
        assert sum(batch.num_rows for batch in batches) == 4_000
        most = max(SLICE_BYTES, COLUMN_BYTES * columns)
        assert max(batch_bytes(batch) for batch in batches) <= 2.2 * most
        found[columns] = len(batches)
    assert found[2_000] <= found[500] + 3


GROWTH: dict[str, Callable[[int, Path], Any]] = {
    "rows": lambda size, _: _table(300_000 * size, 3),
    "rows of a query": lambda size, _: pl.from_arrow(_table(300_000 * size, 3)).lazy(),  # type: ignore[union-attr]
    "rows of objects": lambda size, _: pd.DataFrame(
        {"A": ["x", "y"] * 100_000 * size}, dtype=object
    ),
    "columns": lambda size, _: _table(500, 250 * size),
    "columns of text": lambda size, _: pl.from_arrow(_table(500, 250 * size)).cast(pl.String),  # type: ignore[union-attr]
    "columns of a query": lambda size, _: pl.from_arrow(_table(500, 250 * size)).lazy(),  # type: ignore[union-attr]
    "frames": lambda size, _: iter([_table(5_000, 5)] * (30 * size)),
    "frames in another order": lambda size, _: iter(
        [_table(5_000, 5), _table(5_000, 5).select(["C4", "C3", "C2", "C1", "C0"])] * (15 * size)
    ),
    "files": lambda size, folder: _files(_table(5_000, 5), folder, 20 * size),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("kind", GROWTH)
def test_a_frame_four_times_as_large_takes_four_times_the_work(
    kind: str, tmp_path: Path, connection: cf.Celonis
) -> None:
    """Of a push, from the frame to the chunks.

    What grows with the square would take 16 times the work. What is done once per push lowers the
    ratio, one more batch or chunk raises it.
    """
    calls = {}
    for size in (1, 4):
        frame = GROWTH[kind](size, tmp_path / str(size))
        with _counted_calls() as total:
            connection.push(frame, "P", f"{size} times {kind}", progress=False)
        calls[size] = total[0]
    assert 50 < calls[1] < calls[4] <= 6 * calls[1], calls


def _event_log(rows: int, cases: int) -> Any:
    """A log of cases whose events lie apart from each other, with a time for each row."""
    number = pl.col("N")
    return pl.DataFrame({"N": range(rows)}).select(
        (number * 7_919 % cases).cast(pl.String).alias("C"),
        (number % 40).cast(pl.String).alias("A"),
        number.cast(pl.Datetime("ms")).alias("T"),
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("cases", [1_000, 300_000])
def test_a_log_four_times_as_large_takes_four_times_the_work(
    cases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its check: neither the cases nor what is kept of them are read with every batch.

    Counted are the calls, and the rows of the cases that are merged, each about twice.
    """
    merged: list[int] = []
    merge = CaseTable._merge

    def counted(self: CaseTable) -> None:
        known = 0 if self._known is None else self._known.num_rows
        merged.append(known + self._waiting_rows)
        merge(self)

    monkeypatch.setattr(CaseTable, "_merge", counted)
    calls = {}
    for size in (1, 4):
        log = _event_log(400_000 * size, cases * size)
        merged.clear()
        with _counted_calls() as total:
            report = cf.check_event_log(log, case="C", activity="A", timestamp="T")
        assert (report.events, report.cases) == (log.height, cases * size)
        calls[size] = total[0]
        assert sum(merged) <= 3 * log.height
    assert 50 < calls[1] < calls[4] <= 6 * calls[1], calls
