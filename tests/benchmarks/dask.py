"""What a push from Dask takes, beside Dask's own write of the same frame as Parquet.

    python -m tests.benchmarks.dask 1e6 10e6 [--repeat 3] [--folder F]

Two worker processes with a thread each read the same Parquet files of 12 columns and write: as
Parquet, as a push that they stage, as one that streams through the driver. The sink throws bodies
away, so that what is measured is the work of Dask, of the encoding and of the process that sends.
The ways take turns; the first round warms them up. The memory is the most that each kind of process
came to, sampled.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

import celonis_frames

from .peaks import measure, sizes_to_measure

POOL = "11111111-2222-3333-4444-555555555555"
PARTITION_ROWS = 250_000
KINDS = ("driver", "worker")


def make_rows(start: int, rows: int) -> pd.DataFrame:
    """One partition of an event log."""
    ids = np.arange(start, start + rows)
    random = np.random.default_rng(start)

    def text(prefix: str, numbers: Any, digits: int = 0) -> Any:
        return prefix + pd.Series(numbers).astype("string[pyarrow]").str.zfill(digits)

    return pd.DataFrame(
        {
            "CASE_KEY": text("", ids % 200_000, 10),
            "DOCUMENT": ids,
            "ACTIVITY": text("Activity ", random.integers(0, 7, rows)),
            "EVENTTIME": pd.Timestamp("2022-01-01")
            + pd.to_timedelta(random.integers(0, 60_000_000, rows), "s"),
            "USER_NAME": text("user", random.integers(0, 300, rows)),
            "ORG": text("org ", random.integers(0, 40, rows)),
            "AMOUNT": random.integers(0, 1_000_000, rows) / 100,
            "CURRENCY": text("EU", random.integers(0, 3, rows)),
            "QUANTITY": random.integers(0, 500, rows),
            "AUTOMATED": random.integers(0, 10, rows) == 0,
            "WEIGHT": random.random(rows),
            "REMARK": text("remark ", random.integers(0, 2**60, rows)),
        }
    )


def kind_of(process: psutil.Process) -> str | None:
    """Which kind of process this is, among those below the driver."""
    return "worker" if "spawn_main" in " ".join(process.cmdline()) else None


def ways(rows: int, folder: Path) -> dict[str, Callable[[], object]]:
    """The ways to write the same frame."""
    import dask.dataframe as dd  # noqa: PLC0415  # the benchmarks of others do without Dask

    source = folder / f"rows-{rows}"
    if not source.exists():
        made = dd.from_map(
            make_rows, range(0, rows, PARTITION_ROWS), rows=PARTITION_ROWS, meta=make_rows(0, 1)
        )
        made.to_parquet(source, write_index=False)
    frame, stage = dd.read_parquet(source), folder / "stage"
    print(f"{rows:,} rows in {frame.npartitions} partitions", flush=True)

    def parquet() -> None:
        shutil.rmtree(folder / "out", ignore_errors=True)
        frame.to_parquet(folder / "out", write_index=False)

    def push(**options: Any) -> None:
        celonis_frames.push(frame, POOL, "T", mode="REPLACE", progress=False, **options)

    return {"Parquet": parquet, "staged": lambda: push(staging=stage), "streamed": push}


def main() -> None:
    """Measure each size that was asked for."""
    from distributed import Client, LocalCluster  # noqa: PLC0415  # as above

    with sizes_to_measure(__doc__) as (sizes, folder, repeat):
        for rows in sizes:
            with (
                LocalCluster(
                    n_workers=2, threads_per_worker=1, host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                ) as cluster,
                Client(cluster),
            ):  # fmt: skip
                measure(ways(rows, folder), KINDS, kind_of, repeat)


if __name__ == "__main__":
    main()
