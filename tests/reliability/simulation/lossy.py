"""Pushes over a line that loses one answer in a hundred."""

from __future__ import annotations

from simulation.schedule import Schedule
from simulation.world import Limits

CHUNKS, UPLOADS, RATE = 100, 4, 0.01


def push_over_lossy_line(seed: int) -> str:
    """The end of a push of 100 chunks to a server whose kind of checksums is not known."""
    limits = Limits(rate=RATE, answers=True)
    contents = list(range(1, CHUNKS + 1))
    schedule = Schedule(seed, kind="content", limits=limits, contents=contents, uploads=UPLOADS)
    result = schedule.run()
    return result.problem or result.ends[-1]
