"""What the statuses of a load and of an execution have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from celonis_frames._api.integration import IntegrationApi
from celonis_frames._formatting import counted, format_seconds, shown
from celonis_frames._html import report as html
from celonis_frames._jobs.polling import within_timeout
from celonis_frames._models.following import Following
from celonis_frames._models.steps import Asked
from celonis_frames._reporting.current import warn
from celonis_frames.exceptions import CelonisFramesError, ConfigError, JobError, ReloadFailed


class ShownRun(Protocol):
    """What the server shows of a run: a `Load`, or a `DataJob` with its last execution."""

    @property
    def state(self) -> str:
        """Its state, in the server's word."""

    @property
    def message(self) -> str:
        """What the server says about it, or ""."""

    @property
    def begin(self) -> int | None:
        """When it began, in epoch milliseconds; None if not reported."""

    @property
    def end(self) -> int | None:
        """When it ended; None if it has not, or if that is not reported."""


_Seen = TypeVar("_Seen", bound=ShownRun)
REQUESTED, NOT_BEGUN = "REQUESTED", "NOT_BEGUN"
"""States that are not the server's: our call was made, but its run is not shown yet; or it was not
made."""


_BECAME = {NOT_BEGUN: "was not begun", REQUESTED: "may have begun; it then goes on in Celonis"}
"""What became of what was interrupted, by its state."""


class RunStatus(ABC, Generic[_Seen]):
    """A run that was asked for. It holds what was read last, and the way to read it again."""

    _ENDED: ClassVar[frozenset[str]]
    _GOOD: ClassVar[frozenset[str]]

    def __init__(self, api: IntegrationApi | None, pool_id: str) -> None:
        self._api, self._pool_id = api, pool_id
        self._following: Following[_Seen] | None = None
        self._shown: _Seen | None = None
        self._asked = Asked.NOT_YET
        self._problem = ""
        self._noted: tuple[str, ...] = ()

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """What has to be known about it although it succeeded."""

    @abstractmethod
    def _headline(self) -> list[str]:
        """What it was, for a text."""

    @abstractmethod
    def _title(self) -> tuple[str, str]:
        """What it is and its name, as ``data model`` and ``Orders``."""

    @abstractmethod
    def _html_facts(self) -> dict[str, str | int | None]:
        """Figures that a notebook shows besides its seconds."""

    @abstractmethod
    def _html_details(self) -> Sequence[str]:
        """More of it for a notebook."""

    @abstractmethod
    def _ids(self) -> dict[str, str]:
        """The ids that a notebook shows, by what they are of."""

    @abstractmethod
    def _noun(self) -> str:
        """What it is, at the begin of a sentence."""

    @abstractmethod
    def _doubt(self) -> str:
        """That it did not succeed, or is not known to have."""

    @abstractmethod
    def _unconnected(self) -> str:
        """How to get a status with a connection."""

    @property
    def state(self) -> str:
        """The server's word for the state, as last read.

        ``REQUESTED`` until the server shows what was asked for; ``NOT_BEGUN`` if it was not.
        """
        if self._shown is not None:
            return self._shown.state
        return REQUESTED if self._asked in (Asked.ACCEPTED, Asked.LOST) else NOT_BEGUN

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.state in self._GOOD

    @property
    def done(self) -> bool:
        """Whether it has ended, successfully or not, or was not begun."""
        return self.state in self._ENDED or self.state == NOT_BEGUN

    @property
    def message(self) -> str:
        """What the server says about it, or why it was not begun or seen to its end; or ""."""
        return self._problem or ("" if self._shown is None else self._shown.message)

    @property
    def seconds(self) -> float | None:
        """Seconds that it took, by the server's clock; None until it has ended."""
        shown = self._shown
        if shown is None or shown.begin is None or shown.end is None:
            return None
        return max(0, shown.end - shown.begin) / 1000

    @property
    def pool_id(self) -> str:
        """The pool's id."""
        return self._pool_id

    def refresh(self) -> Self:
        """Read the state again; returns this status.

        Raises:
            ApiError: If it cannot be read.
            ConfigError: If the status has no connection, as after unpickling.
        """
        if not self.done:
            api, following = self._connected()
            following.refresh(api)
            self._take(following)
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until it has ended, successfully or not; returns this status.

        Args:
            timeout: Seconds to wait; None waits as long as it takes.

        Raises:
            ReloadTimeout: If a load has not ended in time; it goes on in Celonis.
            JobTimeout: The same of a data job.
            ApiError: If the state cannot be read.
            ConfigError: If the status has no connection, as after unpickling, or the timeout is
                no number.
        """
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, int | float)
        ):
            raise ConfigError(f"timeout={shown(timeout)} must be a number of seconds.")
        if not self.done:
            api, following = self._connected()
            with within_timeout(api, timeout) as (limited, left):
                try:
                    following.follow(limited, begin=False, timeout=left)
                finally:
                    self._take(following)
        return self

    def _start(self, api: IntegrationApi, following: Following[_Seen], *, wait: bool) -> None:
        """Begin it and, with `wait`, follow it to its end; `api` is under the token of the call."""
        self._following = following
        try:
            following.follow(api, wait=wait)
        except BaseException as error:
            self._take(following)
            if not isinstance(error, CelonisFramesError):
                text = f"{self._noun()} {_BECAME.get(self.state, 'goes on in Celonis')}."
                warn(text)
                error.add_note(text)
            raise
        finally:
            following.on_step = _ignore  # the progress bar ends with this call
        self._take(following)

    def _take(self, following: Following[_Seen]) -> None:
        self._shown, self._asked = following.shown, following.asked
        self._noted = tuple(following.warnings)
        if self._shown is not None:
            self._problem = ""

    def _fail(self, error: CelonisFramesError) -> None:
        self._problem = " ".join([error.message, *getattr(error, "__notes__", ())])
        if not isinstance(error, ReloadFailed | JobError):  # which say it themselves
            self._problem = f"{self._doubt()}: {self._problem}"

    def _connected(self) -> tuple[IntegrationApi, Following[_Seen]]:
        if self._api is None or self._following is None:
            raise ConfigError(f"This status has no connection. {self._unconnected()}")
        return self._api, self._following

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_api": None, "_following": None}

    def __repr__(self) -> str:
        facts = self._facts()
        if self.warnings:
            facts.append(counted(len(self.warnings), "warning"))
        return f"<{type(self).__name__} {' · '.join(facts)}>"

    def _facts(self) -> list[str]:
        facts = [self.state, *self._headline()]
        if self.seconds is not None:
            facts.append(f"{self.seconds:,.1f} s")
        return facts

    def _repr_html_(self) -> str:
        (kind, name), seconds = self._title(), self.seconds
        level = _level(self)
        return html.report(
            level,
            html.headline(level, self.state, name, kind),
            html.facts({
                **self._html_facts(),
                "time": None if seconds is None else format_seconds(seconds),
            }),
            *self._html_details(),
            html.warnings(self.warnings),
            html.ids(self._ids()),
        )  # fmt: skip


def html_line(status: RunStatus[Any]) -> str:
    """A status in a line, with what has to be known about it, for the report of a push."""
    level, (kind, name) = _level(status), status._title()  # noqa: SLF001  # of this module
    said = (status.message,) if status.message and not status.ok else status.warnings
    state = html.marked(level, f"{html.MARKS[level]} {status.state}")
    return html.paragraph(f"{kind} {name} ", state, *(f" · {one}" for one in said))


def _level(status: RunStatus[Any]) -> html.Level:
    if status.ok:
        return "warn" if status.warnings else "good"
    return "bad" if status.done else "open"


def _ignore(_: str) -> None:
    """Show no step."""


def fail_status(status: RunStatus[Any], error: CelonisFramesError) -> None:
    """Note in a status why it is not known how the run ended. Not a public method."""
    status._fail(error)  # noqa: SLF001  # of this module


def start_status(
    status: RunStatus[_Seen], api: IntegrationApi, following: Following[_Seen], *, wait: bool
) -> None:
    """Begin what a status is of, and follow it. Not a public method."""
    status._start(api, following, wait=wait)  # noqa: SLF001  # of this module
