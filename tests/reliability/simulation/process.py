"""A simulated process: feeds the machine and carries its commands out, until it ends or is killed.

It does what the shell in `celonis_frames._jobs.shell` does, in virtual time. `calls` has the
calls to the server.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs import machine as machines
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery_state import Recorded
from simulation.calls import Calls
from simulation.server import digests
from simulation.world import REFUSABLE, World

CLEANING = frozenset({c.Release, c.StopUploads, c.Cancel, c.Sweep})
"""What is done although the push is interrupted."""
_REFUSABLE = frozenset(getattr(c, name) for name in REFUSABLE)
_CLEANING_STATES = frozenset({State.REPLACING, State.FAILING, State.SWEEPING, State.RETRACTING})


KILL_DURING = {"submit": c.Submit, "create": c.Create, "upload": c.Send}
"""Calls in which a process may be killed: what becomes of them then is open."""


class Killed(BaseException):
    """The process ends here."""


class Stage:
    """Manifest of a staged push, with every version ever written, and its lease."""

    def __init__(self) -> None:
        self.versions = [Recorded(State.CREATING)]
        self.holder: Process | None = None
        self.removed = False


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
        waits: bool,
        on_end: Any,
    ) -> None:
        super().__init__(world, contents)
        self.stage, self.resumes = stage, resumes
        self.kill_at, self.kill_during, self.steps = kill_at, kill_during, 0
        self.on_end, self.waits = on_end, waits
        self.calls: dict[type, int] = {}
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
        if not self.alive:
            return
        pending, machine, calls = [event], self.machine, self.calls
        refusals = self.world.limits.refusals
        try:
            while pending:
                self.step()
                for command in machine.handle(pending.pop(0), self.world.now):
                    self.step()
                    kind = type(command)
                    if self.interrupted and kind not in CLEANING:
                        pending.append(c.Failed("interrupted", interrupted=True))
                        break
                    calls[kind] = calls.get(kind, 0) + 1
                    if refusals and self.refuses(kind):
                        pending.append(c.Failed("refused"))
                        break
                    answer = _CARRY_OUT[kind](self, command)
                    if self.kill_during and kind is KILL_DURING[self.kill_during]:
                        self.struck("kill")
                        raise Killed
                    if answer is not None:
                        pending.append(answer)
                        if type(answer) is c.Failed:
                            break
        except Killed:
            self.die()
            self.on_end(self, "killed")
            return
        if machine.state in machines.ENDS and not self.ended:
            self.ended = True
            self.finish()

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
        """Count a step; the process may be killed at any."""
        self.steps += 1
        if self.steps == self.kill_at:
            self.struck("kill")
            raise Killed

    def die(self) -> None:
        """End without a trace, but for the lease, which others find to be of a dead process."""
        self.alive = False
        if self.stage is not None and self.stage.holder is self:
            self.stage.holder = None

    def interrupt(self) -> None:
        """A signal: what runs ends, and nothing but cleaning up begins."""
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
            return self.report("DONE")
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
        if self.stage is not None and self.stage.holder is self:
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


def take_lease(process: Process) -> bool:
    """Take the stage; False if another process has it."""
    stage = process.stage
    assert stage is not None
    if stage.holder is not None:
        return False
    stage.holder = process
    return True


_CARRY_OUT: dict[type, Any] = {
    c.Find: Process.find, c.Create: Process.create, c.Record: Process.record,
    c.Next: Process.take, c.Restart: Process.restart, c.Send: Process.send,
    c.Release: Process.release, c.List: Process.list, c.Sleep: Process.sleep,
    c.Reserve: Process.reserve, c.Submit: Process.submit, c.ReadState: Process.read_state,
    c.StopUploads: Process.stop_uploads, c.Cancel: Process.cancel, c.Sweep: Process.sweep,
}  # fmt: skip
