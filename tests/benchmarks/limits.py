"""What no push can beat: encoding alone on all cores, and sending bytes that are ready.

Neither measures texts, keeps promises or waits for the other. Of several ways that were tried the
fastest is kept: rows in slices of a row group, each converted and written by the next free core.
What tells on the measured machine (1 million rows, two cores): larger slices are no faster,
pandas' objects with few different values are faster looked up than converted, polars' texts are
faster written as the views that they are, and a query is faster read in batches than collected,
or cut by `slice`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from .bare import Bare
from .frames import CODED, DICTIONARY, Kind
from .lines import Sink

_SLICE_ROWS = 131_072
_CORES = os.cpu_count() or 1
_AHEAD = 2 * _CORES


def encode(frame: Any, kind: Kind) -> int:
    """Bytes of the frame as Parquet files in memory, of the types and the codec that are sent."""
    return sum(file.nbytes for file in encoded(frame, kind))


def encoded(frame: Any, kind: Kind) -> Iterator[memoryview]:
    """The frame as Parquet files in memory, each as soon as it is ready."""
    waiting: set[Future[memoryview]] = set()
    with ThreadPoolExecutor(_CORES) as pool:
        for part in _slices(frame, kind):
            waiting.add(pool.submit(_convert_and_write, kind, part))
            if len(waiting) >= _AHEAD:  # a query is not to be read faster than it is written
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        for future in as_completed(waiting):
            yield future.result()


def send(sink: Sink, file: memoryview, chunks: int, connections: int) -> None:
    """Send bytes that are ready in so many uploads of the same size.

    Args:
        sink: Where to.
        file: Bytes of each.
        chunks: Uploads.
        connections: Uploads at a time.
    """
    bare = Bare(sink.url, "benchmark", connections=connections, ca_file=sink.ca_file)
    job = bare.create("LOG", "REPLACE", [])
    bare.upload(job, [file] * chunks)
    bare.execute(job)
    bare.close()


def _slices(frame: Any, kind: Kind) -> Iterator[Any]:
    if kind == "lazy":
        yield from frame.collect_batches(chunk_size=_SLICE_ROWS, maintain_order=True)
        return
    for start in range(0, len(frame), _SLICE_ROWS):
        stop = start + _SLICE_ROWS
        yield frame.slice(start, _SLICE_ROWS) if kind == "polars" else frame.iloc[start:stop]


def _from_objects(part: Any) -> pa.Table:
    columns = {}
    for name in part.columns:
        values = part[name].to_numpy()
        if name in CODED:
            codes, found = pd.factorize(values)
            columns[name] = pa.DictionaryArray.from_arrays(codes.astype("int32"), pa.array(found))
        else:
            kind = pa.string() if values.dtype == object else None
            columns[name] = pa.array(values, kind, from_pandas=True)
    return pa.table(columns)


def _from_pandas(part: Any) -> pa.Table:
    return pa.Table.from_pandas(part, preserve_index=False, nthreads=1)


def _from_polars(part: Any) -> pa.Table:
    return part.to_arrow(compat_level=pl.CompatLevel.newest())


_CONVERT: dict[Kind, Callable[[Any], pa.Table]] = {
    "objects": _from_objects,
    "arrow": _from_pandas,
    "polars": _from_polars,
    "lazy": _from_polars,
}


def _convert_and_write(kind: Kind, part: Any) -> memoryview:
    return _write(_CONVERT[kind](part))


def _write(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, row_group_size=table.num_rows, compression="snappy",
        use_dictionary=list(DICTIONARY), use_deprecated_int96_timestamps=True,
        store_schema=False, write_statistics=False,
    )  # fmt: skip
    return memoryview(sink.getvalue())
