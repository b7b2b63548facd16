"""A probe: one question about a pool, answered by jobs into the scratch table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celonis_frames._doctor.observation import Evidence, Observation
from celonis_frames._doctor.scratch import Result, Scratch


@dataclass(frozen=True)
class Seen:
    """The answer: a word, what it rests on, and more about it."""

    value: str
    evidence: Evidence = ""
    detail: str = ""


@dataclass(frozen=True)
class Probe:
    """One question.

    Attributes:
        name: What it is about.
        ours: What this library and its local Celonis assume.
        setting: The setting of `local.Assumptions` that it is about; empty if there is none.
        run: Answers it.
    """

    name: str
    ours: str
    setting: str
    run: Callable[[Scratch], Seen]

    def observe(self, scratch: Scratch) -> Observation:
        """Answer it.

        Raises:
            TrialStopped: A call failed otherwise than by being rejected.
        """
        seen = self.run(scratch)
        return Observation(
            self.name, seen.value, seen.evidence, self.ours, self.setting, seen.detail
        )


NO_COUNTS = Seen("unknown", detail="the pool does not show numbers of rows")
NO_COLUMNS = Seen("unknown", detail="the pool does not show columns")


def ended(result: Result) -> Seen:
    """How a job ended that is not in DONE: rejected by a call, or failed."""
    if result.rejected:
        return Seen("rejected", "response", result.detail)
    return Seen("error", "job", result.detail)


def by_rows(scratch: Scratch, values: dict[int, str]) -> Seen:
    """The value for the number of rows that the table has now."""
    rows = scratch.rows()
    if rows is None:
        return NO_COUNTS
    return Seen(values.get(rows, "unknown"), "rows", "" if rows in values else f"{rows} rows")


def unknown(result: Result, what: str) -> Seen:
    """What cannot be answered because a job that prepares it did not end in DONE."""
    return Seen("unknown", detail=f"{what}: {result.end}{result.detail and f', {result.detail}'}")
