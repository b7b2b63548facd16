"""The loads of data models, with their states, as the API returns them."""

from __future__ import annotations

import json
import uuid
from typing import Any, Literal

from celonis_frames.local._database.catalog import Catalog, now
from celonis_frames.local._database.database import Row

HISTORY = 20
"""Loads kept of each data model."""

LoadType = Literal["COMPLETE", "PARTIAL"]

_TABLES = """
CREATE TABLE IF NOT EXISTS _celonis.loads (
    id VARCHAR, model_id VARCHAR, number BIGINT, started BIGINT, ended BIGINT, status VARCHAR,
    message VARCHAR, type VARCHAR, tables VARCHAR);
"""


class Loads:
    """The loads of all data models. All methods may be called by any thread.

    Args:
        catalog: Where they are kept. Loads that are RUNNING in it, which an earlier server did not
            finish, are set to LOST_CONNECTION.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        catalog.run(_TABLES)
        catalog.run(
            "UPDATE _celonis.loads SET status = 'LOST_CONNECTION', ended = ?, message = "
            "'The server stopped while the load was running; the data model is unchanged' "
            "WHERE status = 'RUNNING'",
            now(),
        )

    def start(self, model_id: str, kind: LoadType) -> Row:
        """Add a load that is RUNNING, and forget the oldest."""
        load_id = str(uuid.uuid4())
        with self._catalog.locked():
            self._catalog.run(
                "INSERT INTO _celonis.loads SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, NULL, "
                "'RUNNING', NULL, ?4, '[]' FROM _celonis.loads",
                load_id, model_id, now(), kind,
            )  # fmt: skip
            self._catalog.run(
                "DELETE FROM _celonis.loads WHERE model_id = ?1 AND number NOT IN (SELECT number "
                f"FROM _celonis.loads WHERE model_id = ?1 ORDER BY number DESC LIMIT {HISTORY})",
                model_id,
            )
            return self.loads(model_id)[0]

    def end(
        self, load: Row, status: str, message: str | None, tables: list[Row], cursor: Any = None
    ) -> None:
        """Record how a load ended, in the transaction of `cursor` if given.

        Args:
            load: The load.
            status: SUCCESS, WARNING or ERROR.
            message: Why it is not SUCCESS.
            tables: Its tables, as the API returns them.
            cursor: A cursor with an open transaction.
        """
        values = (status, message, json.dumps(tables), now(), load["id"])
        statement = (
            "UPDATE _celonis.loads SET status = ?, message = ?, tables = ?, ended = ? WHERE id = ?"
        )
        if cursor is None:
            self._catalog.run(statement, *values)
        else:
            cursor.execute(statement, values)

    def loads(self, model_id: str) -> list[Row]:
        """The loads of a data model, newest first."""
        found = self._catalog.rows(
            "SELECT * FROM _celonis.loads WHERE model_id = ? ORDER BY number DESC", model_id
        )
        return [row | {"tables": json.loads(row["tables"])} for row in found]
