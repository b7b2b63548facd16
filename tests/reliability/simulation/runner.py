"""Runs many schedules in several processes, and counts what became of them."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from celonis_frames._jobs import machine
from simulation.lossy import push_over_lossy_line
from simulation.mutants import Mutant, mutants
from simulation.schedule import Result, run
from simulation.scripts import SCRIPTS

BLOCK = 2_000
"""Schedules that one process runs at a time."""
MOST_TRANSITIONS = 1_000
"""Transitions that follow from one event, far more than there can be."""
MUTANT_SCHEDULES = 20_000
"""Schedules after which a mutant counts as not found."""


class Block(NamedTuple):
    """What became of some schedules."""

    schedules: int
    ends: Counter[tuple[str, str]]  # where and how they ended
    faults: Counter[str]
    rows: frozenset[int]  # transitions of the table that were taken
    problems: tuple[tuple[int, str], ...]
    apart: int  # the combination of faults that no list can show
    seconds: float


def checked(seed: int) -> Result | str:
    """The result of a schedule, or the error in it."""
    try:
        return run(seed)
    except Exception as error:  # of any kind: the machine may be a mutant
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {frame.name}: {error}"


def run_block(seeds: tuple[int, int]) -> Block:
    """Run the schedules from the first seed to before the second."""
    begin = time.process_time()
    ends: Counter[tuple[str, str]] = Counter()
    faults: Counter[str] = Counter()
    problems, apart = [], 0
    gc.collect()
    gc.disable()
    with recorded_rows() as rows:
        for seed in range(*seeds):
            result = checked(seed)
            if isinstance(result, str):
                problems.append((seed, result))
                continue
            limits = result.limits
            where = "bucket" if limits.bucket else "beyond" if limits.beyond else "within"
            ends[where, result.ends[-1] if result.ends else "none"] += 1
            faults.update(result.faults)
            apart += result.apart
            if result.problem:
                problems.append((seed, result.problem))
    gc.enable()
    seconds = time.process_time() - begin
    count = seeds[1] - seeds[0]
    return Block(count, ends, faults, frozenset(rows), tuple(problems), apart, seconds)


@contextlib.contextmanager
def recorded_rows() -> Iterator[set[int]]:
    """The positions in the table of the transitions that are taken within the block.

    A machine that takes transitions without end fails.
    """
    positions = {id(row): position for position, row in enumerate(machine.TABLE)}
    taken: set[int] = set()
    before, in_a_row = machine.DeliveryMachine._row, 0

    def _row(self: Any, event: Any, kind: type | None) -> machine.Row | None:
        nonlocal in_a_row
        in_a_row = 0 if kind is not None else in_a_row + 1
        if in_a_row > MOST_TRANSITIONS:
            raise AssertionError("the transitions do not end")
        for row in machine._ROWS.get((self.state, kind), ()):
            if row.guard is None or row.guard(self, event):
                taken.add(id(row))
                return row
        return None

    machine.DeliveryMachine._row = _row  # type: ignore[method-assign]
    rows: set[int] = set()
    try:
        yield rows
    finally:
        machine.DeliveryMachine._row = before  # type: ignore[method-assign]
        rows.update(positions[row] for row in taken if row in positions)


class Summary:
    """The counts of all blocks."""

    def __init__(self) -> None:
        self.schedules, self.apart, self.seconds = 0, 0, 0.0
        self.ends: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.rows: set[int] = set()
        self.problems: list[tuple[int, str]] = []

    def add(self, block: Block) -> None:
        """Count a block."""
        self.schedules += block.schedules
        self.apart += block.apart
        self.seconds += block.seconds
        self.ends += block.ends
        self.faults += block.faults
        self.rows |= block.rows
        self.problems += block.problems

    def table(self) -> str:
        """The counts as Markdown."""
        places = ("within", "beyond", "bucket")
        lines = ["| end | within the bounds | beyond them | bucket |", "|---|---|---|---|"]
        for end in sorted({end for _, end in self.ends}, key=_order):
            counts = " | ".join(f"{self.ends[place, end]:,}" for place in places)
            lines.append(f"| {_WORDS.get(end, end)} | {counts} |")
        faults: Counter[str] = Counter()
        for fault, count in self.faults.items():
            faults[re.sub(r"^refused .*", "command that failed for good", fault)] += count
        lines += ["", "| fault | struck |", "|---|---|"]
        lines += [f"| {fault} | {count:,} |" for fault, count in sorted(faults.items())]
        return "\n".join(lines)

    def missed(self) -> list[str]:
        """The transitions that were never taken."""
        rows = (row for i, row in enumerate(machine.TABLE) if i not in self.rows)
        return [
            f"{row.state}, {getattr(row.event, '__name__', None)}, "
            f"{getattr(row.guard, '__name__', None)}"
            for row in rows
        ]

    def sentence(self) -> str:
        """The counts in short."""
        return (
            f"{self.schedules:,} schedules, {sum(self.faults.values()):,} faults, "
            f"{len(self.rows)} of {len(machine.TABLE)} transitions taken, "
            f"{self.apart:,} schedules with the combination that is counted apart, "
            f"{len(self.problems):,} problems."
        )


_WORDS = {
    "error": "an error, table unchanged", "interrupted": "interrupted",
    "ERROR": "the job failed",
}  # fmt: skip


def _order(end: str) -> tuple[int, str]:
    return (end != "DONE", end)


def run_all(first: int, last: int, processes: int, *, quiet: bool = False) -> Summary:
    """Run the schedules of the seeds, and print the progress."""
    blocks = [(seed, min(seed + BLOCK, last)) for seed in range(first, last, BLOCK)]
    summary, begin, said = Summary(), time.monotonic(), time.monotonic()
    with recorded_rows() as rows:
        for script in SCRIPTS:
            script()
    summary.rows |= rows
    for block in _in_processes(run_block, blocks, processes):
        summary.add(block)
        for seed, problem in block.problems:
            print(f"seed {seed}: {problem}", flush=True)
        if not quiet and time.monotonic() - said > 10:
            said = time.monotonic()
            share = summary.schedules / (last - first)
            print(
                f"{summary.schedules:,} ({share:.0%}), {len(summary.problems)} problems, "
                f"{said - begin:,.0f} s", file=sys.stderr, flush=True,
            )  # fmt: skip
    return summary


class Found(NamedTuple):
    """Whether and how a mutant was found."""

    position: int
    schedules: int  # 0 if a script found it
    problem: str  # empty if it was not found


def all_mutants() -> list[Mutant]:
    """The mutants, made once."""
    if not _MUTANTS:
        _MUTANTS.extend(mutants())
    return _MUTANTS


_MUTANTS: list[Mutant] = []


def find(position: int, most: int = MUTANT_SCHEDULES) -> Found:
    """Run schedules until one shows that the mutant is wrong."""
    gc.disable()
    with all_mutants()[position].applied(), recorded_rows():
        for seed in range(most):
            result = checked(seed)
            problem = result if isinstance(result, str) else result.problem
            if problem:
                return Found(position, seed + 1, problem)
            if seed % BLOCK == 0:
                gc.collect()
        for script in SCRIPTS:
            try:
                script()
            except Exception as error:
                return Found(position, 0, f"script `{script.__name__}`: {error}")
    return Found(position, most, "")


def find_all(processes: int) -> list[Found]:
    """Find all mutants, and print each that was found late or not at all."""
    found: list[Found] = []
    every = all_mutants()
    for result in _in_processes(find, range(len(every)), processes):
        found.append(result)
        mark = result.problem or "NOT FOUND"
        print(
            f"{len(found)}/{len(every)} {every[result.position]}: {result.schedules:,} {mark}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return sorted(found)


def mutants_table(found: list[Found]) -> str:
    """The mutants as Markdown."""
    lines = ["| guard | change | what it protects | found after | as |", "|---|---|---|---|---|"]
    for result in found:
        mutant = all_mutants()[result.position]
        problem = result.problem or "not found"
        lines.append(
            f"| {mutant.where} | {_cell(mutant.what)} | {_cell(mutant.protects)} | "
            f"{result.schedules:,} | {_cell(problem)} |"
        )
    return "\n".join(lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\w)(j\d+)", "a job", text.split("\n", maxsplit=1)[0]).replace("|", "\\|")


def lossy(pushes: int, processes: int) -> tuple[int, Counter[str]]:
    """How pushes over a lossy line end: the number of DONE, and all ends."""
    ends = Counter(_in_processes(push_over_lossy_line, range(pushes), processes))
    return ends["DONE"], ends


def _in_processes(function: Any, arguments: Any, processes: int) -> Iterator[Any]:
    if processes == 1:
        yield from map(function, arguments)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(function, arguments)
