"""Push a LazyFrame over a large Parquet file and print the memory it took.

    python tests/benchmarks/memory.py [ROWS] [CHUNK_BYTES]

The local Celonis runs in a process of its own; what is measured is the pushing process alone: its
resident memory at the start (libraries imported, connection open) and its peak during the push.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import polars as pl
import psutil

import celonis_frames

SERVE = """
import sys
from celonis_frames import local
celonis = local.start(sys.argv[1], token="benchmark", limits=False)
print(celonis.url, flush=True)
sys.stdin.read()
celonis.close()
"""


def write(path: Path, rows: int) -> None:
    """An event log of so many rows, in a process of its own so that its memory is not ours."""
    code = f"""
import polars as pl
step = 1_000_000
import pyarrow.parquet as pq
writer = None
for start in range(0, {rows}, step):
    r = pl.int_range(start, min(start + step, {rows}), eager=True)
    frame = pl.DataFrame({{"row": r}}).select(
        CASE_ID=pl.format("C{{}}", pl.col("row") // 7), EVENT_ID=pl.col("row") % 7,
        ACTIVITY=pl.format("Activity {{}}", pl.col("row") % 12),
        AT=pl.lit(0).cast(pl.Datetime("us")) + pl.duration(seconds=pl.col("row") * 3),
        AMOUNT=(pl.col("row") * 7919 % 1_000_003) / 100,
        NOTE=pl.when(pl.col("row") % 3 == 0).then(pl.format(
            "Free text about {{}} that is about ninety characters long, as comments often are",
            pl.col("row") * 104_729 % 15_485_863)),
    )
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    writer = writer or pq.ParquetWriter({str(path)!r}, table.schema)
    writer.write_table(table, row_group_size=262_144)  # as polars writes files itself
writer.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    """Print the peak memory of a push of so many rows, and what it is made of."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    chunk_bytes = int(sys.argv[2]) if len(sys.argv) > 2 else 64_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        write(path, rows)
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(Path(folder) / "celonis.duckdb")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        client = celonis_frames.Celonis(url, auth=celonis_frames.ApiKey("benchmark"))
        process, peak, stop = psutil.Process(), [0], threading.Event()
        pl.scan_parquet(path).head(1).collect()
        client.pools()
        begin = process.memory_info().rss

        def watch() -> None:
            while not stop.wait(0.01):
                peak[0] = max(peak[0], process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.monotonic()
        try:
            status = client.push(
                pl.scan_parquet(path), "Benchmark", "LOG", mode="REPLACE", chunk_bytes=chunk_bytes
            )
        finally:
            stop.set()
            watcher.join()
            client.close()
            server.communicate()
        bound = 3 * chunk_bytes * 2 + 300e6
        print(status)
        print(
            f"{rows:,} rows from a {path.stat().st_size / 1e6:,.0f} MB file in "
            f"{time.monotonic() - started:.1f} s; memory at the start {begin / 1e6:,.0f} MB, peak "
            f"beyond it {(peak[0] - begin) / 1e6:,.0f} MB; the bound is {bound / 1e6:,.0f} MB"
        )
        print({name: round(seconds, 2) for name, seconds in status.timings.items()})


if __name__ == "__main__":
    main()
