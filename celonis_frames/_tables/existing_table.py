"""The columns of the table that a push will write to, as far as the API key may read them."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import TableColumn
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.names import CHANGE_DATE, name_key
from celonis_frames.exceptions import ApiError, ApiStatusError, ConfigError, NotFound

_log = logging.getLogger("celonis_frames")

BYTES_PER_CHARACTER = 4
"""The columns call returns lengths in bytes, four per character (the official client)."""

SCOPE = "integration.data-pools:read"
"""The scope of OAuth that the columns call needs (Celonis' documentation)."""

_told: weakref.WeakSet[object] = weakref.WeakSet()
"""Connections whose user knows that their key may not read the columns of tables."""


@dataclass(frozen=True)
class ExistingColumn:
    """A column of the table.

    The type is STRING, DATE, INTEGER or FLOAT, all that the columns call knows; the length is that
    of a STRING column in characters, None if it is not known.
    """

    name: str
    type: str
    length: int | None = None


@dataclass(frozen=True)
class ExistingTable:
    """The table with its columns by `name_key`, without the one that the server adds.

    There are none if there is no such table, and they are None if they are not known, because
    `error` says so or because nobody asked.
    """

    name: str
    columns: Mapping[str, ExistingColumn] | None = None
    error: ApiError | None = field(default=None, compare=False)

    @property
    def known(self) -> Mapping[str, ExistingColumn]:
        """The columns that are known."""
        return self.columns or {}

    @property
    def exists(self) -> bool:
        """Whether there is such a table, as far as is known."""
        return bool(self.columns)

    @property
    def absent(self) -> bool:
        """Whether there is certainly no such table."""
        return self.columns is not None and not self.columns


def read_table(
    api: DataPushApi,
    pool_id: str,
    name: str,
    connection_id: str | None,
    options: PushOptions,
    *,
    deleted: bool = False,
) -> ExistingTable:
    """The table, by one call; ``verify="none"`` makes none.

    `deleted`: rows are deleted only, so that no value can be lost.

    Raises:
        ConfigError: The columns cannot be read, but an option needs them.
        ApiError: They cannot be read now, and a push could lose values without them.
    """
    if "none" in options.verify:
        return ExistingTable(name)
    needed = _option_that_needs_columns(options)
    guarded = options.keys and not (options.replaces or deleted) and not options.missing_columns
    patient = needed or guarded or "schema" in options.verify
    try:
        found = api.columns(
            pool_id, name, connection_id,
            policy=None if patient else RetryPolicy(max_tries=1),  # it must not delay the push
        )  # fmt: skip
    except NotFound:
        return ExistingTable(name, {})
    except ApiError as error:
        _log.info("table %s: its columns cannot be read (%s)", name, type(error).__name__)
        if needed:
            raise ConfigError(
                f"{needed} needs the columns of table {name!r}, which cannot be read "
                f"({error.message}) Leave it out, or use a key that may read the pool (scope "
                f"{SCOPE})."
            ) from error
        if guarded and _may_pass(error):
            raise
        if guarded:
            _tell_once(api, name)
        return ExistingTable(name, error=error)
    known = {name_key(column.name): _column(column) for column in found}
    known.pop(name_key(CHANGE_DATE), None)
    return ExistingTable(name, known)


def read_existing(api: DataPushApi, pool: str, options: PushOptions, table: str) -> ExistingTable:
    """The table of a pool that is given by id, name or URL.

    Raises:
        ConfigError, ApiError: The pool or the data connection cannot be looked up, or as
            `read_table`.
    """
    pool_id = lookup.pool_id(api, pool)
    connection_id = lookup.connection_id(api, pool_id, options.connection)
    return read_table(api, pool_id, table, connection_id, options)


def _option_that_needs_columns(options: PushOptions) -> str | None:
    """The option of a user who relies on the comparison, as it is written."""
    if options.mode == "CREATE":
        return 'mode="CREATE"'
    if options.schema == "freeze":
        return 'schema_mode="freeze"'
    if options.missing_columns == "error":
        return 'missing_columns="error"'
    return None


def _may_pass(error: ApiError) -> bool:
    """Whether a later call may succeed: the key may read the columns, as far as is known."""
    status = error.status_code if isinstance(error, ApiStatusError) else None
    return status is None or status >= 500 or status == 429  # HTTP


def _tell_once(api: DataPushApi, name: str) -> None:
    if api.connection in _told:
        return
    _told.add(api.connection)
    _log.warning(
        "table %s: this API key may not read its columns (scope %s). Columns that the frame lacks, "
        "if there are any, become NULL in the rows that an upsert writes. "
        'missing_columns="null" accepts that; this warning is given once per connection.',
        name, SCOPE,
    )  # fmt: skip


def _column(column: TableColumn) -> ExistingColumn:
    length = column.length // BYTES_PER_CHARACTER if column.length else None
    return ExistingColumn(column.name, column.type, length if column.type == "STRING" else None)
