"""A Celonis and a bucket in virtual time: calls that take effect late, twice, or never."""

from __future__ import annotations

from typing import Any

KINDS = ("digest", "content", "arbitrary", "none")
"""What the server's checksums are: a digest that the client knows; another function of the content;
different for each stored chunk; or there are none."""
FOLLOW = frozenset({"digest", "content"})
"""Those that follow content."""
RUNNING_SECONDS = 3.0
MOST_CHUNKS = 200


class Job:
    """A job, with the contents of its chunks and the times at which they were stored."""

    __slots__ = ("applied", "by", "called", "chunks", "created", "id", "state", "submitted")

    def __init__(self, job_id: str, created: float) -> None:
        self.id, self.created, self.state = job_id, created, "NEW"
        self.chunks: list[tuple[float, int, int, Any]] = []  # stored, content, serial number, by
        self.applied: list[int] = []
        # When its submission was called and took effect, and by which process.
        self.called, self.submitted, self.by = -1.0, -1.0, None


class Server:
    """The jobs and the table. Every effect is immediate; the schedule decides when it happens."""

    __slots__ = ("deleted", "executions", "jobs", "kind", "objects", "serial", "table", "world")

    def __init__(self, world: Any, kind: str) -> None:
        self.world, self.kind = world, kind
        self.jobs: dict[str, Job] = {}
        self.table: list[int] = []
        self.objects: dict[int, list[int]] = {}  # in the bucket, by name
        self.executions: list[Job] = []
        self.serial = 0
        self.deleted: dict[str, float] = {}

    def create(self) -> str:
        """A new job."""
        job_id = f"j{len(self.jobs) + 1}"
        self.jobs[job_id] = Job(job_id, self.world.now)
        return job_id

    def upload(self, job_id: str, content: int, by: Any) -> bool:
        """Store a chunk; False if the job has left NEW."""
        job = self.jobs[job_id]
        if job.state != "NEW":
            return False
        self.serial += 1
        job.chunks.append((self.world.now, content, self.serial, by))
        return True

    def put(self, name: int, content: int, *, replaces: bool) -> bool:
        """Store an object; one of the same name is replaced, or stays beside it."""
        if replaces:
            self.objects[name] = [content]
        else:
            self.objects.setdefault(name, []).append(content)
        return True

    def execute(self, job_id: str, by: Any, called: float) -> bool:
        """Apply the chunks that the job holds now; False if it has left NEW."""
        job = self.jobs[job_id]
        if job.state != "NEW":
            return False
        job.state, job.submitted, job.called, job.by = "RUNNING", self.world.now, called, by
        job.applied = [entry[1] for entry in job.chunks]
        self.executions.append(job)
        self.world.later(RUNNING_SECONDS, self._end, job)
        return True

    def _end(self, job: Job) -> None:
        if job.state != "RUNNING":
            return
        if self.world.limits.errors and self.world.random() < 0.5:
            job.state = "ERROR"
        else:
            job.state = "DONE"
            self.table += job.applied

    def cancel(self, job_id: str) -> None:
        """Cancel a job; one that runs may be too far for it."""
        job = self.jobs[job_id]
        if job.state == "NEW" or (job.state == "RUNNING" and self.world.random() < 0.5):
            job.state = "CANCELED"

    def checksums(self, job_id: str, at: float) -> tuple[str | None, ...]:
        """The checksums of the chunks that were stored until then."""
        kind = self.kind
        listed = [entry for entry in self.jobs[job_id].chunks if entry[0] <= at]
        if kind == "digest":
            return tuple([f"d{entry[1]}" for entry in listed])
        if kind == "content":
            return tuple([f"x{entry[1]}" for entry in listed])
        if kind == "arbitrary":
            return tuple([f"a{entry[2]}" for entry in listed])
        return (None,) * len(listed)


def digests(content: int) -> frozenset[str]:
    """The digests of a chunk that the client computes."""
    return _DIGESTS[content]


_DIGESTS = {n: frozenset({f"d{n}", f"e{n}"}) for n in range(MOST_CHUNKS + 1)}
