"""The expected outcome of a push under each fault, as data for the tests and docs/reliability.md.

A cell is a call, a hazard, and whether it occurs once or always. The first rule that matches a cell
gives its possible outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

CALLS = {
    "pools": "look up the pool",
    "create": "create",
    "upload": "upload",
    "chunks": "list chunks",
    "execute": "execute",
    "job": "poll the job",
    "cancel": "cancel",
}
"""The calls of a push, by the names that the local Celonis has for them."""

CHUNKS = 4
"""Chunks of the pushes of the matrix, at least: what strikes once strikes the second upload."""

REFUSED_SECONDS = 0.08
"""How long connections are refused where that passes; the client's patience must be longer."""

LATE_SECONDS = 0.03
"""How long after the client has given up a late call is carried out: while it looks, or after."""

LATER_SECONDS = 0.1
"""The same, for calls that are carried out when the client has looked: 5 s of its time."""

LAG_SECONDS = 0.08
"""By how much lists lag: 4 s of the client's time, of which it allows 5."""

NEW_SECONDS = 3.0
"""``timeout=`` of a push whose job never leaves NEW."""

FORK_SECONDS = 0.5
"""How long a call lasts during which the process forks."""

_BEFORE: dict[str, tuple[str | None, int]] = {
    "pools": (None, 0),
    "create": (None, 0),
    "upload": ("create", 0),
    "chunks": ("upload", CHUNKS - 1),
    "execute": ("chunks", 0),
    "job": ("execute", 0),
    "cancel": ("upload", 0),
    "put": ("put", 0),
    "load": ("last_load", 0),
    "last_load": ("models", 0),
    "run_data_job": ("data_job", 0),
    "data_job": ("data_jobs", 0),
}
"""The call after which connections are refused, so that the next one finds the door closed."""

Jobs = Literal["none", "DONE", "CANCELED", "open", "runs on"]


@dataclass(frozen=True)
class Outcome:
    """What comes out of a push.

    Attributes:
        error: Name of the class raised, "" for none.
        job: What became of its jobs at the server: there is none that could still be executed
            (none), the last one is DONE or CANCELED, one is left NEW (open), or the push ended
            with an error while its job goes on (runs on).
    """

    error: str
    job: Jobs

    def __str__(self) -> str:
        if not self.error:
            return "DONE"
        words = {"none": "", "DONE": "", "CANCELED": ", canceled", "open": ", **left open**",
                 "runs on": ", runs on"}  # fmt: skip
        return f"`{self.error}`{words[self.job]}"


DONE = Outcome("", "DONE")


@dataclass(frozen=True)
class Hazard:
    """A fault of the wire.

    Attributes:
        name: Short name.
        title: What happens, for the table.
        error: The class of the error when it does not pass.
        arm: Sets it up: ``arm(faults, call, times, skip)``.
        carried: Whether the server carries the call out all the same.
        final: Calls on which it is a refusal that asking again does not change.
        unread: Calls whose answer has no content that a client reads, so that nothing is wrong.
        calls: Calls it is tried on.
        silent: Whether the client has to run into its time-out.
        late: Whether the server carries the call out after that.
        often: Whether it occurs once, always, or both are tried.
        timeout: ``timeout=`` of the push.
        strikes: What a process that pushes meets while the call runs: a signal, or a fork.
    """

    name: str
    title: str
    error: str
    arm: Callable[[Any, str, int | None, int], Any]
    carried: bool = False
    final: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    calls: tuple[str, ...] = tuple(CALLS)
    silent: bool = False
    late: bool = False
    often: tuple[bool, ...] = (False, True)
    timeout: float | None = None
    strikes: Literal["", "SIGHUP", "fork"] = ""

    @property
    def arrives(self) -> bool:
        """Whether the server carries the call out, before or after the client gives up."""
        return self.carried or self.late


class Together:
    """Several faults as one: it has struck once all of them have."""

    def __init__(self, *faults: Any) -> None:
        self._faults = faults

    @property
    def hits(self) -> int:
        """Calls that the faults have struck; 0 as long as one has struck none."""
        hits = [fault.hits for fault in self._faults]
        return sum(hits) if all(hits) else 0

    @property
    def over(self) -> int:
        """Calls of these that the server has finished."""
        return sum(fault.over for fault in self._faults)


def _refuse(faults: Any, call: str, times: int | None, _: int) -> Any:
    following, skip = _BEFORE[call]
    seconds = math.inf if times is None else REFUSED_SECONDS
    return faults.refuse(seconds, following=following, skip=skip)


def _drop(when: str, *, reset: bool) -> Callable[..., Any]:
    return lambda faults, call, times, skip: faults.drop(
        call, when=when, reset=reset, times=times, skip=skip
    )


def _drop_late(faults: Any, call: str, times: int | None, skip: int) -> Any:
    return faults.drop(call, when="late", late_seconds=LATER_SECONDS, times=times, skip=skip)


def _stall(when: str, seconds: float = 60.0) -> Callable[..., Any]:
    return lambda faults, call, times, skip: faults.stall(
        call, when=when, seconds=seconds, late_seconds=LATE_SECONDS, times=times, skip=skip
    )


def _lose(checksums: str) -> Callable[..., Any]:
    """The call is carried out, and its response lost, at a server with these checksums."""

    def arm(faults: Any, call: str, times: int | None, skip: int) -> Any:
        faults.checksums(checksums)
        return faults.drop(call, when="after", times=times, skip=skip)

    return arm


def _lose_one_repeat_one(checksums: str) -> Callable[..., Any]:
    """One call is carried out twice, the next one is lost: the count fits."""

    def arm(faults: Any, call: str, times: int | None, skip: int) -> Any:
        faults.checksums(checksums)
        # The second fault counts the call that the first one strikes.
        return Together(
            faults.repeat(call, skip=skip), faults.drop(call, times=times, skip=skip + 1)
        )

    return arm


def _lag(faults: Any, call: str, times: int | None, skip: int) -> Any:
    return faults.lag(call, LAG_SECONDS, times=times, skip=skip)


def _lose_and_lag(route: str) -> Callable[..., Any]:
    """The call is carried out, its response lost, and all lists are without what is new."""
    return lambda faults, call, times, skip: Together(
        faults.drop(call, when="after", times=times, skip=skip),
        faults.lag(route, LAG_SECONDS, times=None),
    )


def _inform(status: int) -> Callable[..., Any]:
    return lambda faults, call, times, skip: faults.inform(
        call, status, seconds=0.02, times=times, skip=skip
    )


def _garble(how: str, *, carry_out: bool) -> Callable[..., Any]:
    return lambda faults, call, times, skip: faults.garble(
        call, how, carry_out=carry_out, times=times, skip=skip
    )


def _answer(status: int, *, carry_out: bool = False, wait: bool = False) -> Callable[..., Any]:
    page = b"<html><body><h1>Gateway</h1></body></html>"
    text = b'{"reference": "r-1", "message": "It failed.", "shortMessage": "FAILED"}'
    body, kind = {
        500: (text, "application/json"),
        502: (page, "text/html"),
        503: (page, "text/html"),
        504: (page, "text/html"),
    }.get(status, (b"", "text/plain"))
    headers = {"Retry-After": "0.05"} if wait else {}
    return lambda faults, call, times, skip: faults.answer(
        call, status, carry_out=carry_out, times=times, skip=skip, headers=headers, body=body,
        content_type=kind,
    )  # fmt: skip


_UNREAD = ("upload", "execute", "cancel")
_CHANGES = ("create", "upload", "execute", "cancel")
_LOST, _LATE = "ApiConnectionError", "ApiTimeoutError"

CHECKSUMS = {
    "content": "with checksums of an unknown algorithm",
    "arbitrary": "with arbitrary checksums",
    "none": "without checksums",
}
"""Kinds of checksums other than a usual digest."""

HAZARDS = (
    Hazard("refused", "connection refused", _LOST, _refuse),
    Hazard("reset-head", "reset before the body", _LOST, _drop("before", reset=True)),
    Hazard("reset-body", "reset in the body", _LOST, _drop("body", reset=True), calls=("create", "upload")),
    Hazard("closed", "closed without a response", _LOST, _drop("before", reset=False)),
    Hazard("lost-reset", "carried out, then reset", _LOST, _drop("after", reset=True), carried=True),
    Hazard("lost-closed", "carried out, then closed", _LOST, _drop("after", reset=False), carried=True),
    Hazard("silent", "no response in time", _LATE, _stall("before"), silent=True),
    Hazard("silent-done", "carried out, no response in time", _LATE, _stall("after"), carried=True, silent=True),
    Hazard("silent-late", "no response in time, carried out later", _LATE, _stall("late"), silent=True, late=True,
           calls=_CHANGES),
    Hazard("late", "closed without a response, carried out seconds later", _LOST, _drop_late, late=True, calls=_CHANGES),
    Hazard("400", "400", "BadRequest", _answer(400), final=tuple(CALLS),
           calls=tuple(call for call in CALLS if call != "cancel")),
    Hazard("401", "401", "AuthenticationError", _answer(401), final=tuple(CALLS)),
    Hazard("403", "403", "PermissionDenied", _answer(403), final=tuple(CALLS)),
    Hazard("404", "404", "NotFound", _answer(404), final=tuple(CALLS)),
    Hazard("409", "409", "Conflict", _answer(409), final=tuple(call for call in CALLS if call != "execute")),
    Hazard("429", "429 and Retry-After", "RateLimited", _answer(429, wait=True)),
    Hazard("500", "500", "ServerError", _answer(500)),
    Hazard("502", "502", "ServerError", _answer(502)),
    Hazard("503", "503", "ServerError", _answer(503)),
    Hazard("503-wait", "503 and Retry-After", "ServerError", _answer(503, wait=True)),
    Hazard("504", "504", "ServerError", _answer(504)),
    Hazard("500-done", "carried out, then 500", "ServerError", _answer(500, carry_out=True), carried=True,
           calls=_CHANGES),
    Hazard("502-done", "carried out, then 502", "ServerError", _answer(502, carry_out=True), carried=True,
           calls=_CHANGES),
    Hazard("504-done", "carried out, then 504", "ServerError", _answer(504, carry_out=True), carried=True,
           calls=_CHANGES),
    Hazard("cut", "response cut off", _LOST, _garble("cut", carry_out=True), carried=True),
    Hazard("json", "half a JSON document", "ApiStatusError", _garble("json", carry_out=True), carried=True,
           unread=_UNREAD),
    Hazard("html", "a web page", "ApiStatusError", _garble("html", carry_out=False)),
    Hazard("html-done", "carried out, then a web page", "ApiStatusError", _garble("html", carry_out=True),
           carried=True, calls=_CHANGES),
    Hazard("repeat", "carried out twice by a gateway", "UploadUncertain",
           lambda faults, call, times, skip: faults.repeat(call, times=times, skip=skip),
           carried=True, calls=("upload", "execute")),
    Hazard("twice-lost", "one carried out twice, the next one lost", "UploadUncertain", _lose_one_repeat_one("sha1"),
           calls=("upload",)),
    *(
        Hazard(f"twice-lost-{kind}", f"the same, {text}", "UploadUncertain", _lose_one_repeat_one(kind), calls=("upload",))
        for kind, text in CHECKSUMS.items()
    ),
    *(
        Hazard(f"lost-{kind}", f"carried out, then closed, {text}", _LOST, _lose(kind), carried=True, calls=("upload",))
        for kind, text in CHECKSUMS.items()
    ),
    Hazard("lag", "a list that lags by seconds", "", _lag, carried=True, calls=("chunks",)),
    Hazard("lost-lag", "carried out, then closed, and the list of chunks lags", _LOST, _lose_and_lag("chunks"),
           carried=True, calls=("upload",)),
    Hazard("lost-lag-jobs", "carried out, then closed, and the list of jobs lags", _LOST, _lose_and_lag("jobs"),
           carried=True, calls=("create",)),
    Hazard("stays-new", "200, but not carried out", "JobTimeout", _answer(200), calls=("execute",), often=(False,),
           timeout=NEW_SECONDS),
    Hazard("102", "102 before the response", "", _inform(102), carried=True, unread=tuple(CALLS)),
    Hazard("103", "103 before the response", "", _inform(103), carried=True, unread=tuple(CALLS)),
    Hazard("SIGHUP", "carried out, SIGHUP before the response", "SystemExit", _stall("after"), carried=True,
           often=(False,), strikes="SIGHUP"),
    Hazard("fork", "a forked child ends with sys.exit()", "", _stall("after", FORK_SECONDS), carried=True,
           often=(False,), strikes="fork"),
    Hazard("drip", "slow response, byte by byte", "", lambda f, call, times, skip: f.drip(call, 0.3, times=times, skip=skip),
           carried=True, unread=tuple(CALLS)),
)  # fmt: skip
"""All hazards; "carried out" means that the server has done what the call asks."""

UNCLEAR = frozenset(
    hazard.name
    for hazard in HAZARDS
    if hazard.name.startswith(("twice-lost", "lost-"))
    and hazard.calls == ("upload",)
    and hazard.name not in ("lost-closed", "lost-reset")
)
"""Hazards whose uploads cannot all be told apart."""

CANCEL_BECAUSE = "BadRequest"
"""The error that makes the pushes of the cancel column cancel: a file the server refuses."""


@dataclass(frozen=True)
class Rule:
    """A promise: for which cells, and what may come out.

    Attributes:
        why: The promise in a sentence.
        fits: Whether a cell (call, hazard, always) is meant.
        outcomes: What may come out of it.
    """

    why: str
    fits: Callable[[str, Hazard, bool], bool]
    outcomes: Callable[[str, Hazard], tuple[Outcome, ...]]


def _raised(call: str, hazard: Hazard) -> tuple[Outcome, ...]:
    """The hazard's own error, and what becomes of the job at that point of the push."""
    job: dict[str, Jobs] = {"pools": "none", "create": "none", "job": "runs on"}
    return (Outcome(hazard.error, job.get(call, "CANCELED")),)


RULES = (
    Rule("A signal cancels the job, unless it was submitted; what is left is named.",
         lambda call, hazard, always: hazard.strikes == "SIGHUP",
         lambda call, hazard: (Outcome(hazard.error, {"pools": "none", "create": "none", "execute": "runs on",
                                                      "job": "runs on"}.get(call, "CANCELED")),)),
    Rule("A forked child that ends touches nothing of its parent's.",
         lambda call, hazard, always: hazard.strikes == "fork" and call != "cancel",
         lambda call, hazard: (DONE,)),
    Rule("A job whose submission was accepted and that stays NEW is named; it is not submitted again.",
         lambda call, hazard, always: hazard.name == "stays-new",
         lambda call, hazard: (Outcome(hazard.error, "open"),)),
    Rule("A list that lags by seconds is read again.",
         lambda call, hazard, always: hazard.name == "lag",
         lambda call, hazard: (DONE,)),
    Rule("Uploads that cannot be told apart never end in DONE with wrong rows: the job is replaced or cancelled.",
         lambda call, hazard, always: hazard.name in UNCLEAR and always,
         lambda call, hazard: (DONE, Outcome("UploadUncertain", "CANCELED"), Outcome(_LOST, "CANCELED"))),
    Rule("A slow response, or one whose content is not needed, is a success.",
         lambda call, hazard, always: call in hazard.unread and call != "cancel",
         lambda call, hazard: (DONE,)),
    Rule("A job to cancel is cancelled despite temporary faults; the original error is raised.",
         lambda call, hazard, always: call == "cancel" and (hazard.arrives or not (call in hazard.final or always)),
         lambda call, hazard: (Outcome(CANCEL_BECAUSE, "CANCELED"),)),
    Rule("A job that cannot be cancelled stays open, unexecuted, and the error names it.",
         lambda call, hazard, always: call == "cancel",
         lambda call, hazard: (Outcome(CANCEL_BECAUSE, "open"),)),
    Rule("A rejection that a retry cannot change is raised at once.",
         lambda call, hazard, always: call in hazard.final,
         _raised),
    Rule("An upload that the server stores after the client's time-out is detected before execution: the job is replaced or cancelled.",
         lambda call, hazard, always: call == "upload" and hazard.late,
         lambda call, hazard: (DONE, Outcome("UploadUncertain", "CANCELED"), Outcome(hazard.error, "CANCELED"))),
    Rule("A duplicate chunk is detected before execution: the job is replaced or cancelled.",
         lambda call, hazard, always: call == "upload" and hazard.name == "repeat",
         lambda call, hazard: (DONE, Outcome("UploadUncertain", "CANCELED"))),
    Rule("A job that was submitted twice runs once; its state on the server decides.",
         lambda call, hazard, always: call == "execute" and hazard.name == "repeat",
         lambda call, hazard: (DONE,)),
    Rule("A temporary fault costs time, not rows.",
         lambda call, hazard, always: not always,
         lambda call, hazard: (DONE,)),
    Rule("An upload or a submission that was carried out is found on the server, whatever the response was.",
         lambda call, hazard, always: call in ("upload", "execute") and hazard.arrives,
         lambda call, hazard: (DONE,)),
    Rule("Jobs whose creation got no response are found in the list and cancelled.",
         lambda call, hazard, always: call == "create" and hazard.arrives,
         lambda call, hazard: (*_raised(call, hazard), DONE)),
    Rule("If the server is unreachable, its job stays open, unexecuted, and the error names it.",
         lambda call, hazard, always: hazard.name == "refused" and call in ("upload", "chunks", "execute"),
         lambda call, hazard: (Outcome(hazard.error, "open"),)),
    Rule("An upload that is never received ends the push; nothing was executed.",
         lambda call, hazard, always: call == "upload",
         lambda call, hazard: (*_raised(call, hazard), Outcome("UploadUncertain", "CANCELED"))),
    Rule("A permanent fault ends with its own error; the table is unchanged, unless the job was submitted before.",
         lambda call, hazard, always: True,
         _raised),
)  # fmt: skip
"""The promises, most special first."""


def rule(call: str, hazard: Hazard, always: bool) -> Rule:
    """The promise that holds for a cell."""
    return next(found for found in RULES if found.fits(call, hazard, always))
