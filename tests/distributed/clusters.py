"""Clusters of Dask, and what happens to their workers. Imports Dask."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask.dataframe as dd
import pandas as pd
from distributed import Client, LocalCluster

SECONDS = 300.0
"""Longest time that anything is waited for."""


@contextlib.contextmanager
def two_workers() -> Iterator[Client]:
    """A client of a cluster of two worker processes."""
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
        host="127.0.0.1", silence_logs=50,
    )  # fmt: skip
    try:
        with Client(cluster) as client:
            yield client
    finally:
        # A worker that has just taken the place of one that was killed may not hear that it ends.
        with contextlib.suppress(TimeoutError):
            cluster.close()


def frame_of(rows: int, partitions: int) -> Any:
    """A Dask DataFrame of rows that are all different, made in the workers."""
    step = rows // partitions
    return dd.from_map(
        make_rows, range(0, rows, step), meta=make_rows(0, 0), enforce_metadata=False,
        rows=step,
    )  # fmt: skip


def make_rows(start: int, rows: int) -> pd.DataFrame:
    """One partition."""
    ids = pd.Series(range(start, start + rows), dtype="int64")
    return pd.DataFrame({"ID": ids, "T": ("é" + ids.astype(str)).astype("string[pyarrow]")})


def processes(client: Client) -> dict[str, int]:
    """The process of each worker by its address."""
    client.wait_for_workers(2, timeout=SECONDS)
    return dict(client.run(os.getpid))


def kill(process: int) -> None:
    """End a process as the kernel does when memory is short."""
    os.kill(process, signal.SIGKILL)


@dataclass
class Watcher:
    """Calls a function once, in a thread, when something has come to pass."""

    happened: Callable[[], bool]
    act: Callable[[], None]
    acted: bool = False

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        end = time.monotonic() + SECONDS
        while not self._ended.is_set() and time.monotonic() < end:
            if self.happened():
                self.act()
                self.acted = True
                return
            time.sleep(0.002)


def staged_chunks(folder: Path) -> list[Path]:
    """The chunks in the stages of a folder."""
    return list(folder.glob("push-*/chunk-*"))
