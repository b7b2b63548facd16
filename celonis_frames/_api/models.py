"""What the API answers with, and how it is read.

Readers are tolerant: fields they do not know pass by, fields they can do without may be missing.
What must be there and is not raises `ApiStatusError`, which names the field. Texts lose their
control characters here, once: they end in terminals, logs and notebooks.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celonis_frames._http.responses import Response

__all__ = [
    "Chunk",
    "DataConnection",
    "Job",
    "JobState",
    "Pool",
    "Table",
    "TableColumn",
    "read_chunk",
    "read_column",
    "read_connection",
    "read_job",
    "read_list",
    "read_pool",
    "read_table",
]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and those that turn the direction of a line."""
MAX_LINE = 100_000
"""Characters of a log line that are kept."""

JobState = Literal["NEW", "QUEUED", "RUNNING", "DONE", "ERROR", "CANCELED"]


@dataclasses.dataclass(frozen=True)
class Job:
    """A data push job. `connection_id` None means the pool's global schema."""

    id: str
    pool_id: str
    table: str
    mode: str
    file_type: str
    connection_id: str | None
    keys: tuple[str, ...]
    state: JobState
    logs: tuple[str, ...]
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A file in a job. `created` is in epoch milliseconds; the checksum's algorithm is unknown."""

    id: str
    type: str
    checksum: str | None
    created: int | None


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
    """A table of a pool. `connection_id` None means the pool's global schema.

    `rows` is told by the local Celonis only.
    """

    name: str
    connection_id: str | None
    type: str
    rows: int | None = None


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """A table's column. A text's length is four times its characters."""

    name: str
    type: str
    length: int | None


def read_list(answer: Response) -> list[Any]:
    """The items of an answer that is a list."""
    items = answer.json()
    if not isinstance(items, list):
        raise answer.unreadable("the answer is no list")
    return items


def _text(answer: Response, item: Any, field: str) -> str:
    value = item.get(field) if isinstance(item, dict) else None
    if not isinstance(value, str) or not value:
        raise answer.unreadable(f"its field {field!r} is missing or no text")
    return _clean(value)


def _id(answer: Response, item: Any) -> str:
    value = _text(answer, item, "id")
    if value != item["id"] or not value.isprintable():
        raise answer.unreadable("its field 'id' is no id")
    return value


def _maybe(item: Any, field: str) -> str | None:
    value = item.get(field)
    return _clean(value) if isinstance(value, str) and value else None


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text[:MAX_LINE])


def _number(item: Any, field: str) -> int | None:
    value = item.get(field) if isinstance(item, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(item: Any, field: str) -> tuple[str, ...]:
    value = item.get(field)
    if isinstance(value, str):
        return tuple(_clean(line) for line in value.splitlines())
    return tuple(_clean(str(part)) for part in value) if isinstance(value, list) else ()


def read_pool(answer: Response, item: Any) -> Pool:
    """A pool."""
    return Pool(id=_id(answer, item), name=_maybe(item, "name") or "")


def read_job(answer: Response, item: Any, pool_id: str) -> Job:
    """A job; `pool_id` is used where the answer does not name its pool."""
    job_id = _id(answer, item)
    state = (
        (_maybe(item, "status") or "NEW").upper()
        if isinstance(item.get("status"), (str, type(None)))
        else ""
    )
    state = "CANCELED" if state == "CANCELLED" else state
    if state not in get_args(JobState):
        raise answer.unreadable("its field 'status' is no state of a job")
    return Job(
        id=job_id,
        pool_id=_maybe(item, "dataPoolId") or pool_id,
        table=_maybe(item, "targetName") or "",
        mode=(_maybe(item, "type") or "").upper(),
        file_type=(_maybe(item, "fileType") or "PARQUET").upper(),
        connection_id=_maybe(item, "connectionId"),
        keys=_texts(item, "keys"),
        state=cast("JobState", state),
        logs=_texts(item, "logs"),
        raw=item,
    )


def read_chunk(answer: Response, item: Any) -> Chunk:
    """A file in a job."""
    return Chunk(
        id=_id(answer, item),
        type=(_maybe(item, "type") or "").upper(),
        checksum=_maybe(item, "checksum"),
        created=_number(item, "creationDate"),
    )


def read_connection(answer: Response, item: Any) -> DataConnection:
    """A data connection."""
    return DataConnection(id=_id(answer, item), name=_maybe(item, "name") or "")


def read_table(answer: Response, item: Any) -> Table:
    """A table or view."""
    return Table(
        name=_text(answer, item, "name"),
        connection_id=_maybe(item, "dataSourceId"),
        type=(_maybe(item, "type") or "TABLE").upper(),
        rows=_number(item, "rowCount"),
    )


def read_column(answer: Response, item: Any) -> TableColumn:
    """A table's column."""
    return TableColumn(
        name=_text(answer, item, "name"),
        type=_text(answer, item, "type").upper(),
        length=_number(item, "length"),
    )
