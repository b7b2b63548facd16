"""The rows of a table, found by the names that a user gives."""

from __future__ import annotations

import pyarrow as pa

from celonis_frames.local._database.catalog import CHANGE_DATE, Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.sql import quote


def known_pool(catalog: Catalog, key: str) -> Row:
    """The pool with this id or name.

    Raises:
        KeyError: There is none; the message lists those that exist.
    """
    found = catalog.pool(key)
    if found is None:
        raise KeyError(f"no pool {key!r}; pools are {[p['name'] for p in catalog.pools()]}")
    return found


def read_table(
    catalog: Catalog, pool: str, table: str, connection: str | None, *, change_date: bool
) -> pa.Table:
    """As `LocalCelonis.table`."""
    found = known_pool(catalog, pool)
    space = found["space"]
    if connection is not None:
        item = catalog.connection(found["id"], connection)
        if item is None:
            names = [c["name"] for c in catalog.connections(found["id"])]
            raise KeyError(
                f"no data connection {connection!r} in pool {pool!r}; data connections are {names}"
            )
        space = item["space"]
    stored = catalog.table(space, table)
    if stored is None:
        names = [t["name"] for t in catalog.tables(space)]
        raise KeyError(f"no table {table!r} in pool {pool!r}; tables are {names}")
    columns = [quote(c["name"]) for c in stored["columns"]]
    if change_date and stored["has_change_date"]:
        columns.append(quote(CHANGE_DATE))
    query = f"SELECT {', '.join(columns)} FROM {quote(space)}.{quote(stored['name'])}"
    with catalog.reading() as cursor:
        rows: pa.Table = cursor.sql(query).to_arrow_table()
        return rows
