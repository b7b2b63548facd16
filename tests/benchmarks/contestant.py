"""Pushes by one checkout of this library, timed in a process of their own; `paired` starts it.

    PYTHONPATH=CHECKOUT python -P tests/benchmarks/contestant.py JSON

The checkout may be older or newer than this file, so only public names are used: `connect`,
`ApiKey`, `push` with `mode`, and the connection as a context manager. Progress bars stay off
because standard error is no terminal. This file needs nothing else of its folder: the module that
makes frames is loaded from the file that `paired` names, the same for both checkouts.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import celonis_frames

_POOL = "5f0c1d3a-2b7e-4c52-9a41-0d6c3f5e8b17"
"""An id, so that no pool is looked up by name."""
_RACE_PUSHES = 3
_SMALL_GROUPS = 3
_SMALL_PUSHES = 9
"""Timed pushes of a group. With the one before them they are 10, and more jobs a second the library
does not submit: the next push would be timed while it waits."""
_SMALL_PAUSE_SECONDS = 1.0

Times = dict[str, list[float]]
"""Wall and CPU seconds of each timed push, as `seconds` and `cpu`."""


def load(path: Path) -> ModuleType:
    """The module in a file, whatever is on the path.

    Args:
        path: The file. It must not use relative imports.

    Raises:
        FileNotFoundError: There is no such file.
    """
    spec = importlib.util.spec_from_file_location(f"benchmarks_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


def race(url: str, kind: str, rows: int, folder: Path, frames: Path) -> Times:
    """Times of pushes of a large frame, each over a connection that it opens.

    Args:
        url: The sink's URL.
        kind: A kind of the frames' module.
        rows: Rows of the frame.
        folder: Where the log's file is.
        frames: The file of the frames' module.
    """
    frame = load(frames).make(kind, rows, folder)

    def once() -> None:
        with _connect(url):
            _push(frame)

    once()  # not timed: imports and the first allocations
    times: Times = {"seconds": [], "cpu": []}
    for _ in range(_RACE_PUSHES):
        gc.collect()
        _time(once, times)
    return times


def small(url: str, kind: str, rows: int, folder: Path, _: Path) -> Times:
    """Times of pushes of a small frame, all over one connection.

    Args:
        url: The sink's URL.
        kind: The library of the frame. No other is imported.
        rows: Rows of the frame.
        folder: Where the log's file is.
    """
    frame = importlib.import_module(kind).read_parquet(folder / f"log-{rows}.parquet")
    times: Times = {"seconds": [], "cpu": []}
    with _connect(url):
        for group in range(_SMALL_GROUPS):
            if group:
                time.sleep(_SMALL_PAUSE_SECONDS)
            _push(frame)  # not timed: it opens the connection, or comes after the pause
            for _ in range(_SMALL_PUSHES):
                _time(lambda: _push(frame), times)
    return times


PARTS: dict[str, Callable[[str, str, int, Path, Path], Times]] = {"race": race, "small": small}


def _connect(url: str) -> Any:
    return celonis_frames.connect(url, auth=celonis_frames.ApiKey("benchmark"))


def _push(frame: Any) -> None:
    celonis_frames.push(frame, _POOL, "LOG", mode="REPLACE")


def _time(work: Callable[[], None], times: Times) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    times["seconds"].append(time.perf_counter() - wall)
    times["cpu"].append(time.process_time() - cpu)


def main() -> None:
    """Print the times of one run as JSON."""
    wish = json.loads(sys.argv[1])
    found, checkout = Path(celonis_frames.__file__).resolve(), Path(wish["checkout"]).resolve()
    if not found.is_relative_to(checkout):
        raise SystemExit(f"celonis_frames was imported from {found}, not from {checkout}")
    part = PARTS[wish["part"]]
    folder, frames = Path(wish["folder"]), Path(wish["frames"])
    print(json.dumps(part(wish["url"], wish["kind"], wish["rows"], folder, frames)))


if __name__ == "__main__":
    main()
