"""Where the time of a push goes, stage by stage, without HTTP.

    python -m tests.benchmarks.stages [--rows 1e6] [--repeat 5] [--folder F]

Reading is the conversion of the frame into Arrow, alone and in one thread; it is a part of
encoding, which checks the rows too and is timed as a push does it, in all threads. Lengths are what
a push has to know of text columns before it creates its job.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions

from . import frames, limits

STAGES = ("types", "reading", "lengths", "encoding", "encoding alone")


def measure(kind: frames.Kind, rows: int, repeat: int, folder: Path) -> list[dict[str, Any]]:
    """Wall and CPU seconds of each stage, for each repetition.

    Args:
        kind: Of the frame.
        rows: Of the frame.
        repeat: How often.
        folder: Where the log's file is, or will be.
    """
    frame = frames.make(kind, rows, folder)
    runs = []
    for number in range(repeat + 1):
        found: dict[str, tuple[float, float]] = {}
        found["types"], prepared = _timed(lambda: prepare(frame, "LOG", PushOptions()))
        found["reading"], _ = _timed(lambda p=prepared: sum(1 for _ in p.source.batches()))
        found["lengths"], _ = _timed(prepared.begin)
        found["encoding"], _ = _timed(lambda p=prepared: [c.release() for c in p.chunks()])
        prepared.close()
        found["encoding alone"], _ = _timed(lambda: limits.encode(frame, kind))
        if number:  # the first one warms the allocators
            runs.append({"kind": kind, "rows": rows, "stages": found})
    return runs


def _timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    done = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), done


def main() -> None:
    """Print each run as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keeps the log's file for the next time")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind in frames.KINDS:
            for run in measure(kind, int(wish.rows), wish.repeat, wish.folder or Path(folder)):
                print(json.dumps(run), flush=True)


if __name__ == "__main__":
    main()
