"""The whole benchmark: every figure of docs/performance.md into one JSON file.

    python -m tests.benchmarks.run --out results.json [--rows 1e6,5e6,10e6] [--repeat 5]
        [--kinds objects,arrow,polars,lazy] [--lines loopback,100,12,tls]
        [--parts race,stages,growth,memory,large,small,local]

The parts are: `race`, all contestants with 1 million rows on all lines; `stages`, where a push's
time goes; `growth`, our push alone
with more rows, for how time grows; `memory`, what a push takes beyond its frame; `large`, the
LazyFrame of 50 million rows, once; `small`, import, small pushes and the polls of a long job;
`local`, the local Celonis against DuckDB. Parts are added to what the file has already, so that
one can be measured again alone. `page` makes tables and a figure of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import frames, machine, memory, small, stages
from .lines import LINES

_LARGE_ROWS = 50_000_000
Wish = argparse.Namespace


def _race(wish: Wish, folder: Path, rows: int, *more: str) -> list[dict[str, Any]]:
    runs = []
    for kind in wish.kinds:
        command = [sys.executable, "-m", "tests.benchmarks.race", kind, str(rows)]
        command += ["--repeat", str(wish.repeat), "--folder", str(folder)]
        command += ["--patience", str(wish.patience), *more]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                runs.append(json.loads(line))
                _tell(runs[-1])
        if process.returncode:
            raise SystemExit(f"The race of {kind} failed")
    return runs


def race(wish: Wish, folder: Path) -> list[dict[str, Any]]:
    """All contestants with the least rows, on every line."""
    return _race(wish, folder, min(wish.rows), "--lines", ",".join(wish.lines))


def stage(wish: Wish, folder: Path) -> list[dict[str, Any]]:
    """Where the time of a push goes, with the least rows."""
    return [
        run
        for kind in wish.kinds
        for run in stages.measure(kind, min(wish.rows), wish.repeat, folder)
    ]


def growth(wish: Wish, folder: Path) -> list[dict[str, Any]]:
    """Pushes and their limits with any number of rows, on loopback and a fast line."""
    return [
        run
        for rows in wish.rows
        for run in _race(
            wish,
            folder,
            rows,
            "--lines",
            "loopback,100",
            "--only",
            "recipe,loop,push,keyed,encode,send",
        )
    ]


def memories(wish: Wish, folder: Path) -> list[dict[str, Any]]:
    """What a push takes beyond its frame, by kind and rows."""
    runs = []
    for kind in wish.kinds:
        for rows in wish.rows:
            runs.append(memory.measure(kind, rows, folder))
            _tell(runs[-1])
    return runs


def large(wish: Wish, folder: Path) -> dict[str, Any]:
    """The LazyFrame that is larger than memory should be."""
    return memory.measure("lazy", wish.large, folder)


def small_pushes(wish: Wish, _: Path) -> dict[str, Any]:
    """Import, small pushes and a long job."""
    return small.measure(2 * wish.repeat, wish.job_seconds)


def local(wish: Wish, folder: Path) -> dict[str, Any]:
    """The local Celonis, in a process of its own."""
    out = folder / "local.json"
    rows = max(wish.rows)
    command = [sys.executable, "-m", "tests.benchmarks.local", "--out", str(out)]
    command += ["--rows", str(rows), "--upsert", str(rows // 10), "--repeat", str(wish.repeat)]
    subprocess.run(command, check=True)
    return dict(json.loads(out.read_text()))


PARTS: dict[str, Callable[[Wish, Path], Any]] = {
    "race": race,
    "stages": stage,
    "growth": growth,
    "memory": memories,
    "large": large,
    "small": small_pushes,
    "local": local,
}


def _tell(run: dict[str, Any]) -> None:
    """Say how far it is."""
    names = ("kind", "rows", "line", "repetition", "contestant", "seconds", "beyond")
    print(*(run[name] for name in names if name in run), flush=True)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=lambda text: [int(float(n)) for n in _names(text)],
                        default=[1_000_000, 5_000_000, 10_000_000])  # fmt: skip
    parser.add_argument("--kinds", type=_names, default=list(frames.KINDS))
    parser.add_argument("--lines", type=_names, default=list(LINES))
    parser.add_argument("--parts", type=_names, default=list(PARTS))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--patience",
        type=float,
        default=machine.PATIENCE_SECONDS,
        help="seconds that each run waits for the machine to be quiet",
    )
    parser.add_argument("--large", type=lambda text: int(float(text)), default=_LARGE_ROWS)
    parser.add_argument("--job-seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="keeps the log's files for the next time")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = wish.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for part in wish.parts:
            found = PARTS[part](wish, folder)
            results = json.loads(wish.out.read_text()) if wish.out.exists() else {}
            results |= {part: found, "machine": machine.describe()}
            wish.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
