"""What a command prints: its result on stdout, as text or JSON, and the rest on stderr."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from celonis_frames._cli.exit_status import ExitStatus
from celonis_frames._cli.layout import table, width_of, wrapped
from celonis_frames._cli.printing import say, say_error
from celonis_frames._cli.wording import in_cli_words
from celonis_frames.exceptions import CelonisFramesError, JobError, JobFailed

SHORT_ID = 8
"""Characters of the id of a job that a list shows; they are enough to name it."""
NOT_WRITTEN = "The output could not be written. Free space, or write it somewhere else."
_HERE = __name__.removesuffix("output")
_MARKS = {True: "✓", False: "✗"}


@dataclass
class Output:
    """How a command prints.

    Attributes:
        json: Whether results are JSON. Then stdout gets one document, also of a command that fails.
        quiet: Whether nothing is printed but what was asked for, warnings and errors.
    """

    json: bool = False
    quiet: bool = False
    _documents: int = field(default=0, init=False)
    _warned: list[str] = field(default_factory=list, init=False)

    def show(self, data: Any, *lines: str) -> int:
        """Print what was asked for, as JSON or as these lines; returns the exit status.

        It is an error if it cannot be written: showing it is all that the command does.
        """
        if self._say(data, lines):
            return ExitStatus.DONE
        say_error(NOT_WRITTEN)
        return ExitStatus.UNEXPECTED

    def show_table(
        self, data: Any, head: Sequence[str], rows: Sequence[Sequence[Any]], nothing: str
    ) -> int:
        """Print a table, or on stderr that there is `nothing`; returns the exit status."""
        if not rows:
            self.note(nothing)
        return self.show(data, *table(head, rows, width_of(sys.stdout)))

    def report(self, data: Any, *lines: str) -> None:
        """Print what was done. Whether it can be written changes nothing: it is done."""
        if self.json or not self.quiet:
            self._say(data, lines)

    def tell(self, *lines: str) -> None:
        """Print lines of text on stdout as they come."""
        say(*lines)

    def note(self, *lines: str) -> None:
        """Print advice on stderr."""
        if not self.quiet:
            say_error(*lines)

    def error(self, error: BaseException, status: int) -> None:
        """Print an error on stderr, and as the document of a command that has none."""
        name = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        fields = error_fields(error, status)
        logs = () if isinstance(error, JobFailed) else fields["logs"]  # its message has them
        self._fail(name, str(error), fields, logs, own=_is_own(error))

    def interrupted(self, interruption: BaseException, status: int) -> int:
        """Print that a signal ended the command, as `error` does; returns the exit status."""
        message = "Interrupted."
        self._fail("", message, error_fields(interruption, status) | {"message": message})
        return status

    def _fail(
        self,
        name: str,
        message: str,
        fields: dict[str, Any],
        logs: Sequence[str] = (),
        *,
        own: bool = False,
    ) -> None:
        """What a warning has said already is not said again; a message of our `own` is ready."""
        texts = [(name, message, own), *(("", note, False) for note in fields["notes"])]
        lines = [
            f"{start}{text if ready else in_cli_words(text)}"
            for start, text, ready in texts
            if not any(text in warning for warning in self._warned)
        ]
        say_error(*lines, *(f"  {line}" for line in logs))
        if self.json and not self._documents:
            self._say({"error": fields}, ())

    @contextlib.contextmanager
    def shown_warnings(self) -> Iterator[None]:
        """Within the block each warning that the library logs is printed on stderr."""
        handler = _Warnings(self._warned)
        logger = logging.getLogger("celonis_frames")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def _say(self, data: Any, lines: Sequence[str]) -> bool:
        self._documents += 1
        if self.json:
            return say(json.dumps(data, indent=2, ensure_ascii=False, default=str))
        width = width_of(sys.stdout)
        return say(*(part for line in lines for part in wrapped(line, width)))


def _is_own(error: BaseException) -> bool:
    """Whether the command line has raised an error itself, in its own words."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith(_HERE)


def error_fields(error: BaseException, status: int) -> dict[str, Any]:
    """An error for JSON."""
    fields = {
        "type": type(error).__name__,
        "message": str(error),
        "notes": list(getattr(error, "__notes__", ())),
        "exit_status": int(status),
        "outcome_known": getattr(error, "outcome_known", True),
    }
    for name in ("column", "parameter", "job_id", "status_code"):
        fields[name] = getattr(error, name, None)
    fields["logs"] = list(error.logs) if isinstance(error, JobError) else []
    return fields


def status_line(status: Any) -> str:
    """A status: its mark and what its ``repr`` says, with the job in a line of its own."""
    facts = repr(status).removeprefix(f"<{type(status).__name__} ").removesuffix(">")
    facts, _, job = facts.partition(" · job ")
    mark = _MARKS[status.ok] if status.done else "…"
    return f"{mark} {facts}\n  job {job}" if job else f"{mark} {facts}"


class _Warnings(logging.Handler):
    """Prints warnings; the local Celonis of this process has a logger of its own."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())
        say_error(f"! {in_cli_words(record.getMessage())}")


def is_expected(error: BaseException) -> bool:
    """Whether an error needs no traceback: it says what to do."""
    return isinstance(error, CelonisFramesError | ImportError)
