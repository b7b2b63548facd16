"""`start` and the object it returns.

How it works: a local Celonis is two to five threads. One runs uvicorn (`FaultableServer`), one the
submitted jobs (`JobRunner`), and one ingests objects (`IngestionWorker`), from the first data
connection on that takes them; one loads data models and one executes data jobs (`Processing`), each
from the first on. They share the DuckDB database (`Catalog`). `LocalCelonis` starts them,
and its `close` stops and joins them before it closes the database. Its other methods query the
database from the caller's thread.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import uvicorn

from celonis_frames.exceptions import ConfigError
from celonis_frames.local._assumptions import LENIENT, STRICT, Assumptions
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.job_runner import JobRunner
from celonis_frames.local._database.table_reader import read_table
from celonis_frames.local._faults.checks import check_seconds
from celonis_frames.local._faults.faults import Faults
from celonis_frames.local._faults.schedule import Fault
from celonis_frames.local._faults.server import BufferedH11Protocol, FaultableServer
from celonis_frames.local._gateway.objects import BUCKET, REGION, ObjectStore
from celonis_frames.local._gateway.tables import read_tables
from celonis_frames.local._gateway.worker import IngestionWorker
from celonis_frames.local._processing.processing import Processing
from celonis_frames.local._web.app import ENDPOINTS, create_app
from celonis_frames.local._web.endpoint import ServerState
from celonis_frames.local._web.oauth import DEFAULT_SECONDS, TokenIssuer
from celonis_frames.local._web.rate_limit import RateLimiter

if TYPE_CHECKING:
    from celonis_frames._client import Celonis
    from celonis_frames._ingestion.keys import IngestionKeys

MAX_CHUNK_BYTES = 1_000_000_000
"""The documented limit of the API."""


class LocalCelonis:
    """A local Celonis that runs until it is closed. `start` returns it.

    Attributes:
        url: Its URL on this machine, such as ``http://127.0.0.1:40213``.
        token: The user API key that it accepts (``Bearer``).
        app_key: The application key that it accepts (``AppKey``).
        oauth_client: Id and secret of an OAuth client, for ``OAuth2(*celonis.oauth_client)``.
        faults: Faults for tests.
        path: The DuckDB file, or None for memory.
    """

    def __init__(self, state: ServerState, sock: socket.socket, faults: Faults) -> None:
        self._state, self._catalog = state, state.catalog
        self.faults = faults
        self.token, self.app_key = state.api_key, state.app_key
        self.oauth_client = (state.tokens.client_id, state.tokens.client_secret)
        self.path = state.catalog.path
        self.url = _url(*sock.getsockname()[:2])
        config = uvicorn.Config(
            create_app(state), http=BufferedH11Protocol, ws="none", lifespan="off", log_level="error",
            timeout_graceful_shutdown=1, access_log=False,
            # uvicorn's own logging needs a stdout and closes the handlers that a program has.
            log_config=None,
            # The page is shown by address. A header must not change the address of a caller.
            proxy_headers=False,
        )  # fmt: skip
        self._server = state.faults.attach(FaultableServer(config, sock))
        self._worker = IngestionWorker(
            state.catalog, state.objects, state.faults, lenient=state.assumptions.other_types
        )
        if state.objects.is_used:
            self._worker.start()
        self._closed, self._pid = False, os.getpid()
        from celonis_frames._connect import server_started  # noqa: PLC0415  # as in `connect`

        server_started(self.url, limits=state.limiter is not None)
        self._server.begin()
        # A thread that the exit stops while DuckDB runs for it would abort the process.
        atexit.register(self.close)

    def connect(self) -> Celonis:
        """Connect to it, and make this the default connection."""
        # Imported here because `connect` imports this package, for "local".
        from celonis_frames._auth.keys import ApiKey  # noqa: PLC0415
        from celonis_frames._connect import connect  # noqa: PLC0415

        return connect(self.url, auth=ApiKey(self.token))

    @contextlib.contextmanager
    def _as_default(self) -> Iterator[None]:
        """Make it the default connection for a while; for the pytest fixture."""
        from celonis_frames._auth.keys import ApiKey  # noqa: PLC0415
        from celonis_frames._connect import default_connection  # noqa: PLC0415

        with default_connection(self.url, ApiKey(self.token)):
            yield

    def table(
        self, pool: str, table: str, *, connection: str | None = None, change_date: bool = False
    ) -> pa.Table:
        """All rows of a table, as stored.

        Args:
            pool: The pool's id or name.
            table: The table's name; case does not matter.
            connection: A data connection's id or name; None is the pool's global schema.
            change_date: Also return ``_CELONIS_CHANGE_DATE``, which the server adds to the tables of
                pushes.

        Raises:
            KeyError: No such pool, data connection or table; the message lists those that exist.
        """
        return read_table(self._catalog, pool, table, connection, change_date=change_date)

    def sql(self, query: str) -> pa.Table:
        """The result of an SQL query.

        A table is named ``"<pool>"."<table>"``, or ``"<pool>/<data connection>"."<table>"``; as a
        data model has loaded it, ``"<pool>/models/<data model>"."<table>"``.
        """
        with self._catalog.reading() as cursor:
            return cursor.sql(query).to_arrow_table()

    @property
    def jobs(self) -> list[Row]:
        """All jobs as the API returns them, newest first."""
        return self._catalog.jobs()

    def add_pool(self, name: str) -> str:
        """Add a pool; returns its id."""
        return str(self._catalog.add_pool(name)["id"])

    def add_connection(self, pool: str, name: str) -> str:
        """Add a data connection to a pool, and the pool if it does not exist; returns its id."""
        found = self._catalog.pool(pool) or self._catalog.add_pool(pool)
        return str(self._catalog.add_connection(found, name)["id"])

    def add_data_model(
        self,
        pool: str,
        name: str,
        tables: Collection[str] | None = None,
        *,
        connection: str | None = None,
    ) -> str:
        """Add a data model to a pool, and the pool if it does not exist; returns its id.

        If the pool has a data model of that name, the tables are added to it. Its rows are those of
        its last load, which a call of the API starts.

        Args:
            pool: The pool's id or name.
            name: Name of the data model.
            tables: Names of its tables, whether or not the pool has them yet. None: all tables of
                the data connection or, without one, of the pool, also those that it gets later.
            connection: A data connection's id or name, where the tables are; None is the pool's
                global schema.

        Raises:
            ConfigError: There is no such data connection, or a name is blank.
        """
        return self._state.processing.add_model(pool, name, tables, connection)

    def model_table(self, pool: str, model: str, table: str) -> pa.Table:
        """All rows of a table of a data model, as of the last load.

        Args:
            pool: The pool's id or name.
            model: The data model's id or name.
            table: The table's name in the data model; case does not matter.

        Raises:
            KeyError: No such pool, data model or loaded table; the message lists those that exist.
        """
        return self._state.processing.model_table(pool, model, table)

    def add_data_job(self, pool: str, name: str, sql: str | Sequence[str]) -> str:
        """Add a data job to a pool, and the pool if it does not exist; returns its id.

        If the pool has a data job of that name, it gets these statements.

        Args:
            pool: The pool's id or name.
            name: Name of the data job.
            sql: SQL statements in DuckDB's dialect. They are executed in one transaction; a name
                without a schema is that of a table in the pool's global schema.

        Raises:
            ConfigError: The SQL cannot be parsed, or has a statement that does not read or write
                tables, such as COPY, ATTACH, INSTALL or SET.
        """
        return self._state.processing.add_data_job(pool, name, sql)

    def ingestion(
        self,
        pool: str,
        tables: Mapping[str, Mapping[str, Any] | None] | None = None,
        *,
        name: str = "Push data",
        delay: float = 0.0,
    ) -> IngestionKeys:
        """Set up a *Push data into Celonis* connection, as in the UI; returns its keys.

        If the pool has a data connection of that name, the tables are added to it; a table that it
        has already gets the new settings. Its keys stay the same.

        Args:
            pool: The pool's id or name; the pool is added if it does not exist.
            tables: Source tables with their options: ``keys``, the primary key; ``age``, a column
                by which a row replaces another one only if its value is not less; ``target``, the
                table to load into if its name is another one. None and ``{}`` are no options.
            name: Name of the data connection.
            delay: Seconds from the storage of an object to its ingestion.

        Raises:
            ConfigError: The tables or the delay are not valid.
        """
        from celonis_frames._ingestion.keys import IngestionKeys  # noqa: PLC0415  # as in `connect`

        wanted = read_tables(tables)
        check_seconds("delay", delay)
        with self._catalog.locked():
            found = self._catalog.pool(pool) or self._catalog.add_pool(pool)
            connection = self._catalog.connection(found["id"], name)
            if connection is None:
                connection = self._catalog.add_connection(found, name)
            keys = self._state.objects.set_up(connection["id"], wanted, delay)
        self._worker.start()
        return IngestionKeys(
            connection["id"], keys["access_key"], keys["secret_key"], BUCKET, REGION
        )

    @property
    def objects(self) -> list[Row]:
        """The objects stored by the Data Ingestion API, in the order of their arrival.

        Each is a dict: ``key``, ``table`` (the source table), ``rows`` (None until it is ingested),
        ``bytes``, ``state`` (``PENDING``, ``INGESTED``, ``FAILED``), ``reason`` (of a failure), and
        ``time``, the milliseconds from 1970 to its storage.
        """
        return [
            {
                "key": item["key"], "table": item["table_name"], "rows": item["rows"],
                "bytes": item["bytes"], "state": item["state"], "reason": item["reason"],
                "time": item["created"],
            }
            for item in self._state.objects.objects()
        ]  # fmt: skip

    def replay(self, key: str | None = None) -> int:
        """Ingest failed objects again, after all that wait; returns their number.

        Args:
            key: Key of an object; None replays all that have failed.

        Raises:
            KeyError: No object with that key has failed; the message lists those that have.
        """
        replayed = self._state.objects.replay(key=key)
        if key is not None and not replayed:
            failed = [item["key"] for item in self.objects if item["state"] == "FAILED"]
            raise KeyError(f"no failed object {key!r}; failed objects are {failed}")
        return replayed

    def wait_ingested(self, timeout: float = 30.0) -> None:
        """Wait until no object is PENDING.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: Some still are.
        """
        if not self._state.objects.settled.wait(timeout):
            waiting = [item["key"] for item in self.objects if item["state"] == "PENDING"]
            raise TimeoutError(f"not ingested after {timeout:g} seconds: {waiting}")

    def expire_tokens(self) -> None:
        """Let all access tokens issued so far expire now."""
        self._state.tokens.expire()

    def close(self) -> None:
        """Stop the server and close the database. Further calls, and a forked child, do nothing.

        Afterwards no connection to it is the default.
        """
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        atexit.unregister(self.close)
        from celonis_frames._connect import server_stopped  # noqa: PLC0415  # as in `connect`

        server_stopped(self.url)
        self._server.end()
        # The threads wait for each other's writing, so all of them stop before one is joined.
        self._state.processing.stop()
        self._worker.close()
        self._state.job_runner.close()
        self._state.processing.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalCelonis {self.url} ({self.path or 'in memory'})>"


def start(
    path: str | os.PathLike[str] | None = None,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    strict_pools: bool = False,
    lenient: bool = False,
    assumptions: Assumptions | None = None,
    limits: bool = True,
    token: str | None = None,
    token_seconds: float = DEFAULT_SECONDS,
    max_chunk_bytes: int = MAX_CHUNK_BYTES,
) -> LocalCelonis:
    """Starts a local Celonis in this process.

    Args:
        path: DuckDB file; None keeps everything in memory. Chunks are in ``<path>.chunks``. New
            files are for their owner only; symbolic links are rejected.
        port: Port; 0 picks a free one.
        host: Address to listen on. By default only this machine can connect.
        strict_pools: Return 404 for a job in an unknown pool instead of creating the pool.
        lenient: Accept every Parquet file that DuckDB reads, not only those that Celonis most
            likely accepts; the gateway of the Data Ingestion API also answers HEAD.
        assumptions: What it does where the behaviour of Celonis is not documented, instead of
            `lenient`; None is ``Assumptions()``.
        limits: Enforce the limits on submissions: 10 a second and 250 an hour. Without them, pushes
            of this process do not keep to them either.
        token: The user API key to accept. None generates one, which stays the same at each start of
            the same file, as does the application key.
        token_seconds: Lifetime in seconds of an access token of ``/oauth2/token``.
        max_chunk_bytes: Largest chunk or object, in bytes.

    Raises:
        ConfigError: Both `lenient` and `assumptions` are given, the file is in use or cannot be a
            DuckDB file, or the port is in use or not valid.
    """
    if lenient and assumptions is not None:
        raise ConfigError("Give lenient=True, or the settings of assumptions=, not both.")
    assumed = assumptions or (LENIENT if lenient else STRICT)
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port={port} is not a port. Give 1 to 65535, or 0 for a free one.")
    return serve(
        Catalog(path), port, host=host, strict_pools=strict_pools, assumed=assumed, limits=limits,
        token=token, token_seconds=token_seconds, max_chunk_bytes=max_chunk_bytes,
    )  # fmt: skip


def serve(
    catalog: Catalog,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    strict_pools: bool = False,
    assumed: Assumptions = STRICT,
    limits: bool = True,
    token: str | None = None,
    token_seconds: float = DEFAULT_SECONDS,
    max_chunk_bytes: int = MAX_CHUNK_BYTES,
) -> LocalCelonis:
    """A local Celonis on a catalog, which it closes; the other parameters are those of `start`.

    Raises:
        ConfigError: The port is in use or not valid.
    """
    try:
        sock = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        catalog.close()
        problem = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            problem = "another process uses the port. Give port=0 (--port 0) for a free one."
        raise ConfigError(f"The local Celonis cannot listen on {host}:{port}: {problem}") from error
    faults = Faults([endpoint.name for endpoint in ENDPOINTS])
    schedule = faults._schedule  # noqa: SLF001  # the server's side of the faults
    state = ServerState(
        catalog=catalog,
        job_runner=JobRunner(catalog, schedule, assumed),
        objects=ObjectStore(catalog),
        processing=Processing(catalog, schedule),
        faults=schedule,
        limiter=RateLimiter() if limits else None,
        api_key=token or catalog.secret("api_key"),
        app_key=catalog.secret("app_key"),
        tokens=TokenIssuer(seconds=token_seconds),
        form_token=secrets.token_urlsafe(24),
        strict_pools=strict_pools,
        assumptions=assumed,
        max_chunk_bytes=max_chunk_bytes,
    )
    if assumed.informational is not None:
        for name in ("upload", "upload_deleted"):
            schedule.assume(Fault(name, "inform", None, status=assumed.informational))
    return LocalCelonis(state, sock, faults)


def _url(host: str, port: int) -> str:
    """The URL on this machine of a server that listens on this address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
