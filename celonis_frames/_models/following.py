"""Begin a load or an execution, and follow it to its end.

How it works: `begin` looks at the server until no run is in the way, makes the call, and looks
again; after each look `choose_step` says what comes next. A call that was not sent is repeated, one
that was rejected waits for the run in its way, and after one whose response was lost the server
shows whether it was carried out. All waits and calls are under the token of the API given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from celonis_frames._api.integration import IntegrationApi
from celonis_frames._http.retry import Outcome, RetryState, outcome
from celonis_frames._jobs.polling import poll
from celonis_frames._jobs.timeouts import ended_call
from celonis_frames._models.steps import Asked, Run, Step, choose_step, is_new
from celonis_frames._reporting.current import report_job, warn
from celonis_frames.events import JobKind
from celonis_frames.exceptions import ApiError, BadRequest, CelonisFramesError, Conflict

MAX_LOST = 3
"""Calls whose response is lost before the last one's error is raised."""
MAX_REFUSED = 100
"""Calls that are refused although nothing is seen to run, in about half an hour."""
MAX_OVERTAKEN = 3
"""Calls that are refused because something has just begun to run. More are no coincidence, but a
gateway that makes each call twice."""

TURN = "waiting for its turn"
"""The step of a run that waits for another one."""

_Seen = TypeVar("_Seen", bound="Shown")


class Shown(Protocol):
    """What the server shows of a load or an execution."""

    @property
    def state(self) -> str:
        """The server's word for its state."""


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A 409; `before` is the run that was shown before the call."""

    before: Run | None


@dataclasses.dataclass
class Following(Generic[_Seen]):
    """One run of ours, from before its beginning to its end; `seen` is what was shown last.

    Attributes:
        kind: What runs: the load of a data model, or the execution of a data job.
        name: Name of the data model or the data job.
        look: Reads what the server shows.
        run_of: The run in what was read; None if there is none yet.
        ask: Makes the call that begins the run.
        repeatable: Whether a second run of ours would be harmless.
        on_step: Called with a few words whenever it waits for something else.
        timed_out: Makes the error for a deadline that has passed.
        doing: What is being done while it runs, in a word.
        advice: What to do if it cannot be known whether it began, or how it ends.
        asked: What became of our call.
        before: The run that was shown before it.
        ours: Our run, once it was shown.
        warnings: What the caller has to know about how it went.
    """

    kind: JobKind
    name: str
    look: Callable[[IntegrationApi], _Seen]
    run_of: Callable[[_Seen], Run | None]
    ask: Callable[[IntegrationApi], None]
    timed_out: Callable[[], CelonisFramesError]
    doing: str
    advice: str
    repeatable: bool = True
    on_step: Callable[[str], None] = lambda _: None
    asked: Asked = Asked.NOT_YET
    seen: _Seen | None = None
    before: Run | None = None
    ours: Run | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)
    _looks: int = 0
    _lost: int = 0
    _refused: int = 0
    _overtaken: int = 0
    _refusal: Refusal | None = None
    _error: ApiError | None = None

    @property
    def what(self) -> str:
        """What runs, for messages and logs: ``data model 'Purchasing'``."""
        return f"{'data model' if self.kind == 'load' else 'data job'} {self.name!r}"

    @property
    def shown(self) -> _Seen | None:
        """What the server shows of our run; None if that is not ours, or not shown yet."""
        return self.seen if self.ours is not None else None

    def follow(
        self,
        api: IntegrationApi,
        *,
        wait: bool = True,
        begin: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Begin the run, if that was not done, and follow it until it has ended.

        Args:
            api: The calls; their token ends it.
            wait: Whether to follow it once it was accepted.
            begin: Whether the call may be made, for the first time or again.
            timeout: Seconds to look; None is until the deadline of the token.

        Raises:
            CelonisFramesError: That of `timed_out`, if the deadline of the token has passed.
            ApiError: A call failed; the notes say if it cannot be known whether the run began.
            Cancelled: The token was cancelled.
        """
        try:
            self._follow(api, wait=wait, begin=begin, timeout=timeout)
        except ApiError as error:
            if ended_call(api.token, error):
                raise self.timed_out() from error
            if self.asked in (Asked.ACCEPTED, Asked.LOST):
                error.add_note(f"How {self.what} ends is unknown: {self.advice}")
                error.outcome_known = False
            raise

    def _follow(
        self, api: IntegrationApi, *, wait: bool, begin: bool, timeout: float | None
    ) -> None:
        while True:
            step = self._look_until_due(api, wait=wait, timeout=timeout)
            if step is Step.BEGIN and begin:
                self._begin(api)
            elif step in (Step.RAISE, Step.UNKNOWN, Step.BEGIN):
                raise self._failure(step)
            else:
                return

    def refresh(self, api: IntegrationApi) -> None:
        """Look once.

        Raises:
            ApiError: The call failed.
        """
        self._take(self.look(api))

    def _look_until_due(self, api: IntegrationApi, *, wait: bool, timeout: float | None) -> Step:
        """Look until something other is to be done than to look again."""
        self.on_step("checking" if self.asked is Asked.NOT_YET else self.doing)
        waits = False

        def fetch() -> tuple[Step, bool]:
            nonlocal waits
            self._take(self.look(api))
            step = self._next()
            if step is Step.WAIT and not waits:
                waits = True
                self.on_step(TURN)
            begun = not wait and self.asked is Asked.ACCEPTED
            return step, step not in (Step.WAIT, Step.POLL) or begun

        return poll(
            fetch, api.token.remaining() if timeout is None else timeout, api.token,
            timed_out=lambda _: self.timed_out(),
        )  # fmt: skip

    def _take(self, seen: _Seen) -> None:
        """Note what a look has shown."""
        run = self.run_of(seen)
        if self.asked in (Asked.NOT_YET, Asked.REFUSED, Asked.REJECTED):
            if self._refusal is not None and is_new(self._refusal.before, run):
                self._overtaken, self._refusal = self._overtaken + 1, None
            self.seen, self.before = seen, run
            return
        if not is_new(self.before, run, self.ours):
            self._looks += 1
            if self.ours is None:
                self.seen = seen
            return
        self.seen, earlier, self.ours = seen, self.ours, run
        if run is not None:
            report_job(self.kind, self.name, seen.state, done=run.ended)
        if earlier is None and self.asked is Asked.LOST:
            self._warn("the response to the call was lost; what began after it is taken for it")
        elif earlier is not None and run is not None and run.differs(earlier):
            self._warn("another run began before the end of this one was seen; its state is shown")

    def _next(self) -> Step:
        overtaken = self.asked is Asked.REFUSED and self._overtaken >= MAX_OVERTAKEN
        return choose_step(
            Asked.REJECTED if overtaken else self.asked,
            self.before,
            None if self.seen is None else self.run_of(self.seen),
            ours=self.ours,
            looks=self._looks,
            repeatable=self.repeatable and self._lost < MAX_LOST,
        )

    def _begin(self, api: IntegrationApi) -> None:
        """Make the call; one that was not sent is repeated."""
        state = RetryState(api.policy, api.token)
        self._looks, before = 0, self.asked
        while True:
            # An interruption may end the call after it was sent.
            self.asked = Asked.LOST
            try:
                self.ask(api)
            except (Conflict, BadRequest) as error:
                self._refused += 1
                self._error, self._refusal = error, Refusal(self.before)
                refused = isinstance(error, Conflict) and self._refused < MAX_REFUSED
                self.asked = Asked.REFUSED if refused else Asked.REJECTED
                if refused:
                    # What is in the way may not be shown yet.
                    api.token.sleep(min(0.1 * 2**self._refused, 17.0))
                return
            except ApiError as error:
                self._error = error
                if outcome(error) is not Outcome.UNKNOWN:
                    self.asked = before
                if outcome(error) is Outcome.REJECTED:
                    raise
                if outcome(error) is Outcome.NOT_SENT:
                    state.wait_or_raise(error)
                    continue
                self._lost += 1
                warn("%s: the response to the call was lost (%s)", self.what, error)
                return
            self.asked, self._error = Asked.ACCEPTED, None
            return

    def _failure(self, step: Step) -> CelonisFramesError:
        if step is Step.RAISE and self._error is not None:
            if self._overtaken >= MAX_OVERTAKEN:
                self._error.add_note(
                    f"It was refused {self._overtaken} times because something had just begun to "
                    "run, as if a gateway made each call twice. Whether that was ours is unknown: "
                    f"{self.advice}"
                )
                self._error.outcome_known = False
            return self._error
        doubt = (
            f"It cannot be known whether the call for {self.what} had an effect: the server shows "
            "nothing that began after it."
        )
        if self._error is None:
            return ApiError(f"The call was accepted. {doubt}")
        self._error.add_note(doubt)
        return self._error

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self.what}: {text}.")
        warn(self.warnings[-1])
