"""Endpoints of Data Pools, their data connections, tables and columns."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._assumptions import STRICT, Assumptions
from celonis_frames.local._database.catalog import CHANGE_DATE
from celonis_frames.local._database.database import Row
from celonis_frames.local._web.endpoint import ApiProblem, Endpoint, ServerState
from celonis_frames.local._web.oauth import BROAD, READ

POOLS = "/integration/api/pools"
CREATED_BY_JOB = "POOL_IS_CREATED_BY_ITS_FIRST_JOB"
"""Code of the local Celonis alone: tells a client that it may push to this pool."""

_READ = frozenset({BROAD, READ})
_SHOWN = {"STRING": "STRING", "INTEGER": "INTEGER", "FLOAT": "FLOAT", "DATETIME": "DATE",
          "DATE": "DATE", "BOOLEAN": "INTEGER", "TIME": "STRING"}  # fmt: skip


def _pools(state: ServerState, _request: Request, _: Any) -> Response:
    return JSONResponse([{"id": p["id"], "name": p["name"]} for p in state.catalog.pools()])


def _pool(state: ServerState, request: Request, _: Any) -> Response:
    try:
        pool = state.pool(request.path_params["pool"], make=False)
    except ApiProblem:
        if state.strict_pools:
            raise
        raise ApiProblem(404, "The first job creates it", code=CREATED_BY_JOB) from None
    return JSONResponse({"id": pool["id"], "name": pool["name"]})


def _connections(state: ServerState, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    return JSONResponse(
        [
            {"id": c["id"], "name": c["name"], "poolId": pool["id"], "type": "PUSH"}
            for c in state.catalog.connections(pool["id"])
        ]
    )


def _tables(state: ServerState, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    return JSONResponse(
        [
            {
                "name": table["name"],
                "loaderSource": "PUSH",
                "available": True,
                "dataSourceId": connection and connection["id"],
                "dataSourceName": connection and connection["name"],
                "columns": [],
                "type": "VIEW" if table["is_view"] else "TABLE",
                "schemaName": connection and connection["id"],
            }
            | _row_count(state, space, table["name"])
            for connection, space in state.catalog.places(pool)
            for table in state.catalog.tables(space)
        ]
    )


def _row_count(state: ServerState, space: str, table: str) -> Row:
    return {"rowCount": state.catalog.count(space, table)} if state.assumptions.row_counts else {}


def shown_columns(columns: list[Row], assumptions: Assumptions = STRICT) -> list[Row]:
    """Columns as the API returns them; the length of strings is in bytes by default."""
    own, factor = assumptions.shown_types == "own", 4
    if assumptions.shown_lengths == "characters":
        factor = 1
    return [
        {
            "name": c["name"],
            "type": c["type"] if own else _SHOWN[c["type"]],
            "length": c["length"] * factor if c["length"] else None,
        }
        for c in columns
    ]


def _columns(state: ServerState, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    source = request.query_params.get("schemaName") or None
    place = pool if source is None else state.catalog.connection(pool["id"], source)
    if place is None:
        raise ApiProblem(404)
    table = state.catalog.table(place["space"], request.query_params.get("tableName", ""))
    if table is None:
        raise ApiProblem(404)
    columns = shown_columns(table["columns"], state.assumptions)
    if table["has_change_date"]:
        columns.append({"name": CHANGE_DATE, "type": "DATE", "length": None})
    return JSONResponse(columns)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("pools", ("GET",), (POOLS,), _pools, "List Data Pools", "Pool[]",
             scopes=_READ),
    Endpoint("pool", ("GET",), (POOLS + "/{pool}",), _pool, "Get a Data Pool", "Pool",
             scopes=_READ),
    Endpoint("connections", ("GET",),
             (POOLS + "/{pool}/data-sources",), _connections,
             "List data connections", "DataConnection[]",
             scopes=_READ),
    Endpoint("tables", ("GET",), (POOLS + "/{pool}/tables",), _tables, "List tables", "Table[]",
             scopes=_READ),
    Endpoint("columns", ("GET",), (POOLS + "/{pool}/columns",), _columns,
             "List a table's columns", "TableColumn[]", query=("tableName", "schemaName"),
             scopes=_READ),
)  # fmt: skip
