"""The memory that a push takes beyond its frame, in a process in which nothing else runs.

    python -m tests.benchmarks.memory lazy 50e6 [--chunk-bytes N] [--workers N] [--folder F]

The sink runs in a process of its own. What is measured is the pushing process: its resident memory
when the frame is built and the libraries are warm, and the most that it came to during the push, as
the kernel keeps count of it (`VmHWM`, set back before). What building the frame left behind in the
allocators is given back to the system first, as far as they do that: the push could else fill it
unseen. How much of it there is, is printed too.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from . import frames
from .lines import LINES, sink
from .peers import push

_WARM_ROWS = 1_000
_SETTLE_SECONDS = 1.5
_PATIENCE_SECONDS = 0.1


def measure(kind: frames.Kind, rows: int, folder: Path, **options: Any) -> dict[str, Any]:
    """What one push took, measured in a new process.

    Args:
        kind: Of the frame.
        rows: Of the frame.
        folder: Where the log's file is, or will be.
        options: Of the push.
    """
    for size in (_WARM_ROWS, rows):  # here, so that what writing takes is not in the other
        frames.write(folder, size)
    command = [sys.executable, "-m", "tests.benchmarks.memory", kind, str(rows)]
    command += ["--folder", str(folder)]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def bound(chunk_bytes: int, workers: int) -> int:
    """Bytes that a push may take beyond its frame."""
    return chunk_bytes * (workers + 1) + 150_000_000


def _push(kind: frames.Kind, rows: int, folder: Path, **options: Any) -> dict[str, Any]:
    with sink(LINES["loopback"]) as target:
        push(frames.make(kind, _WARM_ROWS, folder), kind, target)
        before = _status("VmRSS")
        frame = frames.make(kind, rows, folder)
        _give_back()
        begin = _status("VmRSS")
        target.reset()
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        started = time.perf_counter()
        status = push(frame, kind, target, upload=options)
        seconds = time.perf_counter() - started
        peak = _status("VmHWM")
        counts = target.counts()
    size = 0
    if kind == "polars":
        size = int(frame.estimated_size())
    elif kind != "lazy":
        size = int(frame.memory_usage(deep=kind == "arrow").sum())
    return {
        "kind": kind,
        "rows": rows,
        "seconds": seconds,
        "beyond": peak - begin,
        "whole": peak,
        "begin": begin,
        "frame": begin - before,
        "frame says": size,
        "chunks": status.chunks,
        "bytes": status.bytes_sent,
        "connections": counts["connections"],
        "timings": status.timings,
        **options,
    }


def _give_back() -> None:
    gc.collect()
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    # The allocator of polars gives back by and by.
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end:
        time.sleep(_PATIENCE_SECONDS)
        pa.default_memory_pool().release_unused()


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"The system does not tell {name}")


def main() -> None:
    """Print what a push took as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=frames.KINDS)
    parser.add_argument("rows", type=float)
    parser.add_argument("--chunk-bytes", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--compression")
    parser.add_argument("--folder", type=Path, help="keeps the log's file for the next time")
    wish = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as temporary:
        kind, rows = wish.pop("kind"), int(wish.pop("rows"))
        folder = wish.pop("folder")
        options = {name: value for name, value in wish.items() if value is not None}
        if folder is not None and (folder / f"log-{rows}.parquet").exists():
            print(json.dumps(_push(kind, rows, folder, **options)))
        else:
            print(json.dumps(measure(kind, rows, folder or Path(temporary), **options)))


if __name__ == "__main__":
    main()
