"""Endpoints of data jobs."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._database.database import Row
from celonis_frames.local._processing.data_jobs import MODES
from celonis_frames.local._web.endpoint import ApiProblem, Endpoint, ServerState
from celonis_frames.local._web.oauth import BROAD, READ
from celonis_frames.local._web.pool_routes import POOLS

JOBS = POOLS + "/{pool}/jobs"
PUBLIC = "/integration/api/v2/data-pools/{pool}/data-jobs/{data_job}/execute"
"""The newer spelling."""
DEFAULT_MODE = "DELTA"

_READ = frozenset({BROAD, READ})
_RUN = frozenset({BROAD})


def _find(state: ServerState, request: Request) -> Row:
    pool = state.pool(request.path_params["pool"], make=False)
    job = state.processing.data_jobs.job(pool["id"], request.path_params["data_job"])
    if job is None:
        raise ApiProblem(404)
    return job


def _list(state: ServerState, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    return JSONResponse([_shown(job) for job in state.processing.data_jobs.jobs(pool["id"])])


def _get(state: ServerState, request: Request, _: Any) -> Response:
    return JSONResponse(_shown(_find(state, request)))


def _execute(state: ServerState, request: Request, _: Any) -> Response:
    return _executed(state, request, request.query_params.get("mode"))


def _execute_by_body(state: ServerState, request: Request, body: Any) -> Response:
    if not isinstance(body, dict):
        raise ApiProblem(400, "The body must be a JSON object")
    return _executed(state, request, body.get("mode"))


def _executed(state: ServerState, request: Request, mode: Any) -> Response:
    job = _find(state, request)
    mode = DEFAULT_MODE if mode is None else mode
    if mode not in MODES:
        raise ApiProblem(400, f"must be one of {list(MODES)}", attribute="mode")
    if not state.processing.data_job_runner.execute(job, mode):
        raise ApiProblem(409)
    return Response(status_code=200)


def _shown(job: Row) -> Row:
    return {
        "id": job["id"], "name": job["name"], "dataPoolId": job["pool_id"], "dataSourceId": None,
        "status": job["status"], "currentExecutionId": job["execution_id"], "mode": job["mode"],
        "message": job["message"], "startDate": job["started"], "endDate": job["ended"],
    }  # fmt: skip


_BUSY = "The data job is being executed"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("data_jobs", ("GET",), (JOBS,), _list, "List data jobs", "DataJob[]", scopes=_READ),
    Endpoint("data_job", ("GET",), (JOBS + "/{data_job}",), _get, "Get a data job", "DataJob",
             scopes=_READ),
    Endpoint("run_data_job", ("POST",), (PUBLIC,), _execute, "Execute a data job", "",
             query=("mode",), scopes=_RUN, conflict=_BUSY),
    Endpoint("execute_data_job", ("POST",), (JOBS + "/{data_job}/execute",), _execute_by_body,
             "Execute a data job (older spelling)", "", body="json", schema="Execution",
             scopes=_RUN, conflict=_BUSY),
)  # fmt: skip
