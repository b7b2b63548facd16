"""One schedule from one seed: a push, its kills and resumes, and what must be true at the end."""

from __future__ import annotations

import random
from typing import NamedTuple

from simulation.oracle import UNCERTAIN, judge
from simulation.process import FREEZE_DURING, Process
from simulation.server import FOLLOW
from simulation.stage import LEASE_SECONDS, Stage
from simulation.world import Limits, World, random_limits

RESUMES = 6
SLOW_SECONDS, SLOW_SHARE = 20.0, 0.1
"""Longest time that an upload takes in a share of the schedules."""
TAKEOVER_SECONDS = 40.0
"""Longest time after which a frozen process's push is resumed, once its lease has expired."""


class Result(NamedTuple):
    """What became of a schedule. `problem` is empty if all is well."""

    problem: str
    ends: tuple[str, ...]
    faults: tuple[str, ...]
    kind: str
    limits: Limits
    apart: bool


class Schedule:
    """One push with all that happens to it."""

    def __init__(
        self, seed: int, *, kind: str, limits: Limits, contents: list[int], uploads: int
    ) -> None:
        self.world = World(seed, kind, limits)
        self.contents, self.uploads, self.limits = contents, uploads, limits
        self.kills, self.freezes, self.twins = limits.kills, limits.freezes, limits.twins
        self.waits = limits.errors or self.world.random() < 0.6
        staged = limits.kills + limits.freezes > 0 or self.world.random() < 0.15
        self.stage = Stage() if staged and limits.repeatable else None
        self.ends: list[str] = []
        self.processes: list[Process] = []  # those that ended, in the order of their ends
        self.overtaken: list[Process] = []  # those that ended after another had taken the stage
        self.resumes = 0

    def run(self) -> Result:
        """Run it to the end and check what must be true."""
        self._spawn(resumes=False)
        self.world.run()
        world, limits, kind = self.world, self.limits, self.world.server.kind
        apart = kind not in FOLLOW and limits.twice and limits.lag > 0.0
        return Result(judge(self), tuple(self.ends), tuple(world.faults), kind, limits, apart)

    def _spawn(self, *, resumes: bool) -> None:
        kill_at, kill_during = -1, ""
        if self.kills:
            self.kills -= 1
            draw = self.world.random()
            if draw < 0.3 and not self.limits.bucket:
                kill_during = "submit" if draw < 0.2 else "create" if draw < 0.25 else "upload"
            else:
                kill_at = 1 + int(self.world.random() * (16 + 6 * len(self.contents)))
        freeze_at, freeze_during = -1, None
        if self.freezes:
            self.freezes -= 1
            draw = self.world.random()
            if draw < 0.5:
                freeze_during = FREEZE_DURING[int(draw * 2 * len(FREEZE_DURING))]
            else:
                freeze_at = 1 + int(self.world.random() * (16 + 6 * len(self.contents)))
        Process(
            self.world, self.contents, uploads=self.uploads, stage=self.stage, resumes=resumes,
            kill_at=kill_at, kill_during=kill_during, freeze_at=freeze_at,
            freeze_during=freeze_during, waits=self.waits, on_freeze=self._frozen,
            on_end=self._ended,
        ).start()  # fmt: skip

    def _frozen(self) -> None:
        if self.resumes < RESUMES:
            self.resumes += 1
            self.world.later(
                LEASE_SECONDS + TAKEOVER_SECONDS * self.world.random() ** 2, self._resume
            )

    def _ended(self, process: Process, result: str) -> None:
        if result == "locked":
            return
        if self.stage is not None and self.stage.takers[-1] is not process:
            self.overtaken.append(process)
            return
        self.ends.append(result)
        self.processes.append(process)
        self.world.ended = self.world.now
        again = result not in ("DONE", "ERROR") and result not in UNCERTAIN
        if self.stage is None or not again or self.resumes >= RESUMES:
            return
        self.resumes += 1
        self.world.later(20.0 * self.world.random() ** 2, self._resume)

    def _resume(self) -> None:
        stage, server, world = self.stage, self.world.server, self.world
        assert stage is not None
        if stage.removed:
            return
        if self.resumes >= RESUMES - 2:  # in the end all goes well
            self.kills = 0
            world.limits = world.limits._replace(
                rate=0.0, twice=False, refusals=0.0, outage=0.0, no_cancel=False
            )
        if world.limits.deletes:
            for job in server.jobs.values():
                if job.state in ("DONE", "ERROR"):
                    server.deleted.setdefault(job.id, world.now)
        self._spawn(resumes=True)
        if self.twins:
            self.twins = False
            self._spawn(resumes=True)


def run(seed: int) -> Result:
    """The schedule of a seed."""
    choose = random.Random(seed)  # noqa: S311
    kind, limits = random_limits(choose)
    chunks = (1, 1, 2, 2, 3, 4, 5)[int(choose.random() * 7)]
    contents = list(range(1, chunks + 1))
    if chunks > 1 and choose.random() < 0.06:
        contents[-1] = contents[0]  # equal rows make equal chunks
    uploads = 1 + int(choose.random() * 3)
    # An upload that is under way when its process stops takes effect soon, or never.
    if choose.random() < SLOW_SHARE and not (limits.kills or limits.freezes):
        limits = limits._replace(slow=SLOW_SECONDS)
    return Schedule(seed, kind=kind, limits=limits, contents=contents, uploads=uploads).run()
