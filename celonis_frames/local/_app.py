"""The HTTP face: every endpoint of the Data Push API, on both of its bases."""

from __future__ import annotations

import inspect
import json
import logging
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from celonis_frames.local import _openapi, _page
from celonis_frames.local._disturb import disturbed
from celonis_frames.local._faults import Faults
from celonis_frames.local._limits import Limiter
from celonis_frames.local._parquet import check
from celonis_frames.local._store import CHANGE_DATE, Row, Store, now
from celonis_frames.local._tokens import (
    BROAD,
    DATA_PUSH,
    MAX_FORM_BYTES,
    READ,
    TokenRefused,
    Tokens,
)
from celonis_frames.local._upload import Refused, receive
from celonis_frames.local._worker import ACTIVE, Worker

_log = logging.getLogger("celonis_frames.local")

BASES = ("/data-ingestion/api", "/integration/api")
JOBS = "/v1/data-push/{pool}/jobs"
POOLS = "/integration/api/pools"
MAX_JSON_BYTES = 10_000_000
MAX_JSON_DEPTH = 50

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
"""Were something on the page not escaped, it still could not run."""
_SHOWN = {"STRING": "STRING", "INTEGER": "INTEGER", "FLOAT": "FLOAT", "DATETIME": "DATE",
          "DATE": "DATE", "BOOLEAN": "INTEGER", "TIME": "STRING"}  # fmt: skip
_FIELDS: dict[str, Any] = {
    "targetName": None, "type": None, "fileType": "PARQUET", "connectionId": None, "keys": [],
    "targetSchema": None, "upsertStrategy": None, "fallbackVarcharLength": None,
    "tableSchema": None, "csvParsingOptions": None, "postExecutionQuery": None,
    "mirrorTargetNames": None, "changeDate": None, "allowDuplicate": None, "foreignKeys": None,
    "lastPing": None,
}  # fmt: skip
_WORDS = {
    "type": ("REPLACE", "DELTA"),
    "fileType": ("PARQUET", "CSV"),
    "upsertStrategy": (None, "UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION"),
}
_TYPES = (None, *_SHOWN)


class Problem(Exception):
    """A refusal in the API's shape for status 400, or an empty one."""

    def __init__(
        self, status: int, message: str = "", *, attribute: str | None = None, code: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.attribute, self.code = status, message, attribute, code

    def response(self) -> Response:
        if self.status != 400:
            return Response(status_code=self.status)
        error = {
            "attribute": self.attribute,
            "error": self.message,
            "errorCode": self.code or "INVALID_REQUEST",
            "additionalInfo": None,
        }
        return JSONResponse({"errors": [error]}, status_code=400)


@dataclass
class State:
    """What the endpoints work on."""

    store: Store
    worker: Worker
    faults: Faults
    limiter: Limiter | None
    api_key: str
    app_key: str
    tokens: Tokens
    strict_pools: bool
    lenient: bool
    max_chunk_bytes: int

    def pool(self, key: str, *, make: bool = True) -> Row:
        with self.store.turn():
            pool = self.store.pool(key)
            if pool is None and make and not self.strict_pools and key.strip():
                pool = self.store.add_pool(key)
        if pool is None:
            raise Problem(404)
        return pool

    def job(self, request: Request) -> Row:
        pool = self.pool(request.path_params["pool"], make=False)
        job = self.store.job(pool["id"], request.path_params["job"])
        if job is None:
            raise Problem(404)
        return job


Handler = Callable[[State, Request, Any], Any]


@dataclass(frozen=True)
class Endpoint:
    """A call: its name, where it is, who handles it, what the description says."""

    name: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    handler: Handler
    summary: str
    answer: str
    body: str | None = None
    query: tuple[str, ...] = ()
    scopes: frozenset[str] | None = frozenset()
    """Scopes of which an access token needs one; empty: any token; None: no key is asked for."""


_PUSH = frozenset({BROAD, DATA_PUSH})
_READ = frozenset({BROAD, READ})


def _create(state: State, request: Request, body: Any) -> Response:
    if not isinstance(body, dict):
        raise Problem(400, "The body must be a job as a JSON object")
    pool = state.pool(request.path_params["pool"])
    job = {
        name: default if body.get(name) is None else body[name] for name, default in _FIELDS.items()
    }
    _validate(job)
    if job["connectionId"] is not None:
        connection = state.store.connection(pool["id"], str(job["connectionId"]))
        if connection is None:
            raise Problem(400, "There is no such data connection", attribute="connectionId")
        job["connectionId"] = connection["id"]
    job |= {"id": str(uuid.uuid4()), "dataPoolId": pool["id"], "changeDate": now()}
    return JSONResponse(state.store.add_job(job))


def _validate(job: Row) -> None:
    name = job["targetName"]
    if not isinstance(name, str) or not name.strip():
        raise Problem(400, "must not be blank", attribute="targetName")
    if len(name.encode("utf-8", "replace")) > 128 or any(ord(c) < 32 for c in name):
        raise Problem(400, "The name is too long or has control characters", attribute="targetName",
                      code="SPECIAL_CHAR_IN_TABLE_NAME")  # fmt: skip
    for word, allowed in _WORDS.items():
        if job[word] not in allowed:
            raise Problem(400, f"must be one of {[a for a in allowed if a]}", attribute=word)
    keys = job["keys"]
    if not isinstance(keys, list) or not all(isinstance(k, str) and k for k in keys):
        raise Problem(400, "must be a list of column names", attribute="keys")
    length = job["fallbackVarcharLength"]
    if length is not None and not _is_length(length):
        raise Problem(400, "must be between 1 and 65000", attribute="fallbackVarcharLength")
    for option in ("tableSchema", "csvParsingOptions"):
        if job[option] is not None and not isinstance(job[option], dict):
            raise Problem(400, "must be an object", attribute=option)
    columns = (job["tableSchema"] or {}).get("columns") or []
    seen: set[str] = set()
    if not isinstance(columns, list):
        raise Problem(400, "must be a list", attribute="tableSchema.columns")
    for column in columns:
        if not isinstance(column, dict) or not isinstance(column.get("columnName"), str):
            raise Problem(400, "A column needs a columnName", attribute="tableSchema")
        if column.get("columnType") not in _TYPES:
            raise Problem(
                400, f"Unknown columnType of {column['columnName']}", attribute="tableSchema"
            )
        size = column.get("fieldLength")
        if size is not None and not _is_length(size):
            raise Problem(400, f"fieldLength of {column['columnName']} must be 1 to 65000",
                          attribute="tableSchema")  # fmt: skip
        if column["columnName"].lower() in seen:
            raise Problem(400, f"Column {column['columnName']} is there twice",
                          attribute="tableSchema", code="DUPLICATE_COLUMN_DETECTED")  # fmt: skip
        seen.add(column["columnName"].lower())
    for text in ("separatorSequence", "quoteSequence", "escapeSequence", "dateFormat"):
        value = (job["csvParsingOptions"] or {}).get(text)
        if value is not None and (not isinstance(value, str) or not value):
            raise Problem(400, "must be a text", attribute=f"csvParsingOptions.{text}")


def _is_length(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 65_000


def _list(state: State, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    return JSONResponse(state.store.jobs(pool["id"]))


def _get(state: State, request: Request, _: Any) -> Response:
    return JSONResponse(state.job(request))


def _execute(state: State, request: Request, _: Any) -> Response:
    with state.store.turn():
        job = state.job(request)
        by = request.query_params.get("duplicateRemovalColumn")
        if job["status"] != "NEW":
            raise Problem(400, f"The job is {job['status']}, not NEW", attribute="status")
        if by and not job["keys"]:
            raise Problem(400, "Removing duplicates needs keys", attribute="keys",
                          code="REMOVE_DUPLICATE_WITHOUT_PK")  # fmt: skip
        seconds = state.limiter.wait() if state.limiter else 0.0
        if seconds:
            return Response(status_code=429, headers={"Retry-After": str(int(seconds) + 1)})
        state.worker.submit(job | {"duplicateRemovalColumn": by})
    return Response(status_code=200)


def _delete(state: State, request: Request, _: Any) -> Response:
    with state.store.turn():
        job = state.job(request)
        if job["status"] in ACTIVE:
            raise Problem(400, f"The job is {job['status']}; cancel it first", attribute="status")
        state.store.delete_job(job["id"])
    return Response(status_code=204)


def _cancel(state: State, request: Request, _: Any) -> Response:
    with state.store.turn():
        job = state.job(request)
        if job["status"] == "NEW":
            state.store.set_job(job["id"], "CANCELED", "Job cancelled")
            state.store.drop_files(job["id"])
        elif job["status"] in ACTIVE:
            state.worker.cancel(job["id"])
        else:
            raise Problem(400, f"The job is {job['status']} already", attribute="status")
        return JSONResponse(state.job(request))


def _chunks(state: State, request: Request, _: Any) -> Response:
    job = state.job(request)
    return JSONResponse(
        [
            {
                "id": chunk["id"],
                "creationDate": chunk["created"],
                "type": chunk["type"],
                "pushJobId": job["id"],
                "checksum": chunk["checksum"],
            }
            for chunk in state.store.chunks(job["id"])
        ]
    )


async def _upsert(state: State, request: Request, _: Any) -> Response:
    return await _receive(state, request, "UPSERT")


async def _remove(state: State, request: Request, _: Any) -> Response:
    return await _receive(state, request, "DELETE")


async def _receive(state: State, request: Request, kind: str) -> Response:
    job = await run_in_threadpool(state.job, request)
    if job["status"] != "NEW":
        raise Problem(400, f"The job is {job['status']}, not NEW", attribute="status")
    if kind == "DELETE" and (job["type"] != "DELTA" or not job["keys"]):
        raise Problem(400, "Deleting needs a DELTA job with keys", attribute="type",
                      code="DELETE_ONLY_POSSIBLE_FOR_DELTA")  # fmt: skip
    chunk_id = str(uuid.uuid4())
    path = state.store.chunk_path(chunk_id)
    kept = False
    try:
        checksum, size = await receive(request, path, state.max_chunk_bytes)
        if job["fileType"] == "PARQUET":
            problem = await run_in_threadpool(check, path, keys=job["keys"], lenient=state.lenient)
            if problem:
                raise Problem(400, problem, attribute="file", code="INVALID_FILE")

        def keep() -> bool:
            with state.store.turn():
                if state.job(request)["status"] != "NEW":
                    return False
                state.store.add_chunk(job["id"], chunk_id, kind, checksum, size)
                return True

        kept = await run_in_threadpool(keep)
        if not kept:
            raise Problem(400, "The job is not NEW any more", attribute="status")
    except Refused as refused:
        raise Problem(refused.status, str(refused), attribute="file") from refused
    finally:
        if not kept:
            path.unlink(missing_ok=True)
    return Response(status_code=200)


def _pools(state: State, _request: Request, _: Any) -> Response:
    return JSONResponse([{"id": p["id"], "name": p["name"]} for p in state.store.pools()])


def _pool(state: State, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"])
    return JSONResponse({"id": pool["id"], "name": pool["name"]})


def _connections(state: State, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    return JSONResponse(
        [
            {"id": c["id"], "name": c["name"], "poolId": pool["id"], "type": "PUSH"}
            for c in state.store.connections(pool["id"])
        ]
    )


def _tables(state: State, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    places = [(None, None, pool["space"])] + [
        (c["id"], c["name"], c["space"]) for c in state.store.connections(pool["id"])
    ]
    return JSONResponse(
        [
            {
                "name": table["name"],
                "loaderSource": "PUSH",
                "available": True,
                "dataSourceId": source,
                "dataSourceName": name,
                "columns": [],
                "type": "TABLE",
                "schemaName": source,
                "rowCount": state.store.count(space, table["name"]),
            }
            for source, name, space in places
            for table in state.store.tables(space)
        ]
    )


def _columns(state: State, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    source = request.query_params.get("schemaName") or None
    place = pool if source is None else state.store.connection(pool["id"], source)
    if place is None:
        raise Problem(404)
    table = state.store.table(place["space"], request.query_params.get("tableName", ""))
    if table is None:
        raise Problem(404)
    columns = [
        {
            "name": c["name"],
            "type": _SHOWN[c["type"]],
            "length": c["length"] * 4 if c["length"] else None,
        }
        for c in table["columns"]
    ]
    return JSONResponse([*columns, {"name": CHANGE_DATE, "type": "DATE", "length": None}])


def _identity(_state: State, request: Request, _: Any) -> Response:
    if request.url.path.endswith("permissions"):
        return JSONResponse([{"permission": "DATA_PUSH_API"}])
    return JSONResponse({"id": "local", "name": "local", "domain": "local"})


def _token(state: State, request: Request, body: bytes) -> Response:
    answer = state.tokens.grant(
        body, request.headers.get("content-type", ""), request.headers.get("authorization", "")
    )
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _both(tail: str) -> tuple[str, ...]:
    return tuple(base + tail for base in BASES)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("create", ("POST",), (*_both(JOBS), *_both(JOBS + "/")), _create,
             "Create a job", "Job", body="json",
             scopes=_PUSH),
    Endpoint("jobs", ("GET",), (*_both(JOBS), *_both(JOBS + "/")), _list, "List jobs", "Job[]",
             scopes=_PUSH),
    Endpoint("job", ("GET",), _both(JOBS + "/{job}"), _get, "Get a job", "Job",
             scopes=_PUSH),
    Endpoint("execute", ("POST",), _both(JOBS + "/{job}"), _execute, "Execute a job", "",
             query=("duplicateRemovalColumn",),
             scopes=_PUSH),
    Endpoint("delete_job", ("DELETE",), _both(JOBS + "/{job}"), _delete, "Delete a job", "",
             scopes=_PUSH),
    Endpoint("upload", ("POST",), _both(JOBS + "/{job}/chunks/upserted"), _upsert,
             "Add a chunk of rows to upsert", "", body="file",
             scopes=_PUSH),
    Endpoint("upload_deleted", ("POST",), _both(JOBS + "/{job}/chunks/deleted"), _remove,
             "Add a chunk of keys to delete", "", body="file",
             scopes=_PUSH),
    Endpoint("chunks", ("GET",), _both(JOBS + "/{job}/chunks"), _chunks, "List chunks", "Chunk[]",
             scopes=_PUSH),
    Endpoint("cancel", ("POST", "GET"), _both(JOBS + "/{job}/cancel"), _cancel,
             "Cancel a job", "Job",
             scopes=_PUSH),
    Endpoint("pools", ("GET",), (POOLS,), _pools, "List Data Pools", "Pool[]",
             scopes=_READ),
    Endpoint("pool", ("GET",), (POOLS + "/{pool}",), _pool, "Get a Data Pool", "Pool",
             scopes=_READ),
    Endpoint("connections", ("GET",),
             (POOLS + "/{pool}/data-sources", POOLS + "/{pool}/data-sources/"), _connections,
             "List data connections", "DataConnection[]",
             scopes=_READ),
    Endpoint("tables", ("GET",), (POOLS + "/{pool}/tables",), _tables, "List tables", "Table[]",
             scopes=_READ),
    Endpoint("columns", ("GET",), (POOLS + "/{pool}/columns",), _columns,
             "List a table's columns", "TableColumn[]", query=("tableName", "schemaName"),
             scopes=_READ),
    Endpoint("identity", ("GET",), ("/api/cloud", "/api/cloud/permissions", "/api/team"),
             _identity, "Who and where", ""),
    Endpoint("token", ("POST",), ("/oauth2/token",), _token, "Get an access token", "Token",
             body="form", scopes=None),
)  # fmt: skip


def create_app(state: State) -> Starlette:
    """The ASGI application."""
    # One path has several endpoints, told apart by method; the most literal paths come first.
    routes = [
        Route(path, _guarded(state, endpoint), methods=list(endpoint.methods))
        for endpoint in ENDPOINTS
        for path in endpoint.paths
    ]

    async def openapi(_request: Request) -> Response:
        return JSONResponse(_openapi.describe(ENDPOINTS))

    async def page(request: Request) -> Response:
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        except ValueError:
            host = None
        if host not in ("127.0.0.1", "localhost", "::1"):
            return Response("This page answers under a loopback name only.", status_code=403)
        shown = await run_in_threadpool(_page.render, state.store)
        return HTMLResponse(shown, headers=_PAGE_HEADERS)

    routes += [Route("/openapi.json", openapi), Route("/", page)]
    return Starlette(routes=routes)


def _guarded(state: State, endpoint: Endpoint) -> Callable[[Request], Any]:
    """The endpoint behind authentication, faults and the error shapes."""

    async def handle(request: Request) -> Response:
        return await disturbed(
            state.faults, endpoint.name, request, lambda: _answer(state, endpoint, request)
        )

    return handle


async def _answer(state: State, endpoint: Endpoint, request: Request) -> Response:
    try:
        if endpoint.scopes is not None:
            _authorize(state, endpoint.scopes, request.headers.get("authorization", ""))
        body: Any = None
        if endpoint.body == "json":
            body = _json(await _bounded(request, MAX_JSON_BYTES))
        elif endpoint.body == "form":
            body = await _bounded(request, MAX_FORM_BYTES)
        if inspect.iscoroutinefunction(endpoint.handler):
            return await endpoint.handler(state, request, body)  # type: ignore[no-any-return]
        return await run_in_threadpool(endpoint.handler, state, request, body)
    except Problem as problem:
        return problem.response()
    except TokenRefused as refused:
        return JSONResponse(
            {"error": refused.code, "error_description": refused.description},
            status_code=refused.status,
            headers={"Cache-Control": "no-store"}
            | ({"WWW-Authenticate": 'Basic realm="oauth2"'} if refused.basic else {}),
        )
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception:
        reference = str(uuid.uuid4())
        _log.exception("internal error %s", reference)
        return JSONResponse(
            {
                "reference": reference,
                "message": "An internal error happened.",
                "shortMessage": "INTERNAL_ERROR",
            },
            status_code=500,
        )


def _authorize(state: State, scopes: frozenset[str], header: str) -> None:
    """Let pass who has a key, or a token with one of the scopes.

    It happens when the header has arrived: an upload may outlast its token.
    """
    given = header.encode("utf-8", "replace")
    for key in (f"Bearer {state.api_key}", f"AppKey {state.app_key}"):
        if secrets.compare_digest(given, key.encode()):
            return
    granted = state.tokens.scopes(header.removeprefix("Bearer "))
    if granted is None or not header.startswith("Bearer "):
        raise Problem(401)
    if scopes and not scopes & granted:
        raise Problem(403)


async def _bounded(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise Problem(413)
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body)
        # Half a surrogate pair is no text, and NaN and 1e999 are no JSON.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise Problem(400, "The body is not JSON") from error
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise Problem(400, f"The body is nested deeper than {MAX_JSON_DEPTH} levels")
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return value
