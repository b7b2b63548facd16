"""The calls of a simulated process: answered, lost before or after they took effect, or late."""

from __future__ import annotations

from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State
from simulation.server import FOLLOW, Job, digests
from simulation.stage import holds_lease
from simulation.world import World

RESPONSE_SECONDS = 0.1
MAX_TRIES = 6
SOON_SECONDS = 2.0  # an upload stored before that is not taken to be lost
RETRY_SECONDS = 0.5  # doubled with every try
TAKEN_OVER = c.TakenOver("lease")


class Calls:
    """Each command is a call: its event is returned at once, or fed when the call has ended."""

    machine: Any
    stage: Any
    feed: Any

    def __init__(self, world: World, contents: list[int]) -> None:
        self.world, self.contents = world, contents
        self.alive, self.ended = True, False
        self.frozen, self.froze_at, self.wakes_at = False, -1.0, -1.0
        self.generation = self.turn = 0  # of the uploads, and of the other calls
        self.taken = 0
        self.kill_during = ""  # the call in which the process is killed
        self.kept: set[int] = set()  # chunks not yet released
        self.tries: dict[int, int] = {}
        self.faults: list[str] = []  # those that struck this process
        self.adopted: Job | None = None
        self.found_at = 0.0
        self.problem = ""
        self.listed_at = 0.0  # when the last list was asked for
        self.count_age = 0.0  # at the end of the wait for the quota
        self.created = self.probes = 0
        self.rejected = ""  # a job whose submission was rejected for good
        self.hopeless = ""  # a job whose list showed that it cannot be executed

    def struck(self, fault: str) -> None:
        """Note a fault."""
        self.faults.append(fault)
        self.world.faults.append(fault)

    def call(
        self, name: str, effect: Any, arguments: tuple[Any, ...], done: Any, unknown: Any,
        ticket: int, *, upload: bool = False, tries: int = 1,
    ) -> None:  # fmt: skip
        """Call the server: with a fault it takes effect never, late, or before a lost response."""
        world = self.world
        draw = world.random()
        delay = RESPONSE_SECONDS * (0.5 + draw)
        if upload and world.limits.slow:
            delay += world.limits.slow * world.random()
        down = world.limits.outage > 0.0 and world.is_down()
        struck = world.fails() or name == self.kill_during
        struck = struck or (
            name == world.limits.often
            and len(world.faults) < world.limits.most
            and world.random() < 0.5
        )
        if not down and not struck:
            world.later(delay, self.respond, effect, arguments, done, ticket, upload)
            return
        draw = 0.4 if world.limits.answers else world.random()
        if world.limits.edges or name == self.kill_during:
            draw = 0.25 + 0.75 * draw
        if draw < 0.25 or (down and draw < 0.7):  # no connection: tried again
            self.struck(f"{name}: no connection")
            if tries >= MAX_TRIES:
                world.later(delay, self.answer, c.Failed("unreachable"), ticket, upload)
                return
            again = (name, effect, arguments, done, unknown, ticket, upload, tries + 1)
            world.later(delay + RETRY_SECONDS * 2**tries, self.retry, again)
            return
        how = "never"
        if not down and draw < 0.55:  # carried out, but the response is lost
            world.later(delay / 2, effect, *arguments)
            how = "now"
        if not down and 0.45 < draw < 0.75:  # carried out later, perhaps for the second time
            late = world.delay() * 0.99
            world.later(delay + late, effect, *arguments)
            how = "twice" if how == "now" else "soon" if late < SOON_SECONDS else "late"
        self.struck(f"{name}: {how}")
        world.later(delay, self.answer, unknown, ticket, upload)

    @property
    def is_lost(self) -> bool:
        """Whether another process has the stage now."""
        return self.stage is not None and not holds_lease(self, None)

    def retry(self, again: tuple[Any, ...]) -> None:
        name, effect, arguments, done, unknown, ticket, upload, tries = again
        if self.frozen:
            self.world.at(self.wakes_at, self.retry, again)
        elif self.is_lost:
            self.answer(TAKEN_OVER, ticket, upload)
        elif self.alive and ticket == (self.generation if upload else self.turn):
            self.call(
                name, effect, arguments, done, unknown, ticket, upload=upload, tries=tries
            )  # fmt: skip

    def respond(self, effect: Any, arguments: Any, done: Any, ticket: int, upload: bool) -> None:
        event = done(effect(*arguments))
        if event is not None:
            self.answer(event, ticket, upload)

    def answer(self, event: Any, ticket: int, upload: bool) -> None:
        """Feed the event, unless its call was ended."""
        if ticket == (self.generation if upload else self.turn):
            self.feed(event)

    def read(self, delay: float, function: Any, failed: Any, *, changes: bool = False) -> None:
        """Read from the server, or repeat a call as often as it takes; `failed` after all tries.

        `changes`: the call changes something.
        """
        world = self.world
        delay += RESPONSE_SECONDS * (0.5 + world.random())
        if world.limits.outage > 0.0 and world.is_down():
            self.struck("outage")
            world.later(delay + RETRY_SECONDS * 2**MAX_TRIES, self.answer, failed, self.turn, False)
            return
        while world.fails():
            self.struck("read")
            delay += 1.0
        world.later(delay, self.got, function, changes, self.turn)

    def got(self, function: Any, changes: bool, ticket: int) -> None:
        """The call's end. If the process was frozen before, it is carried out only now, or was."""
        if self.frozen and self.world.random() < 0.5:
            self.world.at(self.wakes_at, self.got, function, changes, ticket)
        elif changes and self.is_lost and not self.frozen:
            self.answer(TAKEN_OVER, ticket, upload=False)
        else:
            self.respond(function, (), _same, ticket, upload=False)

    # The commands.

    def find(self, _: c.Find) -> None:
        self.read(0.0, self.found, c.Failed("unreachable"))

    def found(self) -> c.Found:
        raise NotImplementedError

    def create(self, _: c.Create) -> None:
        create = self.world.server.create
        self.call("create", create, (), self.made, c.CreationUnknown(), self.turn)

    def made(self, job_id: str) -> c.Created:
        self.created += 1
        self.hopeless = ""
        return c.Created(job_id)

    def send(self, command: c.Send) -> Any:
        number = command.number
        self.tries[number] = self.tries.get(number, 0) + 1
        if number not in self.kept:
            self.problem = f"chunk {number} is sent after it was released"
        if self.tries[number] > MAX_TRIES:
            return c.Failed("tries")
        world, machine = self.world, self.machine
        content, server, job_id = self.contents[number - 1], world.server, machine.job_id
        limits = world.limits
        if self.hopeless and self.hopeless == job_id:
            self.problem = "a chunk is sent into a job that cannot be executed"
        # What is missing may still be stored, and then shows nothing.
        probing = machine.state is State.PROBING and not machine.unknown

        def effect() -> bool:
            if limits.bucket:
                stored = server.put(number, content, replaces=limits.repeatable)
            else:
                stored = server.upload(job_id, content, self)
            if limits.twice and world.random() < limits.rate:
                self.struck("stored twice")
                if limits.bucket:
                    server.put(number, content, replaces=limits.repeatable)
                else:
                    server.upload(job_id, content, self)
            return stored

        def done(stored: bool) -> Any:
            self.probes += probing
            return c.Uploaded(number) if stored else c.Failed("rejected")

        unknown = c.UploadUnknown(number, digests(content))
        self.call("upload", effect, (), done, unknown, self.generation, upload=True)
        return None

    def list(self, command: c.List) -> None:
        self.listed_at = self.world.now + command.delay
        self.read(command.delay, self.listed, c.Failed("unreachable"))

    def listed(self) -> c.Listed:
        world, machine = self.world, self.machine
        checksums = world.server.checksums(machine.job_id, world.lagging())
        sent = len(self.contents) if self.adopted is not None else self.taken
        if not world.limits.lag and (
            len(checksums) > sent
            or (
                world.server.kind in FOLLOW
                and len(set(checksums)) < len(checksums)
                and machine.doubted
            )
        ):
            self.hopeless = machine.job_id
        return c.Listed(checksums)

    def reserve(self, _: c.Reserve) -> None:
        wait = self.world.limits.quota * self.world.random()
        self.count_age = max(self.count_age, self.world.now + wait - self.listed_at)
        self.world.later(wait, self.answer, c.SlotReserved(), self.turn, False)

    def submit(self, _: c.Submit) -> Any:
        draw = self.world.random()
        if self.rejected == self.machine.job_id:
            self.problem = "a submission that was rejected for good is repeated"
        if (
            self.world.limits.refusals
            and self.world.limits.refused in ("", "Submit")
            and draw < 0.3
        ):
            self.rejected = self.machine.job_id
            self.struck("refused Submit")
            return c.SubmissionRejected("400", temporary=False)
        if draw < self.world.limits.rate / 2:
            self.struck("submit: refused for now")
            if draw < self.world.limits.rate / 4:
                return c.NotSubmitted()
            return c.SubmissionRejected("409", temporary=True)
        now = self.world.now
        # One that was frozen until now, between its last list and this, saw no later one.
        called = self.froze_at if now == self.wakes_at else now
        self.call(
            "submit", self.world.server.execute, (self.machine.job_id, self, called), _submitted,
            c.SubmissionUnknown("500"), self.turn,
        )  # fmt: skip
        return None

    def read_state(self, command: c.ReadState) -> None:
        job = self.world.server.jobs[self.machine.job_id]
        self.read(command.delay, lambda: c.JobIs(job.state), c.Failed("unreachable"))

    def cancel(self, command: c.Cancel) -> None:
        self.cancelling = False
        if self.world.limits.no_cancel:
            self.struck("cancel: failed")
            self.world.later(0.1, self.answer, c.CancelFailed("403"), self.turn, False)
            return
        failed = c.CancelFailed("unreachable")
        self.read(0.0, lambda: self.cancelled(command), failed, changes=True)

    def cancelled(self, command: c.Cancel) -> Any:
        """Cancel, and wait for the job's end if it runs."""
        if not self.cancelling:
            self.cancelling = True
            self.world.server.cancel(command.job_id)
        job = self.world.server.jobs[command.job_id]
        if job.state == "RUNNING":
            self.read(1.0, lambda: self.cancelled(command), c.CancelFailed("unreachable"))
            return None
        return c.JobCancelled(job.state)

    def sweep(self, command: c.Sweep) -> None:
        delay = max(0.0, command.at - self.world.now)
        failed = c.Failed("unreachable")
        self.read(delay, lambda: self.swept(command.others), failed, changes=True)

    def swept(self, others: tuple[str, ...]) -> c.Swept:
        if self.world.limits.no_cancel:
            return c.Swept()
        shown = self.world.lagging()
        for job in self.world.server.jobs.values():
            listed = job.created <= shown or job.id in others
            if listed and job.state == "NEW" and job.id != self.machine.job_id:
                job.state = "CANCELED"
        return c.Swept()


def _same(event: Any) -> Any:
    return event


def _submitted(done: bool) -> Any:
    return c.Submitted() if done else c.SubmissionRejected("400", temporary=False)
