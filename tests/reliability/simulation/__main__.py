"""Command line of the simulation: see README.md."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults"), str(HERE.parents[2])]

import reliability_page  # noqa: E402

from simulation import runner  # noqa: E402

MANY = 100_000
"""Schedules that take every transition."""
LOSSY_SHARE = 0.99
"""Share of pushes over the lossy line that must end DONE."""


def main() -> int:
    """Run what the command line asks for; 1 if there is a problem."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("seeds", nargs="?", default="100000", help="number, or FIRST:LAST")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--mutants", action="store_true", help="find the mutants")
    parser.add_argument("--lossy", action="store_true", help="2,000 pushes over a lossy line")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    options = parser.parse_args()
    begin = time.monotonic()
    if options.mutants:
        name, text, good = _mutants(options)
    elif options.lossy:
        name, text, good = _lossy(options)
    else:
        name, text, good = _schedules(options)
    print(f"{text}\n\n{time.monotonic() - begin:,.0f} s")
    if options.write:
        reliability_page.write(name, text)
    return 0 if good else 1


def _schedules(options: argparse.Namespace) -> tuple[str, str, bool]:
    first, _, last = options.seeds.replace(",", "").rpartition(":")
    summary = runner.run_all(int(first or 0), int(last), options.processes)
    text = f"{summary.sentence()}\n\n{summary.table()}"
    missed = summary.missed()
    if missed:
        print(f"transitions that were not taken: {'; '.join(missed)}")
    return "simulation", text, not summary.problems and not (missed and summary.schedules >= MANY)


def _mutants(options: argparse.Namespace) -> tuple[str, str, bool]:
    found = runner.find_all(options.processes)
    good = all(result.problem for result in found)
    count = sum(bool(result.problem) for result in found)
    text = f"{len(found)} mutants, {count} found.\n\n{runner.mutants_table(found)}"
    return "mutants", text, good


def _lossy(options: argparse.Namespace) -> tuple[str, str, bool]:
    done, ends = runner.lossy(2_000, options.processes)
    others = ", ".join(f"{end}: {count}" for end, count in sorted(ends.items()))
    text = f"{done:,} of 2,000 pushes ended DONE ({others})."
    return "lossy", text, done >= 2_000 * LOSSY_SHARE


if __name__ == "__main__":
    raise SystemExit(main())
