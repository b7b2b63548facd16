"""Data models, their loads, and data jobs: records of the API, and how responses are read.

Readers are as tolerant as those in `models`. Which fields a load has is known from the official
client only; times may come as epoch milliseconds or as ISO 8601.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from celonis_frames._api.models import (
    id_of,
    number_or_none,
    plain_text,
    read_list,
    required_text,
)
from celonis_frames._http.responses import Response
from celonis_frames.exceptions import ApiStatusError

LOAD_RUNS = frozenset({"NEW", "QUEUED", "RUNNING", "CANCELLING"})
LOAD_ENDED = frozenset({"SUCCESS", "WARNING", "ERROR", "LOST_CONNECTION", "CANCELED"})
"""The words of ``loadStatus``; NEW and QUEUED are not known of Celonis."""
EXECUTION_RUNS = frozenset({"QUEUED", "RUNNING"})
EXECUTION_ENDED = frozenset({"SUCCESS", "FAIL", "CANCEL", "SKIPPED"})
"""The words of a data job's ``status``; NEW besides, for one that never ran."""
_OF_A_LOAD = {"loadStatus", "dataLoadId"}
_OTHER_WORDS = {"CANCELLED": "CANCELED", "CANCELING": "CANCELLING"}


@dataclasses.dataclass(frozen=True)
class ModelTable:
    """A table of a data model. `alias` is None if it has the table's own name there."""

    id: str
    name: str
    alias: str | None
    connection_id: str | None


@dataclasses.dataclass(frozen=True)
class DataModel:
    """A data model of a pool. `tables` None means that the response did not have them."""

    id: str
    name: str
    tables: tuple[ModelTable, ...] | None = None


@dataclasses.dataclass(frozen=True)
class TableLoad:
    """What a load did with one table of its data model.

    Attributes:
        name: The table's name.
        rows: Its rows in the data model; None if not reported.
        done: Whether it was loaded; None if not reported.
        message: What the server says about it, or "".
    """

    name: str
    rows: int | None = None
    done: bool | None = None
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Load:
    """The last load of a data model.

    Attributes:
        id: Its id; None if not reported.
        state: RUNNING, SUCCESS, WARNING, ERROR, LOST_CONNECTION, CANCELLING or CANCELED.
        begin: When it began, in epoch milliseconds; None if not reported.
        end: When it ended; None if it has not, or if that is not reported.
        message: What the server says about it, or "".
        tables: What it did with each table.
    """

    id: str | None
    state: str
    begin: int | None = None
    end: int | None = None
    message: str = ""
    tables: tuple[TableLoad, ...] = ()


@dataclasses.dataclass(frozen=True)
class DataJob:
    """A data job of a pool: extractions, transformations and loads, as set up in Celonis.

    Attributes:
        id: Its id.
        name: Its name.
        connection_id: Id of its data connection; None for a job of the pool's global schema.
        state: NEW, QUEUED, RUNNING, SUCCESS, FAIL, CANCEL or SKIPPED, of its last execution.
        execution_id: Id of that execution; None if not reported.
        message: What the server says about it, or "".
        begin: When it began, in epoch milliseconds; None if not reported.
        end: When it ended.
    """

    id: str
    name: str
    connection_id: str | None
    state: str
    execution_id: str | None = None
    message: str = ""
    begin: int | None = None
    end: int | None = None


def read_model_table(response: Response, item: Any) -> ModelTable:
    """A table of a data model."""
    table_id = id_of(response, item)
    alias = plain_text(item.get("alias")) or plain_text(item.get("aliasOrName"))
    name = plain_text(item.get("name")) or alias
    if not name:
        raise response.unreadable("its field 'name' is missing or not a string")
    return ModelTable(
        id=table_id,
        name=name,
        alias=alias if alias not in ("", name) else None,
        connection_id=plain_text(item.get("dataSourceId")) or None,
    )


def read_data_model(response: Response, item: Any) -> DataModel:
    """A data model; its tables only if the response has a list of them."""
    model_id, tables = id_of(response, item), item.get("tables")
    return DataModel(
        id=model_id,
        name=plain_text(item.get("name")) or model_id,
        tables=tuple(read_list(read_model_table, response, tables))
        if isinstance(tables, list)
        else None,
    )


def read_load(response: Response, item: Any) -> Load | None:
    """The last load of a data model; None if it was never loaded.

    The load is in ``loadInfo`` or stands alone, with the tables in it or beside it.
    """
    if not isinstance(item, dict):
        raise response.unreadable("the response is not an object")
    info = item.get("loadInfo", item)
    if not isinstance(info, dict):
        return None
    live, load = info.get("liveDataModel"), info.get("currentComputeLoad")
    live = live if isinstance(live, dict) else {}
    if load is None and info.keys() & _OF_A_LOAD:
        load = info
    if not isinstance(load, dict) or all(load.get(name) is None for name in _OF_A_LOAD):
        return None
    state = _word(required_text(response, load, "loadStatus"))
    if state not in LOAD_RUNS | LOAD_ENDED:
        raise response.unreadable("its field 'loadStatus' is not a load's state")
    tables = load.get("tableLoads", live.get("tableLoads"))
    return Load(
        id=plain_text(load.get("dataLoadId")) or plain_text(load.get("id")) or None,
        state=state,
        begin=_moment(load.get("startDate")),
        end=_moment(load.get("endDate")),
        message=(
            plain_text(load.get("message"))
            or plain_text(load.get("errorMessage"))
            or plain_text(live.get("errorMessage"))
        ),
        tables=tuple(read_list(_read_table_load, response, tables))
        if isinstance(tables, list)
        else (),
    )


def read_data_job(response: Response, item: Any, *, strict: bool = True) -> DataJob:
    """A data job; if not `strict`, in whatever state."""
    job_id = id_of(response, item)
    state = _word(plain_text(item.get("status"))) or "NEW"
    if strict and state not in EXECUTION_RUNS | EXECUTION_ENDED | {"NEW"}:
        raise response.unreadable("its field 'status' is not a data job's state")
    return DataJob(
        id=job_id,
        name=plain_text(item.get("name")) or job_id,
        connection_id=plain_text(item.get("dataSourceId")) or None,
        state=state,
        execution_id=plain_text(item.get("currentExecutionId")) or None,
        message=plain_text(item.get("message")) or plain_text(item.get("errorMessage")),
        begin=_moment(item.get("startDate")),
        end=_moment(item.get("endDate")),
    )


def _read_table_load(response: Response, item: Any) -> TableLoad:
    try:
        name = required_text(response, item, "tableName")
    except ApiStatusError:
        name = required_text(response, item, "tableId")
    done = item.get("done")
    return TableLoad(
        name=name,
        rows=number_or_none(item, "tableRowCount"),
        done=done if isinstance(done, bool) else None,
        message=(
            plain_text(item.get("message"))
            or plain_text(item.get("errorMessage"))
            or plain_text(item.get("error"))
        ),
    )


def _word(text: str) -> str:
    word = text.strip().upper()
    return _OTHER_WORDS.get(word, word)


def _moment(value: Any) -> int | None:
    """Epoch milliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):  # no number, or infinite
            return None
    try:
        when = dt.datetime.fromisoformat(plain_text(value).strip())
    except ValueError:
        return None
    try:
        return round((when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
