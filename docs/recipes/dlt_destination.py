"""A destination of dlt: each table of a load is one push into Celonis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.libs.pyarrow import columns_to_arrow
from dlt.common.schema.utils import get_nested_tables, has_table_seen_data
from dlt.common.storages.load_package import ParsedLoadJobFileName

from celonis_frames import Celonis, Column
from celonis_frames.exceptions import (
    ApiConnectionError,
    ApiTimeoutError,
    CelonisFramesError,
    RateLimited,
    ServerError,
)

TableSchema = dict[str, Any]

TRANSIENT = (ApiConnectionError, ApiTimeoutError, RateLimited, ServerError)
"""Errors after which dlt tries again by itself; after all others something has to be mended."""

MAX_LENGTH = 16_250
"""Characters of the longest string column; a string declared longer is measured instead."""


@dlt.destination(
    name="celonis",
    batch_size=0,  # pass the path of a file, not its rows
    loader_file_format="parquet",
    naming_convention="snake_case",
    loader_parallelism_strategy="table-sequential",  # while a table is pushed, its files stay
)
def celonis(
    file: str, table: TableSchema, pool: str = dlt.config.value, staging: str | None = None
) -> None:
    """Pushes a table with the first of its files; the same push with another file sends nothing.

    Args:
        file: A file of the table in a load package.
        table: The table's schema.
        pool: Data Pool: id, name or URL.
        staging: An fsspec URL for the chunks and receipts of pushes; None is a folder of the
            pipeline, beside its load packages.
    """
    if table["name"].startswith("_dlt"):
        return  # the pipeline's state, which could not be read back
    load_id = dlt.current.load_package_state()["load_id"]
    staging = staging or str(Path(dlt.current.pipeline().working_dir) / "celonis")
    try:
        with Celonis.from_env() as connection:
            for one, frame in frames(Path(file).parents[1], table):
                name, options = one["name"], push_options(one)
                connection.push(
                    frame, pool, name, push_id=f"dlt/{load_id}/{name}", staging=staging,
                    progress=False, **options,
                )  # fmt: skip
    except TRANSIENT:
        raise
    except CelonisFramesError as error:
        raise DestinationTerminalException(f"{table['name']}: {error}") from error


def push_options(table: TableSchema) -> dict[str, Any]:
    """The options of `push` for a table: mode, keys, lengths of strings."""
    lengths = {
        name: Column("STRING", length=column["precision"])
        for name, column in table["columns"].items()
        if column.get("data_type") == "text" and 0 < (column.get("precision") or 0) <= MAX_LENGTH
    }
    options: dict[str, Any] = {"columns": lengths, "binary": "hex"}
    if table.get("parent") and not _with_hint(table, "parent_key"):
        _reject(
            table, "is nested, and its rows lead to no parent: skip_dlt_columns_and_tables=False"
        )
    if table["write_disposition"] == "replace":
        return options | {"mode": "REPLACE"}
    if table["write_disposition"] == "append":
        return options
    # Celonis upserts by the key, and does no other merge.
    keys = _with_hint(table, "primary_key")
    if table.get("parent"):
        _reject(table, "is nested, so that the old rows of a list would stay: max_table_nesting=0")
    if not keys:
        _reject(table, "has no primary_key to merge by")
    if table.get("x-merge-strategy", "upsert") not in ("upsert", "delete-insert"):
        _reject(table, f"has the merge strategy {table['x-merge-strategy']!r}: use 'upsert'")
    for hint in ("merge_key", "hard_delete"):
        if set(_with_hint(table, hint)) - set(keys):
            _reject(table, f"has a column with the hint {hint}, which Celonis cannot follow")
    latest = _with_hint(table, "dedup_sort")
    if latest and table["columns"][latest[0]]["dedup_sort"] != "desc":
        _reject(table, "keeps the lowest value of a key: dedup_sort must be 'desc'")
    return options | {"keys": keys, "deduplicate_by": latest[0] if latest else None}


def frames(package: Path, table: TableSchema) -> Iterator[tuple[TableSchema, Any]]:
    """A table and the rows of all its files; to replace it also nested tables that got no rows.

    Args:
        package: The folder of the load package.
        table: The table's schema.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(package.glob("*_jobs/*.parquet"), key=lambda path: path.stat().st_mtime_ns):
        files.setdefault(ParsedLoadJobFileName.parse(path.name).table_name, []).append(path)
    # A later file may have columns that an earlier one does not know yet.
    found = pa.unify_schemas([pq.read_schema(path) for path in files[table["name"]]])
    schema = pa.schema([found.field(name) for name in table["columns"] if name in found.names])
    yield table, ds.dataset(files[table["name"]], schema=schema)
    if table["write_disposition"] == "replace" and not table.get("parent"):
        tables = json.loads((package / "schema.json").read_text("utf-8"))["tables"]
        for nested in get_nested_tables(tables, table["name"], include_self=False):
            if has_table_seen_data(nested) and nested["name"] not in files:
                types = DestinationCapabilitiesContext.generic_capabilities()
                empty = columns_to_arrow(nested["columns"], types, "UTC").empty_table()
                yield {**nested, "write_disposition": "replace"}, empty


def _with_hint(table: TableSchema, hint: str) -> list[str]:
    return [name for name, column in table["columns"].items() if column.get(hint)]


def _reject(table: TableSchema, problem: str) -> None:
    raise DestinationTerminalException(f"Table {table['name']} {problem}.")
