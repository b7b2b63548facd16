"""The two ways in against each other: frames as objects, and frames as jobs, to the same sink.

    python -m tests.benchmarks.objects [--rows 1e6] [--pairs 15] [--line loopback]
        [--out FILE.json] [--page docs/performance.md]

Objects are Parquet without compression. Two ratios are measured, in pairs of runs that follow each
other at once, in turned order. *Encoding* is reading, checking and encoding a frame as a push does
it: a job's with SNAPPY, over that of objects, whose rows are all checked before the first is
encoded. *Wall* is a push as objects over a push as a job with ``compression="none"``, so that the
bytes are alike. Between pushes and the sink is loopback, so that nothing hides what either way
costs, unless another line is chosen.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

import celonis_frames
from celonis_frames import IngestionKeys
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget

from . import frames, lines, machine
from .bare import POOL

KEYS = IngestionKeys("connection", "access", "secret", "continuous", "eu-central-1")
KINDS = {"arrow": "pyarrow Table", "polars": "polars DataFrame"}
AIMS = {"encoding": "SNAPPY ÷ objects (≥ 1.7)", "wall": "objects ÷ job (≤ 1.1)"}
MARKS = ("<!-- objects: begin -->", "<!-- objects: end -->")


def make(kind: str, rows: int, folder: Path) -> Any:
    """The log as a frame of this kind."""
    if kind == "polars":
        return frames.make("polars", rows, folder)
    return pq.read_table(frames.write(folder, rows)).combine_chunks()


def encoding(frame: Any, codec: Any, *, checked_first: bool = False) -> Callable[[], None]:
    """Reads, checks and encodes a frame as a push does it; nothing is kept or sent."""

    def work() -> None:
        options = PushOptions(upload=Upload(compression=codec))
        prepared = prepare(frame, "LOG", options)
        if checked_first:
            prepared.begin(ChunkSpool(MemoryBudget(options.spool_memory)), checked_first=True)
        else:
            prepared.begin()
        for chunk in prepared.chunks():
            chunk.release()
        prepared.close()

    return work


def push(celonis: Any, frame: Any, via: str) -> Callable[[], None]:
    """A push of either way, without compression."""
    more = {} if via == "ingestion" else {"mode": "REPLACE", "upload": {"compression": "none"}}
    return lambda: celonis.push(frame, POOL, "LOG", via=via, **more)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(rows: int, pairs: int, folder: Path, line: str = "loopback") -> list[dict[str, Any]]:
    """Seconds of the pairs, and their bytes, for each kind and measure."""
    found = []
    with (
        lines.sink(lines.LINES[line]) as sink,
        celonis_frames.connect(sink.url, ingestion=KEYS) as objects,
        celonis_frames.connect(sink.url, auth=celonis_frames.ApiKey("benchmark")) as jobs,
    ):
        for kind in KINDS:
            frame = make(kind, rows, folder)
            contests = {
                "encoding": (
                    encoding(frame, "none", checked_first=True),
                    encoding(frame, "snappy"),
                ),
                "wall": (push(objects, frame, "ingestion"), push(jobs, frame, "push")),
            }
            for name, (ours, other) in contests.items():
                sizes = []
                for work in (ours, other):
                    sink.reset()
                    work()  # not timed: imports, and the first allocations
                    sizes.append(sink.counts()["bytes"])
                runs = []
                for number in range(pairs):
                    first, second = (ours, other) if number % 2 else (other, ours)
                    times = {work: _timed(work) for work in (first, second)}
                    runs.append([times[ours], times[other]])
                found.append({"kind": kind, "measure": name, "runs": runs, "bytes": sizes})
    return found


def page(found: list[dict[str, Any]], rows: int, line: str = "loopback") -> str:
    """The figures as a table: least, median and greatest of the pairs."""
    head = ["", "objects, s", "SNAPPY, or the job, s", "ratio (aim)", "ratio of CPU"]
    out = [f"{rows:,} rows over {line}; least / median / greatest of the pairs.", ""]
    out += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in found:
        ours, other = zip(*one["runs"], strict=True)
        over = one["measure"] == "encoding"
        ratios = [[b[n] / a[n] if over else a[n] / b[n] for a, b in one["runs"]] for n in range(2)]
        cells = [
            f"{KINDS[one['kind']]}, {one['measure']}",
            _spread([run[0] for run in ours]), _spread([run[0] for run in other]),
            f"{_spread(ratios[0])}, {AIMS[one['measure']]}", _spread(ratios[1]),
        ]  # fmt: skip
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f} / {median(values):.2f} / {max(values):.2f}"


def main() -> None:
    """Print the figures, and write them where asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--line", default="loopback", choices=lines.LINES)
    parser.add_argument("--out", type=Path, help="where all runs go, as JSON")
    parser.add_argument("--page", type=Path, help="where the table goes, between its markers")
    parser.add_argument("--folder", type=Path, help="keeps the log's file for the next time")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = wish.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(wish.rows, wish.pairs, folder, wish.line)
    if wish.out is not None:
        about = {"machine": machine.describe(), "rows": wish.rows}
        wish.out.write_text(json.dumps(about | {"runs": found}, indent=1))
    text = page(found, wish.rows, wish.line)
    print(text)
    if wish.page is not None:
        old = wish.page.read_text("utf-8")
        before, rest = old.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        wish.page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", "utf-8")


if __name__ == "__main__":
    main()
