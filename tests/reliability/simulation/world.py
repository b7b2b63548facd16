"""Virtual time, and one random schedule: what fails, how, and when."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from simulation.server import FOLLOW, KINDS, Server

LATE, LAG = 10.0, 5.0
"""The bounds: a call without a response takes effect within LATE seconds or never, and a list lags
at most LAG seconds."""
MAX_EVENTS = 5_000


class Limits(NamedTuple):
    """What may go wrong in one schedule.

    Attributes:
        beyond: Whether the bounds do not hold.
        rate: Share of calls without a proper response.
        most: Calls without a proper response, at most.
        often: The call that is struck more often than others.
        answers: Whether only answers are lost: every call is carried out.
        twice: Whether an acknowledged upload may be stored twice.
        late: Longest delay (s) of an effect.
        slow: Longest time (s) that an upload takes.
        edges: Whether effects come just before the bound; beyond it, just after the last count.
        lag: Longest lag (s) of a list.
        manifest_lag: Writes by which a manifest that is read may be behind.
        refusals: Share of commands that fail for good.
        refused: The one command that does so, if it is one only.
        errors: Whether jobs end in ERROR, half of them.
        kills: Processes that are killed.
        freezes: Processes that are frozen for longer than their lease holds.
        interruption: When (s) the first process is interrupted; 0 for never.
        outage: When (s) the server cannot be reached for long; 0 for never.
        no_cancel: Whether no job can be cancelled.
        twins: Whether a second `resume` starts beside the first.
        deletes: Whether jobs that have ended are deleted before a `resume`.
        quota: Longest wait (s) for the quota of submissions.
        refutes: How often the job's fields do not fit the chunks that come next.
        bucket: Whether the destination has no jobs.
        repeatable: Whether an object replaces one of the same name.
    """

    beyond: bool = False
    rate: float = 0.0
    most: int = 1_000
    often: str = ""
    answers: bool = False
    twice: bool = False
    late: float = LATE
    slow: float = 0.0
    edges: bool = False
    lag: float = 0.0
    manifest_lag: int = 0
    refusals: float = 0.0
    refused: str = ""
    errors: bool = False
    kills: int = 0
    freezes: int = 0
    interruption: float = 0.0
    outage: float = 0.0
    no_cancel: bool = False
    twins: bool = False
    deletes: bool = False
    quota: float = 0.0
    refutes: int = 0
    bucket: bool = False
    repeatable: bool = True


REFUSABLE = ("Create", "Record", "Next", "Send", "List", "Reserve", "Submit", "ReadState", "Find")
"""Commands that may fail for good."""
OUTAGE_SECONDS = 120.0


class World:
    """The clock, the events to come, and the random choices of one schedule."""

    def __init__(self, seed: int, kind: str, limits: Limits) -> None:
        self.seed = seed
        self.random = random.Random(seed).random  # noqa: S311
        self.limits = limits
        self.now = self.ended = 0.0
        self.server = Server(self, kind)
        self.faults: list[str] = []
        self.manifest_lag = 0  # the longest that a reader saw
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def later(self, seconds: float, function: Callable[..., None], *args: Any) -> None:
        """Call a function after some seconds."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + seconds, self._count, function, args))

    def at(self, time: float, function: Callable[..., None], *args: Any) -> None:
        """Call a function at a time, after what was to be called then already."""
        self._count += 1
        heapq.heappush(self._queue, (time, self._count, function, args))

    def run(self) -> None:
        """Go on until nothing is left to happen."""
        queue, pop = self._queue, heapq.heappop
        while queue:
            if self._count > MAX_EVENTS:
                raise AssertionError("the schedule does not end")
            self.now, _, function, args = pop(queue)
            function(*args)

    def fails(self) -> bool:
        """Whether the next call gets no proper response."""
        return self.random() < self.limits.rate and len(self.faults) < self.limits.most

    def is_down(self) -> bool:
        """Whether the server cannot be reached now."""
        begin = self.limits.outage
        return begin > 0.0 and begin <= self.now < begin + OUTAGE_SECONDS

    def delay(self) -> float:
        """Seconds after which a call without a response takes effect."""
        limits, draw = self.limits, self.random()
        if not limits.edges:
            return limits.late * draw
        return 15.1 + 0.8 * draw if limits.beyond else limits.late * (1.0 - draw / 50.0)

    def lagging(self) -> float:
        """The time up to which a list shows what was stored."""
        lag = self.limits.lag
        if lag and self.random() < 0.5:
            return self.now - lag * self.random()
        return self.now


def random_limits(choose: random.Random) -> tuple[str, Limits]:
    """The kind of checksums and the limits of one schedule: a third is beyond the bounds."""
    draw = choose.random
    kind = KINDS[min(int(draw() * 5), 3)] if draw() < 0.6 else "digest"
    beyond = draw() < 1 / 3
    rate = (0.0, 0.03, 0.1, 0.25)[int(draw() * 4)]
    edges = draw() < 0.25
    if draw() < 0.06:
        repeatable = draw() < 0.5
        return kind, Limits(
            beyond=beyond, rate=rate, edges=edges, bucket=True, repeatable=repeatable,
            twice=repeatable and draw() < 0.5, late=60.0 if beyond else LATE,
            refusals=0.03 if draw() < 0.1 else 0.0, kills=int(draw() * 2) if repeatable else 0,
            interruption=0.1 + 2.0 * draw() if draw() < 0.1 else 0.0,
            outage=0.01 + 2.0 * draw() if beyond and draw() < 0.1 else 0.0,
        )  # fmt: skip
    lags, deletes = draw() < 0.35, draw() < 0.1
    refused = draw()
    one = REFUSABLE[int(draw() * len(REFUSABLE))] if 0.06 < refused < 0.12 else ""
    often = ("submit", "upload", "create")[int(draw() * 3)] if draw() < 0.3 else ""
    if one == "ReadState":  # it is read only after a submission without a response
        often = "submit"
    broken = draw() if beyond else 1.0
    return kind, Limits(
        beyond=beyond,
        rate=rate,
        # The one combination that no list can show is beyond the bounds, and counted apart.
        twice=draw() < 0.4 and (kind in FOLLOW or not lags or beyond),
        late=60.0 if beyond else LATE,
        most=1 if draw() < 0.3 else 1_000,
        often=often,
        edges=edges,
        lag=(30.0 if beyond else LAG) if lags else 0.0,
        manifest_lag=0 if draw() < 0.7 or (deletes and not beyond) else 1 + beyond,
        refusals=0.03 if refused < 0.06 else 0.5 if refused < 0.12 else 0.0,
        refused=one,
        errors=draw() < 0.03,
        kills=(0, 0, 0, 0, 0, 1, 1, 2, 2, 3)[int(draw() * 10)],
        interruption=0.1 + (3.0 if draw() < 0.6 else 25.0) * draw() if draw() < 0.1 else 0.0,
        outage=0.01 + 20.0 * draw() if broken < 0.12 else 0.0,
        no_cancel=0.12 < broken < 0.24,
        twins=draw() < 0.15,
        deletes=deletes,
        quota=(0.0, 0.0, 0.9, 40.0)[int(draw() * 4)],
        refutes=1 + int(draw() * 2) if draw() < 0.05 else 0,
        freezes=1 + int(draw() * 2) if draw() < 0.15 else 0,
    )
