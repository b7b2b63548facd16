"""Data models, their tables, and what their loads have loaded.

The rows that a data model shows are those of its last load. They are in a schema of its own, the
model's ``space``; ``_celonis.loaded_tables`` lists the tables in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row

_TABLES = """
CREATE TABLE IF NOT EXISTS _celonis.models (
    id VARCHAR, pool_id VARCHAR, name VARCHAR, space VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.model_tables (
    model_id VARCHAR, connection_id VARCHAR, name VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.loaded_tables (
    model_id VARCHAR, table_id VARCHAR, name VARCHAR, stored VARCHAR, rows BIGINT);
"""


@dataclass(frozen=True)
class ModelTable:
    """A table of a data model.

    Attributes:
        id: Its id in the model.
        name: Name of the table in the pool.
        alias: Its name in the model, if another table of the model has the same name.
        connection_id: Its data connection; None is the pool's global schema.
        space: Where the rows are that a load reads.
        exists: Whether the pool has the table.
    """

    id: str
    name: str
    alias: str | None
    connection_id: str | None
    space: str
    exists: bool

    @property
    def shown(self) -> str:
        """Its name in the model."""
        return self.alias or self.name


class DataModels:
    """The data models of a catalog. All methods may be called by any thread.

    Args:
        catalog: Where they are kept.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        catalog.run(_TABLES)

    def models(self, pool_id: str) -> list[Row]:
        """The data models of a pool, by name."""
        return self._catalog.rows(
            "SELECT * FROM _celonis.models WHERE pool_id = ? ORDER BY lower(name)", pool_id
        )

    def model(self, pool_id: str, key: str) -> Row | None:
        """The data model with this id, else with this name; case does not matter."""
        found = self._catalog.rows(
            "SELECT * FROM _celonis.models WHERE pool_id = ?1 AND lower(?2) IN (id, lower(name)) "
            "ORDER BY id = lower(?2) DESC",
            pool_id, key,
        )  # fmt: skip
        return found[0] if found else None

    def add(self, pool: Row, name: str) -> Row:
        """Add a data model without tables to a pool."""
        with self._catalog.locked():
            item = {
                "id": str(uuid.uuid4()),
                "pool_id": pool["id"],
                "name": name,
                "space": self._catalog.add_space(f"{pool['name']}/models/{name}"),
            }
            self._catalog.run("INSERT INTO _celonis.models VALUES (?, ?, ?, ?)", *item.values())
            return item

    def add_tables(
        self, model: Row, names: Iterable[str] | None, connection_id: str | None = None
    ) -> None:
        """Add tables to a data model.

        Args:
            model: The data model.
            names: Their names, whether or not the pool has them yet. None: all tables of the data
                connection or, without one, of the pool, also those that it gets later.
            connection_id: Their data connection; None is the pool's global schema.
        """
        for name in [None] if names is None else names:
            self._catalog.run(
                "INSERT INTO _celonis.model_tables VALUES (?, ?, ?)",
                model["id"], connection_id, name,
            )  # fmt: skip

    def tables(self, model: Row) -> list[ModelTable]:
        """The tables of a data model, with those that its pool has now if it has all of them."""
        with self._catalog.locked():
            pool = self._catalog.pool(model["pool_id"]) or {}
            places = {
                (c["id"] if c else None): (c["name"] if c else None, space)
                for c, space in self._catalog.places(pool)
            }
            names = {key: self._catalog.table_names(space) for key, (_, space) in places.items()}
            wanted = self._catalog.rows(
                "SELECT connection_id, name FROM _celonis.model_tables WHERE model_id = ? "
                "ORDER BY rowid",
                model["id"],
            )
        found: dict[str, ModelTable] = {}
        taken: set[str] = set()
        for key, wanted_name in _expanded(wanted, names):
            table_id = _table_id(model, key, wanted_name)
            if table_id in found:
                continue
            label, space = places[key]
            stored = {each.lower(): each for each in names[key]}
            name = stored.get(wanted_name.lower(), wanted_name)
            alias = None
            if name.lower() in taken:
                alias = free_name(name if label is None else f"{label}_{name}", taken)
            taken.add((alias or name).lower())
            exists = name.lower() in stored
            found[table_id] = ModelTable(table_id, name, alias, key, space, exists)
        return list(found.values())

    # What is loaded

    def loaded(self, model_id: str) -> list[Row]:
        """The tables that are loaded: ``table_id``, ``name``, ``stored`` (in the space), ``rows``.

        They are ordered by name.
        """
        return self._catalog.rows(
            "SELECT table_id, name, stored, rows FROM _celonis.loaded_tables WHERE model_id = ? "
            "ORDER BY lower(name)",
            model_id,
        )

    def set_loaded(self, cursor: Any, model_id: str, tables: Iterable[Row]) -> None:
        """Set the tables that are loaded, in the transaction of the cursor."""
        cursor.execute("DELETE FROM _celonis.loaded_tables WHERE model_id = ?", (model_id,))
        for table in tables:
            cursor.execute(
                "INSERT INTO _celonis.loaded_tables VALUES (?, ?, ?, ?, ?)",
                (model_id, table["table_id"], table["name"], table["stored"], table["rows"]),
            )


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it if it is one of these lower-case names."""
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _expanded(
    wanted: list[Row], names: dict[str | None, list[str]]
) -> Iterable[tuple[str | None, str]]:
    """The data connection and name of each table that is wanted by name, or with all others."""
    for row in wanted:
        key = row["connection_id"]
        if row["name"] is not None:
            yield key, row["name"]
            continue
        for each in names if key is None else (key,):
            for name in names[each]:
                yield each, name


def _table_id(model: Row, connection_id: str | None, name: str) -> str:
    """The same for the same table, so that a partial load can name it."""
    return str(uuid.uuid5(uuid.UUID(model["id"]), f"{connection_id or ''}/{name.lower()}"))
