"""A simulated process: feeds the machine and carries its commands out, until it ends or is killed.

It does what the shell in `celonis_frames._jobs.shell` does, in virtual time. `calls` has the
calls to the server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs import machine as machines
from celonis_frames._jobs.commands import State
from simulation.calls import TAKEN_OVER, Calls
from simulation.server import digests
from simulation.stage import CHECKED, LEASE_SECONDS, Stage, holds_lease, take_lease
from simulation.world import REFUSABLE, World

_REFUSABLE = frozenset(getattr(c, name) for name in REFUSABLE)
_CLEANING_STATES = frozenset({State.REPLACING, State.FAILING, State.SWEEPING, State.RETRACTING})


FREEZE_DURING = (c.Create, c.Send, c.List, c.Reserve, c.Cancel, c.Sweep)
"""Calls in which a process may be frozen: they go on, and their answers wait for it."""
FREEZE_SECONDS = 60.0
"""Longest time that a process stays frozen after its lease has expired."""
KILL_DURING = {"submit": c.Submit, "create": c.Create, "upload": c.Send}
"""Calls in which a process may be killed: what becomes of them then is open."""


class Killed(BaseException):
    """The process ends here."""


class Process(Calls):
    """One process that pushes, or resumes, the same chunks."""

    def __init__(
        self,
        world: World,
        contents: list[int],
        *,
        uploads: int,
        stage: Stage | None,
        resumes: bool = False,
        kill_at: int = -1,
        kill_during: str = "",
        freeze_at: int = -1,
        freeze_during: type | None = None,
        waits: bool,
        on_freeze: Any,
        on_end: Any,
    ) -> None:
        super().__init__(world, contents)
        self.stage, self.resumes = stage, resumes
        self.kill_at, self.kill_during, self.steps = kill_at, kill_during, 0
        self.freeze_at, self.freeze_during = freeze_at, freeze_during
        self.held_commands: list[Any] = []  # while it is frozen
        self.held_events: list[Any] = []
        self.on_freeze, self.on_end, self.waits = on_freeze, on_end, waits
        self.calls: dict[type, int] = {}
        self.refusals = world.limits.refusals
        self.interrupted = False
        self.result = ""
        self.began = world.now
        self.told = False  # the error says that the job was executed
        # A third of the pushes begin with one upload, since the order of their rows may matter.
        self.uploads, self.open_at = uploads, 1 + (0, 1, 2)[world.seed % 3]
        self.refutes = 0 if resumes else world.limits.refutes
        self.refute_at = 1 + int(world.random() * len(contents)) if self.refutes else 0
        recorded = None
        if resumes and not world.limits.bucket:
            assert stage is not None
            behind = int(world.random() * (world.limits.manifest_lag + 1))
            world.manifest_lag = max(world.manifest_lag, behind)
            recorded = stage.versions[max(0, len(stage.versions) - 1 - behind)]
        self.machine = machines.DeliveryMachine(
            uploads=1 if self.open_at > 1 else uploads, recorded=recorded,
            has_jobs=not world.limits.bucket, repeatable=world.limits.repeatable,
        )  # fmt: skip

    def start(self) -> None:
        """Begin, if no other process has the stage."""
        if self.stage is not None and not take_lease(self):
            self.alive = False
            self.on_end(self, "locked")
            return
        if self.world.limits.interruption and not self.resumes:
            self.world.later(self.world.limits.interruption, self.interrupt)
        self.feed(c.Start())

    def feed(self, event: Any) -> None:
        """Give an event to the machine and carry its commands out."""
        if self.frozen:
            self.held_events.append(event)
        elif self.alive:
            self.go_on([event])

    def go_on(self, pending: list[Any], commands: Sequence[Any] = ()) -> None:
        """Carry commands out, and give the machine their events and those that are pending."""
        machine, carry_out, now = self.machine, self.carry_out, self.world.now
        try:
            if commands:
                pending = c.carry_out(commands, carry_out) + pending
            while pending:
                self.step()
                if self.frozen:
                    self.held_events += pending
                    return
                pending += c.carry_out(machine.handle(pending.pop(0), now), carry_out)
        except Killed:
            self.die()
            self.on_end(self, "killed")
            return
        if machine.state in machines.ENDS and not self.ended:
            self.ended = True
            self.finish()

    def carry_out(self, command: Any) -> Any:
        """The event that answers the command, if it does so at once."""
        kind = type(command)
        if kind is c.Submit and self.steps + 1 == self.freeze_at:
            self.freeze_at += 1  # no freeze falls between its record and the submission
        self.step()
        if self.frozen:
            self.held_commands.append(command)
            return None
        if self.interrupted and kind not in c.CLEANING:
            return c.Failed("interrupted", interrupted=True, unknown=kind is c.Create)
        self.calls[kind] = self.calls.get(kind, 0) + 1
        if self.stage is not None and kind in CHECKED and not holds_lease(self, command):
            return TAKEN_OVER
        if self.refusals and self.refuses(kind):
            return c.Failed("refused", unsent=kind is c.Record)
        answer = _CARRY_OUT[kind](self, command)
        if self.kill_during and kind is KILL_DURING[self.kill_during]:
            self.struck("kill")
            raise Killed
        if kind is self.freeze_during:
            self.freeze()
        return answer

    def refuses(self, kind: type) -> bool:
        """Whether the command fails for good."""
        limits, name = self.world.limits, kind.__name__
        if kind not in _REFUSABLE or limits.refused not in ("", name):
            return False
        if self.world.random() > limits.refusals:
            return False
        self.struck(f"refused {name}")
        return True

    def step(self) -> None:
        """Count a step; the process may be killed or frozen at any."""
        self.steps += 1
        if self.steps == self.kill_at:
            self.struck("kill")
            raise Killed
        if self.steps == self.freeze_at:
            self.freeze()

    def freeze(self) -> None:
        """Do nothing for longer than the lease holds, as when the machine sleeps."""
        self.freeze_during, world = None, self.world
        if self.stage is None or self.frozen or self.ended:
            return
        self.struck("freeze")
        seconds = LEASE_SECONDS + FREEZE_SECONDS * world.random() ** 2
        self.frozen, self.froze_at, self.wakes_at = True, world.now, world.now + seconds
        world.at(world.now + LEASE_SECONDS, self.stage.expire, self)
        world.at(self.wakes_at, self.wake)
        self.on_freeze()

    def wake(self) -> None:
        """Go on where it was frozen."""
        assert self.stage is not None
        self.frozen = False
        self.stage.renew(self)
        commands, self.held_commands = self.held_commands, []
        events, self.held_events = self.held_events, []
        self.go_on(events, commands)

    def die(self) -> None:
        """End without a trace, but for the lease, which others find to be of a dead process."""
        self.alive = False
        if self.stage is not None:
            self.stage.expire(self)

    def interrupt(self) -> None:
        """A signal: what runs ends, and nothing but cleaning up begins."""
        if self.frozen:
            self.world.at(self.wakes_at, self.interrupt)
            return
        if not self.alive:
            return
        self.struck("interruption")
        self.interrupted = True
        if self.ended:
            self.report("interrupted")
        elif self.machine.state not in _CLEANING_STATES:
            self.turn += 1
            unknown = self.machine.state is State.CREATING
            self.feed(c.Failed("interrupted", interrupted=True, unknown=unknown))

    def finish(self) -> None:
        """The delivery has ended: wait for the job, or report the error."""
        machine = self.machine
        if machine.taken_over and not self.interrupted:
            return self.report("taken over")
        if machine.state is State.FAILED:
            verdict = machine.verdict.name if machine.verdict else ""
            word = "interrupted" if self.interrupted else "error"
            return self.report(f"failed {verdict}" if verdict else word)
        if self.interrupted:
            return self.report("interrupted")
        if self.world.limits.bucket:
            return self.report("DONE")
        return self.wait_for_job()

    def wait_for_job(self) -> None:
        """Poll the job until it has ended; after a doubt list its chunks once more."""
        if not self.alive:
            return None
        try:
            self.step()
        except Killed:
            self.die()
            return self.on_end(self, "killed")
        job = self.world.server.jobs[self.machine.job_id]
        if not self.waits:
            return self.report("CANCELED" if job.state == "CANCELED" else "DONE")
        if job.state in ("NEW", "RUNNING"):
            self.world.later(1.0, self.wait_for_job)
            return None
        if self.machine.doubted or self.machine.waited_for_lag or self.machine.adopted:
            shown = len(self.world.server.checksums(job.id, self.world.lagging()))
            if shown > self.machine.sent:
                return self.report("failed SURPLUS")
        return self.report(job.state)

    @property
    def begun(self) -> bool:
        """Whether it has done more than to look for what an earlier process left."""
        return bool(self.calls.keys() - {c.Find, c.Sleep})

    def report(self, result: str) -> None:
        """Tell the caller how the push ended."""
        self.result = result
        machine = self.machine
        runs_on = machine.state is State.DELIVERED
        self.told = runs_on or machine.final_state in ("DONE", "ERROR")
        self.die()
        if self.stage is not None and result == "DONE":
            self.stage.removed = True
        self.on_end(self, result)

    # Commands that call nobody.

    def record(self, command: c.Record) -> None:
        if self.stage is not None:
            recorded = dataclasses.replace(self.machine.record, state=command.state)
            self.stage.versions.append(recorded)

    def take(self, _: c.Next) -> Any:
        number = self.taken + 1
        if number == self.refute_at and self.refutes:
            self.refutes -= 1
            self.struck("refuted")
            return c.Refuted()
        if number > len(self.contents):
            return c.ChunksEnded()
        self.taken = number
        self.kept.add(number)
        opened = number >= self.open_at  # from this chunk on the order does not matter
        return c.ChunkReady(number, self.uploads if opened else 1)

    def restart(self, _: c.Restart) -> None:
        self.taken = 0
        self.kept.clear()
        self.tries.clear()

    def release(self, command: c.Release) -> None:
        if command.number not in self.kept:
            self.problem = f"chunk {command.number} is released twice"
        self.kept.discard(command.number)

    def sleep(self, command: c.Sleep) -> None:
        delay = max(0.0, command.until - self.world.now)
        self.world.later(delay, self.answer, c.Woke(), self.turn, False)

    def stop_uploads(self, _: c.StopUploads) -> None:
        self.generation += 1

    def found(self) -> c.Found:
        """What is left of an earlier process."""
        world, server, recorded = self.world, self.world.server, self.machine.recorded
        assert recorded is not None
        self.found_at = world.now
        self.kept = set(range(1, len(self.contents) + 1))
        shown = world.lagging()

        def show(job: Any) -> c.FoundJob:
            checksums = server.checksums(job.id, shown) if job.state != "NEW" else ()
            return c.FoundJob(job.id, job.state, checksums)

        own = server.jobs.get(recorded.job_id)
        if own is not None and own.id in server.deleted:
            own = None
        if own is not None and own.state == "NEW" and recorded.state is State.UPLOADING:
            self.adopted = own
        others = [
            job for job in server.jobs.values()
            if job is not own and job.id not in server.deleted and job.created <= shown
            and job.state != "CANCELED"
        ]  # fmt: skip
        return c.Found(
            None if own is None else show(own),
            tuple([show(job) for job in others]),
            tuple([digests(content) for content in self.contents]),
        )


_CARRY_OUT: dict[type, Any] = {
    c.Find: Process.find, c.Create: Process.create, c.Record: Process.record,
    c.Next: Process.take, c.Restart: Process.restart, c.Send: Process.send,
    c.Release: Process.release, c.List: Process.list, c.Sleep: Process.sleep,
    c.Reserve: Process.reserve, c.Submit: Process.submit, c.ReadState: Process.read_state,
    c.StopUploads: Process.stop_uploads, c.Cancel: Process.cancel, c.Sweep: Process.sweep,
}  # fmt: skip
