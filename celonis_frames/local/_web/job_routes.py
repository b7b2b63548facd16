"""Endpoints of jobs and their chunks."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._database.catalog import now
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.errors import STORED
from celonis_frames.local._database.job_runner import ACTIVE
from celonis_frames.local._database.parquet_rules import check, rules_of
from celonis_frames.local._web.endpoint import ApiProblem, Endpoint, ServerState
from celonis_frames.local._web.oauth import BROAD, DATA_PUSH
from celonis_frames.local._web.upload import UploadRejected, receive

BASES = ("/data-ingestion/api", "/integration/api")
JOBS = "/v1/data-push/{pool}/jobs"

_PUSH = frozenset({BROAD, DATA_PUSH})
_FIELDS: dict[str, Any] = {
    "targetName": None, "type": None, "fileType": "PARQUET", "connectionId": None, "keys": [],
    "targetSchema": None, "upsertStrategy": None, "fallbackVarcharLength": None,
    "tableSchema": None, "csvParsingOptions": None, "postExecutionQuery": None,
    "mirrorTargetNames": None, "changeDate": None, "allowDuplicate": None, "foreignKeys": None,
    "lastPing": None,
}  # fmt: skip
_ENUMS = {
    "type": ("REPLACE", "DELTA"),
    "fileType": ("PARQUET", "CSV"),
    "upsertStrategy": (None, "UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION"),
}
_TYPES = (None, *STORED)
_NOT_EMPTY = ("separatorSequence", "quoteSequence", "escapeSequence", "dateFormat", "columnName")


def _create(state: ServerState, request: Request, body: Any) -> Response:
    if not isinstance(body, dict):
        raise ApiProblem(400, "The body must be a job as a JSON object")
    job = {
        name: default if body.get(name) is None else body[name] for name, default in _FIELDS.items()
    }
    _validate(job, state.assumptions.max_length)
    pool = state.pool(request.path_params["pool"])
    if job["connectionId"] is not None:
        connection = state.catalog.connection(pool["id"], str(job["connectionId"]))
        if connection is None:
            raise ApiProblem(400, "No such data connection", attribute="connectionId")
        job["connectionId"] = connection["id"]
    job |= {"id": str(uuid.uuid4()), "dataPoolId": pool["id"], "changeDate": now()}
    return JSONResponse(state.catalog.add_job(job))


def _validate(job: Row, longest: int) -> None:
    name = job["targetName"]
    if not isinstance(name, str) or not name.strip():
        raise ApiProblem(400, "must not be blank", attribute="targetName")
    if len(name.encode("utf-8", "replace")) > 128 or any(ord(c) < 32 for c in name):
        raise ApiProblem(400, "The name is too long or has control characters", attribute="targetName",
                      code="SPECIAL_CHAR_IN_TABLE_NAME")  # fmt: skip
    for field, allowed in _ENUMS.items():
        if job[field] not in allowed:
            raise ApiProblem(400, f"must be one of {[a for a in allowed if a]}", attribute=field)
    keys = job["keys"]
    if not isinstance(keys, list) or not all(isinstance(k, str) and k for k in keys):
        raise ApiProblem(400, "must be a list of column names", attribute="keys")
    length = job["fallbackVarcharLength"]
    if length is not None and not _is_length(length, longest):
        raise ApiProblem(400, f"must be from 1 to {longest}", attribute="fallbackVarcharLength")
    for option in ("tableSchema", "csvParsingOptions"):
        if job[option] is not None and not isinstance(job[option], dict):
            raise ApiProblem(400, "must be an object", attribute=option)
    columns = (job["tableSchema"] or {}).get("columns") or []
    seen: set[str] = set()
    if not isinstance(columns, list):
        raise ApiProblem(400, "must be a list", attribute="tableSchema.columns")
    for column in columns:
        if not isinstance(column, dict) or not isinstance(column.get("columnName"), str):
            raise ApiProblem(400, "A column needs a columnName", attribute="tableSchema")
        if column.get("columnType") not in _TYPES:
            raise ApiProblem(
                400, f"Unknown columnType of {column['columnName']}", attribute="tableSchema"
            )
        size = column.get("fieldLength")
        if size is not None and not _is_length(size, longest):
            raise ApiProblem(400, f"fieldLength of {column['columnName']} must be from 1 to {longest}",
                          attribute="tableSchema")  # fmt: skip
        if column["columnName"].lower() in seen:
            raise ApiProblem(400, f"Column {column['columnName']} is repeated",
                          attribute="tableSchema", code="DUPLICATE_COLUMN_DETECTED")  # fmt: skip
        seen.add(column["columnName"].lower())
    _validate_csv(job["csvParsingOptions"] or {})


def _validate_csv(options: Row) -> None:
    columns = options.get("additionalColumnOptions") or []
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        raise ApiProblem(
            400, "must be a list of objects", attribute="csvParsingOptions.additionalColumnOptions"
        )
    for given in (options, *columns):
        for option, value in given.items():
            if value is None or option == "additionalColumnOptions":
                continue
            if not isinstance(value, str) or (option in _NOT_EMPTY and not value):
                kind = "a non-empty string" if option in _NOT_EMPTY else "a string"
                raise ApiProblem(400, f"must be {kind}", attribute=f"csvParsingOptions.{option}")


def _is_length(value: Any, longest: int) -> bool:
    return type(value) is int and 1 <= value <= longest


def _list(state: ServerState, request: Request, _: Any) -> Response:
    pool = state.pool(request.path_params["pool"], make=False)
    return JSONResponse(state.catalog.jobs(pool["id"]))


def _get(state: ServerState, request: Request, _: Any) -> Response:
    return JSONResponse(state.job(request))


def _execute(state: ServerState, request: Request, _: Any) -> Response:
    with state.catalog.locked():
        job = state.job(request)
        by = request.query_params.get("duplicateRemovalColumn")
        if job["status"] != "NEW":
            if state.assumptions.second_executions == "ignore":
                return Response(status_code=200)
            raise ApiProblem(400, f"The job is {job['status']}, not NEW", attribute="status")
        if state.assumptions.no_chunks == "reject" and not state.catalog.chunks(job["id"]):
            raise ApiProblem(400, "The job has no chunks", attribute="status")
        if by and not job["keys"]:
            raise ApiProblem(400, "duplicateRemovalColumn needs a job with keys", attribute="keys",
                          code="REMOVE_DUPLICATE_WITHOUT_PK")  # fmt: skip
        seconds = state.limiter.acquire() if state.limiter else 0.0
        if seconds:
            return Response(status_code=429, headers={"Retry-After": str(int(seconds) + 1)})
        state.job_runner.submit(job, by)
    return Response(status_code=200)


def _delete(state: ServerState, request: Request, _: Any) -> Response:
    with state.catalog.locked():
        job = state.job(request)
        if job["status"] in ACTIVE:
            raise ApiProblem(
                400, f"The job is {job['status']}; cancel it first", attribute="status"
            )
        state.catalog.delete_job(job["id"])
    return Response(status_code=state.assumptions.delete_status)


def _cancel(state: ServerState, request: Request, _: Any) -> Response:
    with state.catalog.locked():
        job = state.job(request)
        if job["status"] == "NEW":
            state.catalog.set_job(job["id"], "CANCELED", "Job cancelled")
            state.catalog.drop_files(job["id"])
        elif job["status"] in ACTIVE:
            state.job_runner.cancel(job["id"])
        elif state.assumptions.cancel_ended == "reject":
            raise ApiProblem(400, f"The job is already {job['status']}", attribute="status")
        if state.assumptions.cancel_response == "empty":
            return Response(status_code=200)
        return JSONResponse(state.job(request))


def _chunks(state: ServerState, request: Request, _: Any) -> Response:
    job = state.job(request)
    return JSONResponse(
        [
            {
                "id": chunk["id"],
                "creationDate": chunk["created"],
                "type": chunk["type"],
                "pushJobId": job["id"],
                "checksum": None
                if state.assumptions.checksum == "none"
                else state.faults.checksum(chunk["id"], chunk["checksum"]),
            }
            for chunk in state.catalog.chunks(job["id"])
        ]
    )


async def _upload(state: ServerState, request: Request, _: Any) -> Response:
    return await _receive(state, request, "UPSERT")


async def _upload_deleted(state: ServerState, request: Request, _: Any) -> Response:
    return await _receive(state, request, "DELETE")


async def _receive(state: ServerState, request: Request, kind: str) -> Response:
    job = await run_in_threadpool(state.job, request)
    if job["status"] != "NEW":
        if state.assumptions.late_chunks == "ignore":
            async for _ in request.stream():
                pass
            return Response(status_code=200)
        raise ApiProblem(400, f"The job is {job['status']}, not NEW", attribute="status")
    if kind == "DELETE" and (job["type"] != "DELTA" or not job["keys"]):
        raise ApiProblem(400, "Deleting rows needs a DELTA job with keys", attribute="type",
                      code="DELETE_ONLY_POSSIBLE_FOR_DELTA")  # fmt: skip
    chunk_id = str(uuid.uuid4())
    path = state.catalog.chunk_path(chunk_id)
    stored = False
    try:
        algorithm = {"none": "sha1"}.get(state.assumptions.checksum, state.assumptions.checksum)
        checksum, size = await receive(request, path, state.max_chunk_bytes, algorithm)
        if job["fileType"] == "PARQUET":
            problem = await run_in_threadpool(_check, state, path, job["keys"])
            if problem:
                raise ApiProblem(400, problem, attribute="file", code="INVALID_FILE")

        def store() -> bool:
            with state.catalog.locked():
                if state.job(request)["status"] != "NEW":
                    return False
                state.catalog.add_chunk(job["id"], chunk_id, kind, checksum, size)
                return True

        stored = await run_in_threadpool(store)
        if not stored:
            raise ApiProblem(400, "The job is no longer NEW", attribute="status")
    except UploadRejected as error:
        raise ApiProblem(error.status, str(error), attribute="file") from error
    finally:
        if not stored:
            path.unlink(missing_ok=True)
    return Response(status_code=200)


def _check(state: ServerState, path: Path, keys: list[str]) -> str | None:
    with state.catalog.reading() as cursor:
        empty = state.assumptions.empty_chunks == "accept"
        return check(cursor, path, rules=rules_of(state.assumptions), keys=keys, empty=empty)


def _both(tail: str) -> tuple[str, ...]:
    return tuple(base + tail for base in BASES)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("create", ("POST",), _both(JOBS), _create,
             "Create a job", "Job", body="json", schema="NewJob",
             scopes=_PUSH),
    Endpoint("jobs", ("GET",), _both(JOBS), _list, "List jobs", "Job[]",
             scopes=_PUSH),
    Endpoint("job", ("GET",), _both(JOBS + "/{job}"), _get, "Get a job", "Job",
             scopes=_PUSH),
    Endpoint("execute", ("POST",), _both(JOBS + "/{job}"), _execute, "Execute a job", "",
             query=("duplicateRemovalColumn",),
             scopes=_PUSH),
    Endpoint("delete_job", ("DELETE",), _both(JOBS + "/{job}"), _delete, "Delete a job", "",
             scopes=_PUSH),
    Endpoint("upload", ("POST",), _both(JOBS + "/{job}/chunks/upserted"), _upload,
             "Add a chunk of rows to insert or update", "", body="file",
             scopes=_PUSH),
    Endpoint("upload_deleted", ("POST",), _both(JOBS + "/{job}/chunks/deleted"), _upload_deleted,
             "Add a chunk of keys to delete", "", body="file",
             scopes=_PUSH),
    Endpoint("chunks", ("GET",), _both(JOBS + "/{job}/chunks"), _chunks, "List chunks", "Chunk[]",
             scopes=_PUSH),
    Endpoint("cancel", ("POST", "GET"), _both(JOBS + "/{job}/cancel"), _cancel,
             "Cancel a job", "Job",
             scopes=_PUSH),
)  # fmt: skip
