"""Reads the columns of the table that a push will write to."""

from __future__ import annotations

import logging
import threading
import weakref

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._options.push_options import PushOptions
from celonis_frames._reporting.current import warn
from celonis_frames._schema.names import CHANGE_DATE, name_key
from celonis_frames._tables.existing_table import ExistingColumn, ExistingTable
from celonis_frames.exceptions import (
    ApiError,
    ApiStatusError,
    ConfigError,
    NotFound,
)

_log = logging.getLogger("celonis_frames")

_told: weakref.WeakSet[object] = weakref.WeakSet()
"""Connections whose user knows that the columns of tables cannot be read."""
_telling = threading.Lock()


def read_table(
    api: DataPushApi,
    pool_id: str,
    name: str,
    connection_id: str | None,
    options: PushOptions,
    *,
    deleted: bool = False,
    tells: bool = True,
) -> ExistingTable:
    """The table, by one call; ``verify="none"`` makes none.

    `deleted`: rows are deleted only, so that no value can be lost. `tells`: log a warning if values
    may be lost that could not be compared.

    Raises:
        ConfigError: The columns cannot be read, but an option needs them.
        ApiError: They cannot be read now, and a push could lose values without them.
    """
    if "none" in options.verify:
        return ExistingTable(name)
    needed = option_that_needs_columns(options)
    guarded = options.keys and not (options.replaces or deleted) and not options.missing_columns
    asked = "schema" in options.verify or options.schema_mode == "align"
    patient = needed or guarded or asked
    try:
        found = api.columns(
            pool_id, name, connection_id,
            policy=None if patient else RetryPolicy(max_tries=1),  # it must not delay the push
        )  # fmt: skip
    except NotFound:
        return ExistingTable(name, absent=True)
    except ApiError as error:
        if api.token.expired:
            raise
        _log.info("table %s: its columns cannot be read (%s)", name, type(error).__name__)
        table = ExistingTable(name, error=error)
        if (needed or guarded or options.schema_mode == "align") and _may_pass(error):
            raise
        if needed:
            raise ConfigError(
                f"{needed} compares the frame with table {name!r}, which is not possible: "
                f"{table.reason} Leave the option out, or use a key that may read the pool."
            ) from error
        if guarded and tells:
            _tell_once(api, table)
        return table
    if not found:
        return ExistingTable(name, absent=True)
    known = {}
    for column in found:
        one = ExistingColumn(column.name, column.type, column.length)
        known[name_key(column.name)] = one
    known.pop(name_key(CHANGE_DATE), None)
    return ExistingTable(name, known, exists=True)


def read_existing(api: DataPushApi, pool: str, options: PushOptions, table: str) -> ExistingTable:
    """The table of a pool that is given by id, name or URL.

    Raises:
        ConfigError, ApiError: The pool or the data connection cannot be looked up, or as
            `read_table`.
    """
    pool_id = lookup.pool_id(api, pool)
    connection_id = lookup.connection_id(api, pool_id, options.connection)
    return read_table(api, pool_id, table, connection_id, options, tells=False)


def option_that_needs_columns(options: PushOptions) -> str | None:
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
    return status is None or status >= 500 or status in (408, 425, 429)  # HTTP


def _tell_once(api: DataPushApi, table: ExistingTable) -> None:
    with _telling:
        if api.connection in _told:
            return
        _told.add(api.connection)
    warn(
        "table %s: the frame could not be compared with it: %s Columns that the frame lacks, if "
        "there are any, become NULL in the rows that an upsert writes. A key that may read the "
        'pool shows them; missing_columns="null" accepts the NULLs. This warning is given once per '
        "connection.",
        table.name, table.reason,
    )  # fmt: skip
