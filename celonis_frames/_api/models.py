"""The API's models, and how responses are read into them.

Readers are tolerant: unknown fields are ignored, optional ones may be missing. A required field
that is missing raises `ApiStatusError`, which names the field. Control characters are removed from
strings here, because the strings end up in terminals, logs and notebooks.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from celonis_frames._http.responses import Response
from celonis_frames.exceptions import ApiStatusError

_log = logging.getLogger("celonis_frames")
_T = TypeVar("_T")

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and line feed, and those that change the text direction."""
MAX_STRING = 100_000
"""Characters of a string that are kept."""

BYTES_PER_CHARACTER = 4
"""The columns call returns the lengths of strings in bytes (the official client)."""

JobState = Literal["NEW", "QUEUED", "RUNNING", "DONE", "ERROR", "CANCELED"]


@dataclasses.dataclass(frozen=True)
class Job:
    """A data push job. `connection_id` None means the pool's global schema.

    `fallback_length` is the ``fallbackVarcharLength`` it was created with; `modified` is in epoch
    milliseconds.
    """

    id: str
    pool_id: str
    table: str
    mode: str
    file_type: str
    connection_id: str | None
    keys: tuple[str, ...]
    state: JobState
    logs: tuple[str, ...]
    fallback_length: int | None = dataclasses.field(default=None, repr=False, compare=False)
    modified: int | None = dataclasses.field(default=None, repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Pool:
    """A Data Pool."""

    id: str
    name: str


@dataclasses.dataclass(frozen=True)
class DataConnection:
    """A data connection of a pool."""

    id: str
    name: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a pool, or a view.

    Attributes:
        name: Its name.
        connection_id: Id of its data connection; None in the pool's global schema.
        type: ``"TABLE"`` or ``"VIEW"``.
        rows: Its rows; None if the API does not report them, as only the local Celonis does.
        connection: Name of its data connection.
        columns: Its columns; None if they were not asked for.
    """

    name: str
    connection_id: str | None
    type: str
    rows: int | None = None
    connection: str | None = None
    columns: tuple[TableColumn, ...] | None = None


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """A table's column.

    Attributes:
        name: Its name.
        type: ``"STRING"``, ``"DATE"``, ``"INTEGER"`` or ``"FLOAT"``, all that the API shows.
        length: Characters that a STRING column holds; None for others, and if it is not known. The
            API returns bytes, four per character.
    """

    name: str
    type: str
    length: int | None


def read_list(
    read: Callable[[Response, Any], _T], response: Response, items: Any, *, complete: bool = False
) -> list[_T]:
    """The entries of a list that can be read; if it must be `complete`, all or an error.

    What cannot be read is not ours: entries of other clients, or in a form that came later. But of
    the chunks of a job none may be overlooked.
    """
    if not isinstance(items, list):
        raise response.unreadable("the response is not a list")
    found, skipped = [], 0
    for item in items:
        try:
            found.append(read(response, item))
        except ApiStatusError:
            if complete:
                raise
            skipped += 1
    if skipped:
        log_skipped(response, skipped)
    return found


@dataclasses.dataclass
class Entries(Generic[_T]):
    """The same for a list that is read item by item; `where` says which entries are held."""

    read: Callable[[Response, Any], _T]
    where: Callable[[_T], bool] | None = None
    found: list[_T] = dataclasses.field(default_factory=list)
    skipped: int = 0

    def add(self, response: Response, item: Any) -> None:
        """Read an item of a response."""
        try:
            entry = self.read(response, item)
        except ApiStatusError:
            self.skipped += 1
            return
        if self.where is None or self.where(entry):
            self.found.append(entry)


def log_skipped(response: Response, count: int) -> None:
    """Log how many entries of a list cannot be read."""
    _log.debug("%s: entries in an unknown form: %d", response.request, count)


def required_text(response: Response, item: Any, field: str) -> str:
    value = plain_text(item.get(field)) if isinstance(item, dict) else ""
    if not value:
        raise response.unreadable(f"its field {field!r} is missing or not a string")
    return value


def id_of(response: Response, item: Any) -> str:
    value = required_text(response, item, "id")
    if value != item["id"] or not value.isprintable():
        raise response.unreadable("its field 'id' is not an id")
    return value


def plain_text(value: Any) -> str:
    """A string without control characters; an empty one for everything else."""
    return _CONTROLS.sub(" ", value[:MAX_STRING]) if isinstance(value, str) else ""


def number_or_none(item: Any, field: str) -> int | None:
    value = item.get(field) if isinstance(item, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _strings(item: Any, field: str) -> tuple[str, ...]:
    value = item.get(field)
    if isinstance(value, str):
        return tuple(map(plain_text, value.splitlines()))
    return tuple(map(plain_text, map(str, value))) if isinstance(value, list) else ()


def read_pool(response: Response, item: Any) -> Pool:
    """A pool."""
    return Pool(id=id_of(response, item), name=plain_text(item.get("name")))


def read_job(response: Response, item: Any, pool_id: str) -> Job:
    """A job; `pool_id` is used if the response does not name the pool."""
    job_id = id_of(response, item)
    state = (plain_text(item.get("status")) or "NEW").upper()
    state = "CANCELED" if state == "CANCELLED" else state
    if not isinstance(item.get("status"), str | None) or state not in get_args(JobState):
        raise response.unreadable("its field 'status' is not a job's state")
    return Job(
        id=job_id,
        pool_id=plain_text(item.get("dataPoolId")) or pool_id,
        table=plain_text(item.get("targetName")),
        mode=plain_text(item.get("type")).upper(),
        file_type=(plain_text(item.get("fileType")) or "PARQUET").upper(),
        connection_id=plain_text(item.get("connectionId")) or None,
        keys=_strings(item, "keys"),
        state=cast("JobState", state),
        logs=_strings(item, "logs"),
        fallback_length=number_or_none(item, "fallbackVarcharLength"),
        modified=number_or_none(item, "lastModified"),
    )


def read_checksum(response: Response, item: Any) -> str | None:
    """The checksum of a file in a job, by an unknown algorithm; None if it has none."""
    id_of(response, item)
    return plain_text(item.get("checksum")) or None


def read_connection(response: Response, item: Any) -> DataConnection:
    """A data connection."""
    return DataConnection(id=id_of(response, item), name=plain_text(item.get("name")))


def read_table(response: Response, item: Any) -> Table:
    """A table or view."""
    return Table(
        name=required_text(response, item, "name"),
        connection_id=plain_text(item.get("dataSourceId")) or None,
        type=(plain_text(item.get("type")) or "TABLE").upper(),
        rows=number_or_none(item, "rowCount"),
        connection=plain_text(item.get("dataSourceName")) or None,
    )


def read_column(response: Response, item: Any) -> TableColumn:
    """A table's column."""
    kind, length = required_text(response, item, "type").upper(), number_or_none(item, "length")
    return TableColumn(
        name=required_text(response, item, "name"),
        type=kind,
        length=length // BYTES_PER_CHARACTER if kind == "STRING" and length else None,
    )
