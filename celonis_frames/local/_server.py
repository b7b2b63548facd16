"""The running local Celonis: uvicorn in a thread, and what its owner may do with it."""

from __future__ import annotations

import os
import secrets
import socket
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import uvicorn

from celonis_frames.exceptions import ConfigError
from celonis_frames.local._database.catalog import CHANGE_DATE, Row, Store, quote
from celonis_frames.local._database.job_runner import Worker
from celonis_frames.local._faults.faults import Faults
from celonis_frames.local._faults.server import BufferedH11Protocol, FaultableServer
from celonis_frames.local._web.app import create_app
from celonis_frames.local._web.endpoint import ServerState
from celonis_frames.local._web.oauth import DEFAULT_SECONDS, Tokens
from celonis_frames.local._web.rate_limit import Limiter

if TYPE_CHECKING:
    from celonis_frames._client import Celonis

MAX_CHUNK_BYTES = 1_000_000_000


class LocalCelonis:
    """A local Celonis that runs until it is closed. Made by `start`.

    Attributes:
        url: Its address, such as ``http://127.0.0.1:40213``.
        token: A user API key that it takes (``Bearer``).
        app_key: An application key that it takes (``AppKey``).
        oauth_client: Id and secret of an OAuth client, for ``OAuth2(*celonis.oauth_client)``.
        faults: What is to go wrong, for tests.
        path: The DuckDB file, or None for memory.
    """

    def __init__(self, state: ServerState, store: Store, sock: socket.socket) -> None:
        self._state, self._store = state, store
        self.faults = state.faults
        self.token, self.app_key = state.api_key, state.app_key
        self.oauth_client = (state.tokens.client_id, state.tokens.client_secret)
        self.path = store.path
        host, port = sock.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        config = uvicorn.Config(
            create_app(state), http=BufferedH11Protocol, ws="none", lifespan="off", log_level="error",
            timeout_graceful_shutdown=1, access_log=False,
        )  # fmt: skip
        self._server = state.faults.attach(FaultableServer(config, sock))
        self._closed = False
        self._server.begin()

    def connect(self) -> Celonis:
        """A connection to it, which is also made the default."""
        # Not needed to serve; and `connect` loads this package in turn, for "local".
        from celonis_frames._auth.keys import ApiKey  # noqa: PLC0415
        from celonis_frames._connect import connect  # noqa: PLC0415

        return connect(self.url, auth=ApiKey(self.token))

    def table(
        self, pool: str, table: str, *, connection: str | None = None, change_date: bool = False
    ) -> pa.Table:
        """All rows of a table, as they are stored.

        Args:
            pool: The pool's id or name.
            table: The table's name; case does not matter.
            connection: A data connection's id or name; None is the pool's global schema.
            change_date: Also give the column that the server adds.

        Raises:
            KeyError: No such pool, data connection or table; the message says what there is.
        """
        found = self._store.pool(pool)
        if found is None:
            raise KeyError(
                f"no pool {pool!r}; there are {[p['name'] for p in self._store.pools()]}"
            )
        space = found["space"]
        if connection is not None:
            item = self._store.connection(found["id"], connection)
            if item is None:
                raise KeyError(f"no data connection {connection!r} in pool {pool!r}")
            space = item["space"]
        there = self._store.table(space, table)
        if there is None:
            names = [t["name"] for t in self._store.tables(space)]
            raise KeyError(f"no table {table!r} in pool {pool!r}; there are {names}")
        columns = [quote(c["name"]) for c in there["columns"]]
        if change_date:
            columns.append(quote(CHANGE_DATE))
        return self.sql(f"SELECT {', '.join(columns)} FROM {quote(space)}.{quote(there['name'])}")

    def sql(self, query: str) -> pa.Table:
        """The result of an SQL query.

        A table is ``"<pool>"."<table>"`` there, or ``"<pool>/<data connection>"."<table>"``.
        """
        cursor = self._store.cursor()  # it must live as long as its result
        return cursor.sql(query).to_arrow_table()

    @property
    def jobs(self) -> list[Row]:
        """All jobs as the API shows them, newest first."""
        return self._store.jobs()

    def add_pool(self, name: str) -> str:
        """Make a pool; returns its id."""
        return str(self._store.add_pool(name)["id"])

    def add_connection(self, pool: str, name: str) -> str:
        """Make a data connection in a pool, and the pool if need be; returns its id."""
        found = self._store.pool(pool) or self._store.add_pool(pool)
        return str(self._store.add_connection(found, name)["id"])

    def expire_tokens(self) -> None:
        """Let every access token issued so far expire now, as if its time were up."""
        self._state.tokens.expire()

    def close(self) -> None:
        """Stop the server and close the file. Twice does no harm."""
        if self._closed:
            return
        self._closed = True
        self._server.end()
        self._state.worker.close()
        self._store.close()

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
    limits: bool = True,
    token: str | None = None,
    token_seconds: float = DEFAULT_SECONDS,
    max_chunk_bytes: int = MAX_CHUNK_BYTES,
) -> LocalCelonis:
    """Starts a local Celonis in this process.

    Args:
        path: DuckDB file; None keeps all in memory. Chunks lie in ``<path>.chunks`` beside it.
        port: Port; 0 takes a free one.
        host: Address to listen on; other machines reach it only under another than the default.
        strict_pools: Answer 404 for an unknown pool, instead of making it.
        lenient: Take every Parquet file that DuckDB reads, not only what Celonis is known or
            likely to take.
        limits: Enforce the limits on submissions: 10 a second and 250 an hour.
        token: The user API key to take; None makes one.
        token_seconds: How long an access token of ``/oauth2/token`` lives.
        max_chunk_bytes: Largest chunk, in bytes.

    Raises:
        ConfigError: The file is in use or no DuckDB file, or the port is taken or none.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port={port} is no port: give one of 1 to 65535, or 0 for a free one.")
    store = Store(path)
    try:
        sock = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        store.close()
        raise ConfigError(f"The local Celonis cannot listen on {host}:{port}: {error}") from error
    faults = Faults()
    state = ServerState(
        store=store,
        worker=Worker(store, faults),
        faults=faults,
        limiter=Limiter() if limits else None,
        api_key=token or secrets.token_urlsafe(24),
        app_key=secrets.token_urlsafe(24),
        tokens=Tokens(seconds=token_seconds),
        strict_pools=strict_pools,
        lenient=lenient,
        max_chunk_bytes=max_chunk_bytes,
    )
    return LocalCelonis(state, store, sock)
