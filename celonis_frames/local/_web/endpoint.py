"""Endpoints, the state they share, and the error response of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._assumptions import Assumptions
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.job_runner import JobRunner
from celonis_frames.local._faults.schedule import FaultSchedule
from celonis_frames.local._gateway.objects import ObjectStore
from celonis_frames.local._processing.processing import Processing
from celonis_frames.local._web.oauth import TokenIssuer
from celonis_frames.local._web.rate_limit import RateLimiter


class ApiProblem(Exception):
    """An error response: with the API's error object for status 400 or a code, else no body."""

    def __init__(
        self, status: int, message: str = "", *, attribute: str | None = None, code: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.attribute, self.code = status, message, attribute, code

    def response(self) -> Response:
        if self.status != 400 and not self.code:
            return Response(status_code=self.status)
        error = {
            "attribute": self.attribute,
            "error": self.message,
            "errorCode": self.code or "INVALID_REQUEST",
            "additionalInfo": None,
        }
        return JSONResponse({"errors": [error]}, status_code=self.status)


@dataclass
class ServerState:
    """The state that all endpoints share."""

    catalog: Catalog
    job_runner: JobRunner
    objects: ObjectStore
    processing: Processing
    faults: FaultSchedule
    limiter: RateLimiter | None
    api_key: str
    app_key: str
    tokens: TokenIssuer
    form_token: str
    strict_pools: bool
    assumptions: Assumptions
    max_chunk_bytes: int

    def pool(self, key: str, *, make: bool = True) -> Row:
        with self.catalog.locked():
            pool = self.catalog.pool(key)
            if pool is None and make and not self.strict_pools and key.strip():
                pool = self.catalog.add_pool(key)
        if pool is None:
            raise ApiProblem(404)
        return pool

    def job(self, request: Request) -> Row:
        pool = self.pool(request.path_params["pool"], make=False)
        job = self.catalog.job(pool["id"], request.path_params["job"])
        if job is None:
            raise ApiProblem(404)
        return job


Handler = Callable[[ServerState, Request, Any], Any]


@dataclass(frozen=True)
class Endpoint:
    """A call: its name, methods, paths, handler, and its parts of the OpenAPI description."""

    name: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    handler: Handler
    summary: str
    response: str
    """Schema of the response in OpenAPI, ``[]`` behind it for a list; empty if there is none."""
    body: str | None = None
    """Kind of the body: json, file, form, object; None: none is read."""
    schema: str = ""
    """Schema of a JSON body in OpenAPI."""
    query: tuple[str, ...] = ()
    scopes: frozenset[str] | None = frozenset()
    """An access token needs one of these scopes; empty: any token will do; None: no key is needed."""
    conflict: str = ""
    """When it returns 409; empty: it never does."""
