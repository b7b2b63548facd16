"""Two commits against each other, in pairs of runs that follow each other at once.

    python -m tests.benchmarks.paired --old CHECKOUT [--new CHECKOUT] [--parts race,small]
        [--kinds objects,arrow,polars,lazy] [--pairs 15] [--rows 1e6] [--out FILE.json]

The parts are: `race`, a push of each kind of frame to the sink over loopback, the median of three;
`small`, a push of 1,000 rows from pandas and from polars, the median of 27. Every run is a
fresh process (`contestant`) that imports the library from the checkout that it measures. The frames
and the sink are those of the new checkout for both; the log's files are written once.

In each pair one run of the old and one of the new commit follow each other, in turned order from
pair to pair (old new, new old, …), and every pair goes through all parts: what slows the machine
for a while slows both, and all parts. So it waits for no quiet machine, and only the ratio of a
pair's two runs is looked at. Wall time counts; the CPU time of the pushing process is given
too, because other processes disturb it less.

`lower` and `upper` are a 95 % confidence interval of the median ratio: the pairs are drawn anew,
with replacement, and the bounds lie where the medians of 2.5 % of the draws are below or above.
In simulations with 6 to 30 pairs they held the true ratio in 92 to 94 % of cases, so about one line
in fourteen shows a difference by chance alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import machine
from .contestant import PARTS, load

_HERE = Path(__file__).resolve()
_SMALL_ROWS = 1_000
_SMALL_KINDS = ("pandas", "polars")
_LEAST_PAIRS = 6
"""With fewer, even the range from the least to the greatest ratio has the median in it less often
than in 95 % of cases."""
_DRAWS = 10_000
_SEED = 5
_LEVELS = (0.025, 0.975)
MEASURES = {"seconds": "wall", "cpu": "CPU"}


@dataclasses.dataclass(frozen=True)
class Case:
    """What is pushed in one run.

    Attributes:
        part: A key of `PARTS`.
        kind: Of the frame.
        rows: Of the frame.
    """

    part: str
    kind: str
    rows: int

    def __str__(self) -> str:
        return f"{self.part} {self.kind}"


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all runs share.

    Attributes:
        checkouts: The folders of the old and the new checkout, by these names.
        sink: The sink, a `lines.Sink`.
        folder: Where the log's files are.
    """

    checkouts: dict[str, Path]
    sink: Any
    folder: Path

    def run(self, name: str, case: Case) -> dict[str, Any]:
        """The times of one run and what the sink counted, pushes that are not timed included.

        Args:
            name: Whose run: `old` or `new`.
            case: What to push.

        Raises:
            SystemExit: The run failed; the message has its standard error.
        """
        wish = dataclasses.asdict(case) | {
            "checkout": str(self.checkouts[name]),
            "url": self.sink.url,
            "folder": str(self.folder),
            "frames": str(helper(self.checkouts["new"], "frames")),
        }
        self.sink.reset()
        done = subprocess.run(
            [sys.executable, "-P", str(_HERE.with_name("contestant.py")), json.dumps(wish)],
            check=False, capture_output=True, text=True, cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.checkouts[name])},
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{done.stderr}\n{case} failed with the {name} checkout")
        return dict(json.loads(done.stdout)) | {"sink": self.sink.counts()}


def helper(checkout: Path, name: str) -> Path:
    """The file of a module of this folder in a checkout."""
    return checkout / "tests" / "benchmarks" / f"{name}.py"


def orders(pairs: int) -> Iterator[tuple[str, str]]:
    """Who runs first and second in each pair: each is first in every other one."""
    for number in range(pairs):
        yield ("new", "old") if number % 2 else ("old", "new")


def summarise(old: Sequence[float], new: Sequence[float]) -> dict[str, dict[str, float]]:
    """Median, least and greatest of `old`, `new` and `ratio`; the bounds of the last as well.

    Args:
        old: Seconds of the old commit, one for each pair.
        new: Seconds of the new commit, of the same pairs.
    """
    logs = np.log(new) - np.log(old)
    draws = np.random.default_rng(_SEED).choice(logs, size=(_DRAWS, len(logs)))
    lower, upper = np.exp(np.quantile(np.median(draws, axis=1), _LEVELS))
    return {
        "old": _spread(np.asarray(old)),
        "new": _spread(np.asarray(new)),
        "ratio": _spread(np.exp(logs))
        # Of the logarithms, so that old ÷ new gives the inverse, for even numbers of pairs too.
        | {"median": float(np.exp(np.median(logs))), "lower": float(lower), "upper": float(upper)},
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "min": float(values.min()),
        "max": float(values.max()),
    }


def measure(bench: Bench, cases: Sequence[Case], pairs: int) -> Iterator[list[dict[str, Any]]]:
    """All runs so far, after each pair; progress goes to standard error.

    Args:
        bench: The checkouts and the sink.
        cases: What to push.
        pairs: How many pairs of runs for each case.
    """
    runs: list[dict[str, Any]] = []
    begin = time.monotonic()
    for number, order in enumerate(orders(pairs), start=1):
        for case in cases:
            found = {name: bench.run(name, case) for name in order}
            runs.append({"case": str(case), "pair": number, "first": order[0]} | found)
            old, new = (_median(runs[-1], name, "seconds") for name in ("old", "new"))
            left = (time.monotonic() - begin) * (pairs * len(cases) / len(runs) - 1)
            print(
                f"pair {number} of {pairs}, {case}: old {old:.4g} s, new {new:.4g} s, "
                f"ratio {new / old:.3f}; about {left / 60:.0f} min left",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        yield runs


def _median(run: dict[str, Any], name: str, measure: str) -> float:
    return float(np.median(run[name][measure]))


def summaries(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What came out for each case, by wall and by CPU time."""
    return {
        case: {
            measure: summarise(
                *(
                    [_median(run, name, measure) for run in runs if run["case"] == case]
                    for name in ("old", "new")
                )
            )
            for measure in MEASURES
        }
        for case in dict.fromkeys(run["case"] for run in runs)
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """The summaries, a line for each case and measure; times in seconds."""
    columns = ("old", "new", "new÷old", "lower", "upper", "min", "max")
    lines = [f"{'':14}{'':6}" + "".join(f"{column:>9}" for column in columns)]
    for case, measures in found.items():
        for measure, title in MEASURES.items():
            one = measures[measure]
            times = "".join(f"{one[name]['median']:9.4g}" for name in ("old", "new"))
            names = ("median", "lower", "upper", "min", "max")
            ratios = "".join(f"{one['ratio'][name]:9.3f}" for name in names)
            lines.append(f"{case:14}{title:6}{times}{ratios}")
    return "\n".join(lines)


def _commit(checkout: Path) -> str | None:
    """The commit of a checkout, with `-dirty` when files differ from it; None if git cannot say."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() or None


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _checkout(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / "celonis_frames" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{path} has no celonis_frames")
    return path


def _wish() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", type=_checkout, required=True)
    parser.add_argument("--new", type=_checkout, default=_HERE.parents[2], help="default: this one")
    parser.add_argument("--parts", type=_names, default=list(PARTS))
    parser.add_argument("--kinds", type=_names, help="of the race; default: all")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--out", type=Path, help="where all runs go, as JSON, after each pair")
    parser.add_argument("--folder", type=Path, help="keeps the log's files for the next time")
    wish = parser.parse_args()
    if wish.pairs < 1:
        parser.error("--pairs must be at least 1")
    if not wish.parts or not set(wish.parts) <= set(PARTS):
        parser.error(f"--parts are {', '.join(PARTS)}")
    return wish


def main() -> None:
    """Print the table of what was measured."""
    wish = _wish()
    frames, lines = (load(helper(wish.new, name)) for name in ("frames", "lines"))
    kinds = {"race": wish.kinds or frames.KINDS, "small": _SMALL_KINDS}
    if not set(kinds["race"]) <= set(frames.KINDS):
        raise SystemExit(f"--kinds are {', '.join(frames.KINDS)}")
    rows = {"race": wish.rows, "small": _SMALL_ROWS}
    cases = [Case(part, kind, rows[part]) for part in wish.parts for kind in kinds[part]]
    checkouts = {"old": wish.old, "new": wish.new}
    about: dict[str, Any] = {
        "commits": {name: _commit(path) for name, path in checkouts.items()},
        "machine": machine.describe(),
        "rows": wish.rows,
    }
    with tempfile.TemporaryDirectory() as temporary, lines.sink(lines.LINES["loopback"]) as sink:
        folder = (wish.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for size in {case.rows for case in cases}:
            print(f"the log of {size:,} rows", file=sys.stderr, flush=True)
            frames.write(folder, size)
        for runs in measure(Bench(checkouts, sink, folder), cases, wish.pairs):
            found = summaries(runs)
            if wish.out is not None:
                results = about | {"summaries": found, "runs": runs}
                wish.out.write_text(json.dumps(results, indent=1))
    commits = ", ".join(f"{name} {commit}" for name, commit in about["commits"].items())
    print(f"{commits}; pairs: {wish.pairs}, rows of the race: {wish.rows:,}\n")
    print(table(found))
    if wish.pairs < _LEAST_PAIRS:
        print(
            f"lower and upper are no 95 % bounds with fewer than {_LEAST_PAIRS} pairs",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
