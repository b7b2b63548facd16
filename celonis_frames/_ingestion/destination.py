"""Where the chunks of a push go without a job: objects, which Celonis loads one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._formatting import counted
from celonis_frames._http.retry import Outcome, outcome
from celonis_frames._ingestion.gateway import IngestionGateway, object_key
from celonis_frames.exceptions import ApiError, UploadUncertain


class ObjectJournal(Protocol):
    """Records which objects were stored, so that another process can finish the push."""

    def record_object(self, name: str, *, stored: bool | None) -> None:
        """Record that an object is about to be stored (None), and then whether it was."""


class StoredObject(NamedTuple):
    """An object that was acknowledged."""

    name: str
    rows: int
    size: int


class ObjectDestination:
    """Stores chunks as objects; several threads call `upload`.

    Args:
        gateway: The gateway.
        table: Source table of the data connection.
        push_id: Begins the name of each object, so that names sort in the order of the rows.
        repeatable: Whether an object may be stored again if it is unknown whether it was.
        consequence: What that would do, in a sentence, for messages.
        journal: Records each object, if the push is staged.
        begun: Names of objects that an earlier process began to store.
        stored: Names of those that were acknowledged then: they are not stored again.

    Attributes:
        repeatable: As the argument.
        before: Names of those that were acknowledged to an earlier process.
        stored: The objects that were acknowledged to this process.
        uncertain: Names of those of which it is unknown.
        repeated: Names of those that were stored again after that.
    """

    def __init__(
        self,
        gateway: IngestionGateway,
        table: str,
        push_id: str,
        *,
        repeatable: bool,
        consequence: str,
        journal: ObjectJournal | None = None,
        begun: Collection[str] = (),
        stored: Collection[str] = (),
    ) -> None:
        self._gateway, self._table, self._push_id = gateway, table, push_id
        self.repeatable = repeatable
        self._consequence, self._journal = consequence, journal
        self.before = frozenset(stored)
        self.uncertain = {name: 0 for name in begun if name not in self.before}
        self.repeated: set[str] = set()
        self.stored: list[StoredObject] = []
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all that was acknowledged, in the order of the rows."""
        return tuple(sorted({*self.before, *(one.name for one in self.stored)}))

    def key(self, name: str) -> str:
        """The percent-encoded key of an object."""
        return object_key(self._gateway.keys, self._table, name)

    def upload(
        self,
        token: CancelToken,
        payload: Any,  # a `Payload` with `rows`
        *,
        deleted: bool,
        on_sent: Callable[[int], None],
    ) -> None:
        """Store a chunk, once.

        Raises:
            ApiError: The call failed; it may be repeated.
            UploadUncertain: It is unknown whether the object was stored, and it must not be stored
                again.
        """
        assert not deleted  # noqa: S101  # options were checked
        name = f"{self._push_id}-{payload.name.removeprefix('chunk-')}"
        if name in self.before:
            on_sent(payload.size)
            return
        if name in self.uncertain and not self.repeatable:
            raise self._uncertain_error(name, payload.rows, "the process that stored it ended.")
        with self._lock:
            if name in self.uncertain:
                self.repeated.add(name)
        if self._journal is not None:
            self._journal.record_object(name, stored=None)
        with self._lock:
            doubted = name in self.uncertain
            self.uncertain[name] = payload.rows  # until there is a response, whatever ends the call
        try:
            self._gateway.put(token, self.key(name), payload, on_sent=on_sent)
        except ApiError as error:
            if outcome(error) is not Outcome.UNKNOWN:
                if not doubted:  # an earlier call of the same object may have stored it
                    self._forget(name)
                raise
            if self.repeatable:
                raise
            raise self._uncertain_error(name, payload.rows, error.message) from error
        with self._lock:
            del self.uncertain[name]
            self.stored.append(StoredObject(name, payload.rows, payload.size))
        if self._journal is not None:
            self._journal.record_object(name, stored=True)

    def _forget(self, name: str) -> None:
        """An object was certainly not stored: it may be stored again without permission."""
        with self._lock:
            del self.uncertain[name]
        if self._journal is not None:
            self._journal.record_object(name, stored=False)

    def _uncertain_error(self, name: str, rows: int, why: str) -> UploadUncertain:
        return UploadUncertain(
            f"It is unknown whether object {self.key(name)} with {counted(rows, 'row')} was stored "
            f"({why.removesuffix('.')}). {self._consequence}",
            job_id="",
        )

    def note(self) -> str | None:
        """What was stored before the push failed, and what may have been, for a note."""
        parts = []
        if self.before:
            parts.append(
                f"{counted(len(self.before), 'object')} "
                f"{'was' if len(self.before) == 1 else 'were'} stored by an earlier process."
            )
        if self.stored:
            rows = sum(one.rows for one in self.stored)
            names = sorted(one.name for one in self.stored)
            parts.append(
                f"{counted(len(names), 'object')} with {counted(rows, 'row')} "
                f"{'was' if len(names) == 1 else 'were'} stored, the last one as {names[-1]}: "
                "Celonis loads what was stored, it cannot be recalled."
            )
        if self.uncertain:
            names = sorted(self.uncertain)
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            parts.append(f"Perhaps stored: {', '.join(names[:5])}{more}.")
        return " ".join(parts) or None
