"""What to do next about a load or an execution: a decision without I/O.

A data model has one load at a time, a data job one execution. The server shows the last *run*,
which may be one of someone else, or an earlier one of ours. So what is shown after our call is
compared with what was shown before it: only a run that was not there before is ours.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

LOOKS_AFTER_LOSS = 6
"""Looks at the server after a response was lost, in about ten seconds: a run that began by then
would be seen."""
LOOKS_UNTIL_SHOWN = 60
"""Looks after our run was accepted, in about 15 minutes: it may wait in a queue that is not
shown."""


@dataclass(frozen=True)
class Run:
    """A load of a data model, or an execution of a data job, as the server shows it.

    Attributes:
        id: Its id; None if not shown.
        begin: When it began, in epoch milliseconds; None if not shown.
        running: Whether it goes on.
        ended: Whether it has ended. Neither, if its state says neither.
    """

    id: str | None
    begin: int | None
    running: bool
    ended: bool

    def differs(self, other: Run | None) -> bool | None:
        """Whether it is another run than the `other`; None if that cannot be known."""
        if other is None:
            return True
        pairs = ((self.id, other.id), (self.begin, other.begin))
        known = [mine != theirs for mine, theirs in pairs if None not in (mine, theirs)]
        return any(known) if known else None


class Asked(enum.Enum):
    """Our call that begins a run, and how it ended."""

    NOT_YET = "it was not made"
    REFUSED = "409: another run is in the way"
    REJECTED = "400: it may be that another run is in the way"
    ACCEPTED = "2xx"
    LOST = "there was no response, or one that leaves the outcome open"


class Step(enum.Enum):
    """What to do next."""

    WAIT = "look again: another run is in the way"
    BEGIN = "make the call"
    POLL = "look again: our run goes on, or is not shown yet"
    ENDED = "our run has ended"
    RAISE = "raise the error of the call"
    UNKNOWN = "say that it cannot be known whether our run began"


def choose_step(
    asked: Asked,
    before: Run | None,
    now: Run | None,
    *,
    ours: Run | None = None,
    looks: int = 0,
    repeatable: bool = True,
) -> Step:
    """What to do after a look at the server.

    Args:
        asked: What became of our call.
        before: The run that was shown before our call; None if there was none.
        now: The run that is shown.
        ours: Our run as first shown; None if it was not shown yet.
        looks: Looks since our call in which nothing new was shown.
        repeatable: Whether a second run of ours would be harmless.
    """
    running = now is not None and now.running
    if asked in (Asked.NOT_YET, Asked.REFUSED, Asked.REJECTED):
        if running:
            return Step.WAIT
        return Step.RAISE if asked is Asked.REJECTED else Step.BEGIN
    if now is not None and is_new(before, now, ours):
        return Step.ENDED if now.ended else Step.POLL
    if ours is not None:
        return Step.POLL  # an old response: ours was shown already
    if asked is Asked.ACCEPTED:
        return Step.POLL if looks < LOOKS_UNTIL_SHOWN else Step.UNKNOWN
    if looks < LOOKS_AFTER_LOSS or running:
        return Step.POLL
    certain = now is None or now.differs(before) is not None
    return Step.BEGIN if certain and repeatable else Step.UNKNOWN


def is_new(before: Run | None, now: Run | None, ours: Run | None = None) -> bool:
    """Whether a run that is shown now, after our call, is none that was shown before it."""
    if now is None:
        return False
    if ours is not None:
        return not (now.differs(ours) and before is not None and now.differs(before) is False)
    differs = now.differs(before)
    if differs is not None or before is None:
        return differs is not False
    # Nothing ran before the call: what runs, or has an id or a begin only now, has begun since.
    came_up = ((now.id, before.id), (now.begin, before.begin))
    return now.running or any(new is not None and old is None for new, old in came_up)
