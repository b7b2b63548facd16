"""Data models, their loads and data jobs, with the threads that carry them out.

How it works: `Processing` has two threads, one for loads and one for data jobs, which start with
the first of each. `stop` lets them stop, `close` joins them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from celonis_frames._formatting import shown
from celonis_frames.exceptions import ConfigError
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.sql import quote
from celonis_frames.local._database.table_reader import known_pool
from celonis_frames.local._faults.schedule import FaultSchedule
from celonis_frames.local._processing.data_job_runner import DataJobRunner
from celonis_frames.local._processing.data_jobs import DataJobs
from celonis_frames.local._processing.load_runner import LoadRunner
from celonis_frames.local._processing.loads import Loads
from celonis_frames.local._processing.models import DataModels
from celonis_frames.local._processing.statements import parse


class Processing:
    """What follows a push in a catalog.

    Args:
        catalog: Where everything is kept.
        faults: What happens to loads and data jobs.

    Attributes:
        models: The data models.
        loads: Their loads.
        load_runner: Carries loads out.
        data_jobs: The data jobs.
        data_job_runner: Executes data jobs.
    """

    def __init__(self, catalog: Catalog, faults: FaultSchedule) -> None:
        self._catalog = catalog
        self.models, self.loads, self.data_jobs = (
            DataModels(catalog), Loads(catalog), DataJobs(catalog),
        )  # fmt: skip
        self.load_runner = LoadRunner(catalog, self.models, self.loads, faults)
        self.data_job_runner = DataJobRunner(catalog, self.data_jobs, faults)

    def stop(self) -> None:
        """Let the threads stop; they may still run for a moment."""
        self.load_runner.stop()
        self.data_job_runner.stop()

    def close(self) -> None:
        """Stop the threads and wait for their end."""
        self.stop()
        self.load_runner.close()
        self.data_job_runner.close()

    def add_model(
        self, pool: str, name: str, tables: Collection[str] | None, connection: str | None
    ) -> str:
        """As `LocalCelonis.add_data_model`."""
        _check_text("pool", pool)
        _check_text("data model", name)
        if isinstance(tables, str):
            tables = [tables]
        for table in tables or ():
            _check_text("table", table)
        with self._catalog.locked():
            found = self._catalog.pool(pool) or self._catalog.add_pool(pool)
            source = None if connection is None else self._connection(found, connection)
            model = self.models.model(found["id"], name) or self.models.add(found, name)
            self.models.add_tables(model, tables, source)
            return str(model["id"])

    def _connection(self, pool: Row, key: str) -> str:
        """The id of a data connection."""
        found = self._catalog.connection(pool["id"], key)
        if found is None:
            names = [each["name"] for each in self._catalog.connections(pool["id"])]
            raise ConfigError(
                f"There is no data connection {key!r} in pool {pool['name']!r}. Data connections "
                f"are {names}; add_connection adds one."
            )
        return str(found["id"])

    def model_table(self, pool: str, model: str, table: str) -> pa.Table:
        """As `LocalCelonis.model_table`."""
        found = known_pool(self._catalog, pool)
        item = self.models.model(found["id"], model)
        if item is None:
            names = [each["name"] for each in self.models.models(found["id"])]
            raise KeyError(f"no data model {model!r} in pool {pool!r}; data models are {names}")
        with self._catalog.reading() as cursor:
            # The tables and their rows are those of one load.
            cursor.execute("BEGIN TRANSACTION")
            loaded = cursor.execute(
                "SELECT name, stored FROM _celonis.loaded_tables WHERE model_id = ?", (item["id"],)
            ).fetchall()
            for name, stored in loaded:
                if name.lower() == table.lower():
                    source = f"{quote(item['space'])}.{quote(stored)}"
                    rows: pa.Table = cursor.sql(f"SELECT * FROM {source}").to_arrow_table()
                    return rows
        names = sorted(name for name, _ in loaded)
        raise KeyError(
            f"no table {table!r} is loaded in data model {model!r}; loaded tables are {names}"
        )

    def add_data_job(self, pool: str, name: str, sql: str | Sequence[str]) -> str:
        """As `LocalCelonis.add_data_job`."""
        _check_text("pool", pool)
        _check_text("data job", name)
        if not isinstance(sql, str | list | tuple):
            raise ConfigError(f"sql={shown(sql)} must be a string of SQL, or a list of strings.")
        statements = [sql] if isinstance(sql, str) else list(sql)
        for number, statement in enumerate(statements, start=1):
            if not isinstance(statement, str):
                raise ConfigError(f"Statement {number} of the data job {name!r} is no string.")
            with self._catalog.reading() as cursor:
                try:
                    parse(cursor, statement)
                except JobError as error:
                    raise ConfigError(
                        f"Statement {number} of the data job {name!r} cannot be recorded: {error}."
                    ) from error
        with self._catalog.locked():
            found = self._catalog.pool(pool) or self._catalog.add_pool(pool)
            return str(self.data_jobs.add(found["id"], name, statements)["id"])


def _check_text(noun: str, name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{shown(name)} is no name of a {noun}. Give a string that is not blank.")
