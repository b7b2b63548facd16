"""All contestants with one frame, one after the other, and again in another order.

    python -m tests.benchmarks.race objects 1e6 --lines loopback,100 --repeat 5

They run in one process, which holds the frame: it is long in building, and built once it is the
same for all. Each has pushed before it is timed, so that no import or first allocation is in the
figures, as in a notebook or a pipeline that pushes more than once (`small` times the first push of
a process). Within each repetition all run within seconds of each other, in rotated order, and only
their ratios within a repetition are looked at: what slows the machine slows them all.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import frames, limits, machine
from .lines import LINES, Sink, sink
from .peers import PEERS

CONTESTANTS: dict[str, tuple[str, ...]] = {
    "loopback": ("recipe", "files", "loop", "push", "keyed", "zstd", "csv", "encode", "send"),
    "100": ("recipe", "files", "loop", "push", "keyed", "zstd", "encode"),
    "12": ("recipe", "loop", "push", "zstd"),
    "tls": ("recipe", "push", "encode", "send"),
}
"""Who runs on which line. What sending takes on a line of known bandwidth is arithmetic."""
_WARM_ROWS = 20_000


def race(
    kind: frames.Kind,
    rows: int,
    lines: Sequence[str],
    repeat: int,
    folder: Path,
    only: Sequence[str] = (),
    patience: float = machine.PATIENCE_SECONDS,
) -> list[dict[str, Any]]:
    """Every run, with its seconds and what the sink saw of it.

    Args:
        kind: Of the frame.
        rows: Of the frame.
        lines: Names of lines.
        repeat: How often.
        folder: Where the log's file is, or will be.
        only: Contestants; none: all that run on a line.
        patience: Seconds that each waits for the machine to be quiet.
    """
    frame = frames.make(kind, rows, folder)
    small = frames.make(kind, _WARM_ROWS, folder)
    with sink(LINES["loopback"]) as target:
        for contestant in PEERS.values():
            contestant(small, kind, target)
        limits.encode(small, kind)
        target.reset()
        PEERS["push"](frame, kind, target)
        ours = target.counts()
    runs = []
    for number in range(repeat):
        for name in lines:
            racing = [one for one in CONTESTANTS[name] if not only or one in only]
            turn = number % len(racing)
            with sink(LINES[name]) as target:
                for runner in racing[turn:] + racing[:turn]:
                    machine.quiet(patience)
                    run = _timed(_bound(runner, frame, kind, target, ours), target)
                    runs.append(
                        {"kind": kind, "rows": rows, "line": name, "repetition": number}
                        | {"contestant": runner}
                        | run
                    )
                    print(json.dumps(runs[-1]), flush=True)
    return runs


def _bound(
    name: str, frame: Any, kind: frames.Kind, target: Sink, ours: dict[str, float]
) -> Callable[[], object]:
    if name == "encode":
        return lambda: limits.encode(frame, kind)
    if name == "send":
        size, chunks, connections = (int(ours[n]) for n in ("bytes", "chunks", "connections"))
        file = memoryview(os.urandom(size // chunks))
        return lambda: limits.send(target, file, chunks, connections)
    return lambda: PEERS[name](frame, kind, target)


def _timed(contestant: Callable[[], object], target: Sink) -> dict[str, Any]:
    gc.collect()
    target.reset()
    all_before, mine_before = machine.busy(), time.process_time()
    begin = time.perf_counter()
    contestant()
    seconds = time.perf_counter() - begin
    mine = time.process_time() - mine_before
    counts = target.counts()
    others = machine.busy() - all_before - mine - counts["cpu"]
    return {
        "seconds": seconds,
        "cpu": mine,
        "others": max(0.0, others) / seconds / machine.CORES,
        **{f"sink {name}": value for name, value in counts.items()},
    }


def main() -> None:
    """Print each run as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=frames.KINDS)
    parser.add_argument("rows", type=float)
    parser.add_argument("--lines", default=",".join(LINES))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    parser.add_argument("--patience", type=float, default=machine.PATIENCE_SECONDS)
    parser.add_argument("--folder", type=Path, help="keeps the log's file for the next time")
    wish = parser.parse_args()
    only = [name for name in wish.only.split(",") if name]
    with tempfile.TemporaryDirectory() as folder:
        race(
            wish.kind, int(wish.rows), wish.lines.split(","), wish.repeat,
            wish.folder or Path(folder), only, wish.patience,
        )  # fmt: skip


if __name__ == "__main__":
    main()
