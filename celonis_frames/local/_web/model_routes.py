"""Endpoints of data models, their tables and their loads."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._database.database import Row
from celonis_frames.local._processing.models import ModelTable
from celonis_frames.local._web.endpoint import ApiProblem, Endpoint, ServerState
from celonis_frames.local._web.oauth import BROAD, READ
from celonis_frames.local._web.pool_routes import POOLS, shown_columns

MODELS = POOLS + "/{pool}/data-models"
MODEL = MODELS + "/{model}"
PUBLIC = "/integration/api/v1/data-pools/{pool}/data-models/{model}"
"""The newer spelling."""
CREATED_BY_LOAD = "DATA_MODEL_IS_CREATED_BY_ITS_FIRST_LOAD"
"""Code of the local Celonis alone: tells a client that it may load this data model."""
LOADED = ("SUCCESS", "WARNING")
"""States of a load that changed its data model."""

_READ = frozenset({BROAD, READ})
_LOAD = frozenset({BROAD})


def _find(state: ServerState, request: Request) -> Row:
    """The data model of the path.

    Raises:
        ApiProblem: 404; with a code if its first load creates it.
    """
    pool = state.pool(request.path_params["pool"], make=False)
    key = request.path_params["model"]
    model = state.processing.models.model(pool["id"], key)
    if model is None:
        if state.strict_pools or not key.strip():
            raise ApiProblem(404)
        raise ApiProblem(404, "The first load creates it", code=CREATED_BY_LOAD)
    return model


def _list(state: ServerState, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    models = state.processing.models.models(pool["id"])
    return JSONResponse([_shown(state, model) for model in models])


def _get(state: ServerState, request: Request, _: Any) -> Response:
    return JSONResponse(_shown(state, _find(state, request)))


def _tables(state: ServerState, request: Request, _: Any) -> Response:
    return JSONResponse(_shown(state, _find(state, request))["tables"])


def _load(state: ServerState, request: Request, _: Any) -> Response:
    with state.catalog.locked():
        pool = state.pool(request.path_params["pool"], make=False)
        key, models = request.path_params["model"], state.processing.models
        model = models.model(pool["id"], key)
        if model is None:
            if state.strict_pools or not key.strip():
                raise ApiProblem(404)
            model = models.add(pool, key)
            models.add_tables(model, None)
        return _requested(state.processing.load_runner.request(model))


def _load_tables(state: ServerState, request: Request, body: Any) -> Response:
    if not isinstance(body, list) or not body or not all(isinstance(each, str) for each in body):
        raise ApiProblem(400, "The body must be a JSON array of ids of tables")
    with state.catalog.locked():
        model = _find(state, request)
        unknown = set(body) - {table.id for table in state.processing.models.tables(model)}
        if unknown:
            raise ApiProblem(400, "The data model has no such table", attribute="id")
        return _requested(state.processing.load_runner.request(model, frozenset(body)))


def _requested(started: bool) -> Response:
    if not started:
        raise ApiProblem(409)
    return Response(status_code=200)


def _info(state: ServerState, request: Request, _: Any) -> Response:
    with state.catalog.locked():
        model = _find(state, request)
        loads = state.processing.loads.loads(model["id"])
        loaded = state.processing.models.loaded(model["id"])
    ended = [load for load in loads if load["status"] != "RUNNING"]
    last = next((load for load in ended if load["status"] in LOADED), None)
    error = bool(ended) and ended[0]["status"] not in LOADED
    live = {
        "dataModelId": model["id"],
        "dataModelName": model["name"],
        "done": len(ended) == len(loads),
        "error": error,
        "errorMessage": ended[0]["message"] if error else None,
        "lastLoad": last and last["ended"],
        "tableLoads": [
            {
                "tableId": table["table_id"], "tableName": table["name"],
                "tableRowCount": table["rows"], "done": True, "message": None,
            }
            for table in loaded
        ],
    }  # fmt: skip
    history = [_shown_load(load) for load in loads]
    return JSONResponse(
        {
            "loadInfo": {
                "liveDataModel": live,
                "currentComputeLoad": history[0] if history else None,
            },
            "loadHistory": {"dataLoadHistory": history},
        }
    )


def _last(state: ServerState, request: Request, _: Any) -> Response:
    model = _find(state, request)
    loads = state.processing.loads.loads(model["id"])
    load = loads[0] if loads else {"model_id": model["id"], "tables": []}
    return JSONResponse(_shown_load(load) | {"tableLoads": load["tables"]})


def _shown_load(load: Row) -> Row:
    return {
        "dataLoadId": load.get("id"), "dataModelId": load["model_id"],
        "startDate": load.get("started"), "endDate": load.get("ended"),
        "loadStatus": load.get("status"), "message": load.get("message"),
        "loadType": load.get("type"),
    }  # fmt: skip


def _shown(state: ServerState, model: Row) -> Row:
    tables = state.processing.models.tables(model)
    return {
        "id": model["id"],
        "name": model["name"],
        "poolId": model["pool_id"],
        "tables": [_shown_table(state, model, table) for table in tables],
    }


def _shown_table(state: ServerState, model: Row, table: ModelTable) -> Row:
    columns = state.catalog.columns(table.space, table.name)
    return {
        "id": table.id, "dataModelId": model["id"], "dataSourceId": table.connection_id,
        "name": table.name, "alias": table.alias, "aliasOrName": table.shown,
        "columns": shown_columns(columns), "primaryKeys": [],
    }  # fmt: skip


_BUSY = "A load of the data model runs"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("models", ("GET",), (MODELS,), _list, "List data models", "DataModel[]",
             scopes=_READ),
    Endpoint("model", ("GET",), (MODEL,), _get, "Get a data model", "DataModel", scopes=_READ),
    Endpoint("model_tables", ("GET",),
             (PUBLIC + "/tables", POOLS + "/{pool}/data-model/{model}/tables"), _tables,
             "List the tables of a data model", "DataModelTable[]", scopes=_READ),
    Endpoint("load", ("POST",), (PUBLIC + "/load",), _load, "Load a data model", "",
             query=("fullReload",), scopes=_LOAD, conflict=_BUSY),
    Endpoint("reload", ("POST",), (MODEL + "/reload",), _load,
             "Load a data model (older spelling)", "",
             query=("forceComplete",), scopes=_LOAD, conflict=_BUSY),
    Endpoint("load_tables", ("POST",), (PUBLIC + "/load/partial-sync",), _load_tables,
             "Load some tables of a data model", "", body="json", schema="TableIds",
             query=("fullReload",), scopes=_LOAD, conflict=_BUSY),
    Endpoint("last_load", ("GET",), (PUBLIC + "/last-load",), _last,
             "Get the last load of a data model", "Load", scopes=_READ),
    Endpoint("load_info", ("GET",), (MODEL + "/load-history/load-info-sync",), _info,
             "Get a data model's loads", "LoadInfo", scopes=_READ),
)  # fmt: skip
