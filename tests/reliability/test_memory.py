"""Memory of a push beyond its frame stays within the documented limit."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis
from celonis_frames._encoding import chunk, chunk_writer
from celonis_frames._staging import spool

WISH, ROWS = 300_000, 150_000
SLACK = 150_000_000


class Counter:
    """Counts the bytes of finished chunks that are not yet freed."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def change(self, by: int) -> None:
        with self._lock:
            self.now += by
            self.most = max(self.most, self.now)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts the bytes that chunks hold in memory."""
    found = Counter()

    class Counted(chunk.MemoryChunk):
        """Counts what waits for its upload; the spool's are counted as long as it has them."""

        def __init__(
            self, *values: Any, on_release: Callable[[], None] | None = None, **others: Any
        ) -> None:
            def back() -> None:
                found.change(-self.size)
                assert on_release is not None
                on_release()

            super().__init__(*values, on_release=on_release and back, **others)
            if on_release:
                found.change(self.size)

    put = spool.ChunkSpool.put

    def counted_put(self: Any, given: chunk.Chunk) -> chunk.Chunk:
        kept = put(self, given)
        if isinstance(kept, spool.SpooledChunk) and isinstance(kept.place, spool._Pieces):
            found.change(kept.size)
        return kept

    monkeypatch.setattr(chunk_writer, "MemoryChunk", Counted)
    monkeypatch.setattr(spool.ChunkSpool, "put", counted_put)
    return found


@functools.cache
def _arrow() -> Any:
    numbers = np.random.default_rng(1).integers(0, 2**62, ROWS)
    return pa.table({"N": range(ROWS), "V": numbers, "T": [f"case {n % 999}" for n in range(ROWS)]})


def _pieces(table: Any) -> Iterator[Any]:
    return iter(pa.Table.from_batches([batch]) for batch in table.to_batches(max_chunksize=20_000))


SOURCES: dict[str, Callable[[Any, Path], Any]] = {
    "pandas objects": lambda table, _: table.to_pandas().astype({"T": object}),
    "pandas Arrow": lambda table, _: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda table, _: pl.from_arrow(table),
    "table": lambda table, _: table,
    "reader": lambda table, _: table.to_reader(max_chunksize=20_000),
    "iterator": lambda table, _: _pieces(table),
    "lazy": lambda _, path: pl.scan_parquet(path),
    "dataset": lambda _, path: ds.dataset(path),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("workers", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", SOURCES)
def test_chunks_in_memory(
    kind: str,
    workers: int,
    connection: Celonis,
    server: Any,
    table: str,
    counter: Counter,
    tmp_path: Path,
) -> None:
    """Never more chunks are in memory than one per upload, and one more."""
    pq.write_table(_arrow(), tmp_path / "log.parquet")
    frame = SOURCES[kind](_arrow(), tmp_path / "log.parquet")
    server.faults.delay("upload", 0.01)
    try:
        status = connection.push(
            frame,
            "Pipeline",
            table,
            mode="REPLACE",
            upload={"chunk_bytes": WISH, "workers": workers},
        )
    finally:
        server.faults.clear()
    assert status.rows == ROWS
    assert status.chunks >= 6
    assert counter.most <= 1.2 * WISH * (workers + 1)
    assert counter.most >= 0.8 * WISH or workers == 1  # with no room to spare all go to disk


@pytest.mark.sampled(3)
@pytest.mark.parametrize("workers", [3, None])
@pytest.mark.parametrize("kind", ["pandas Arrow", "polars", "table"])
def test_objects_in_memory(
    kind: str, workers: int | None, server: Any, table: str, counter: Counter
) -> None:
    """No more than the chunks of a job, though all rows are checked before the first is sent."""
    frame = SOURCES[kind](_arrow(), Path())
    server.faults.delay("put", 0.01)
    keys = server.ingestion("Pipeline", tables={table: {}})
    try:
        with Celonis(server.url, ingestion=keys) as celonis:
            upload: Any = {"chunk_bytes": WISH, "workers": workers}
            status = celonis.push(frame, "Pipeline", table, via="ingestion", upload=upload)
    finally:
        server.faults.clear()
    assert status.rows == ROWS
    assert status.chunks >= 6
    assert 0.8 * WISH <= counter.most <= 1.2 * WISH * ((workers or 4) + 1)


CHILD = """
import ctypes, gc, json, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from celonis_frames import ApiKey, Celonis

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))

url, token, kind = sys.argv[1:]
options = dict(mode="REPLACE", upload={"chunk_bytes": 8_000_000, "workers": 2})
with Celonis(url, auth=ApiKey(token)) as celonis:
    celonis.push(pa.table({"A": ["x"]}), "Pipeline", "WARM", **options)
    if kind == "objects":
        import pandas as pd
        rows = 400_000
        frame = pd.DataFrame({"N": range(rows), "T": pd.Series(
            [f"{n:09d}" + "text " * 16 + str(n * n) for n in range(rows)], dtype=object)})
        celonis.push(frame.head(10), "Pipeline", "WARM", **options)
    elif kind == "long texts":
        import pandas as pd
        part = [(f"{n:09d}" * 1_800)[:16_000] for n in range(100)]
        frame = pd.DataFrame({"T": pd.Series(part * 80, dtype=object)})
        celonis.push(frame.head(10), "Pipeline", "WARM", **options)
    else:
        noise = np.random.default_rng(1)
        frame = pa.table({f"C{n}": noise.integers(0, 2**62, 2_000_000) for n in range(4)})
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    begin = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    done = celonis.push(frame, "Pipeline", kind.upper().replace(" ", "_"), **options)
    print(json.dumps({"beyond": status("VmHWM") - begin, "chunks": done.chunks,
                      "bytes": done.bytes_sent}))
"""


@pytest.mark.sampled(2)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is the Linux kernel's")
@pytest.mark.parametrize(
    "kind", ["arrow", "long texts", pytest.param("objects", marks=pytest.mark.slow)]
)
def test_peak_memory_of_a_process_is_limited(kind: str, server: Any) -> None:
    """The peak resident memory of a separate process, as the kernel reports it."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, server.url, server.token, kind],
        check=True, stdout=subprocess.PIPE, timeout=120,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["chunks"] >= 1
    assert found["beyond"] <= 8_000_000 * (2 + 1) + SLACK, found


def test_memory_for_long_keys_is_limited() -> None:
    """Long keys cost no more than short ones: their digests are kept."""
    from celonis_frames._validation.key_counter import DuplicateKeyCounter  # noqa: PLC0415

    counter = DuplicateKeyCounter()
    for start in range(0, 4_000, 200):
        counter.update([pa.array([f"{n:08d}" * 2_000 for n in range(start, start + 200)])])
        assert counter._waiting_bytes <= 4_000 * 64
    assert counter.complete
