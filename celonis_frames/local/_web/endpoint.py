"""What an endpoint is: where, who handles it, what it works on, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._database.catalog import Row, Store
from celonis_frames.local._database.job_runner import Worker
from celonis_frames.local._faults.faults import Faults
from celonis_frames.local._web.oauth import Tokens
from celonis_frames.local._web.rate_limit import Limiter


class ApiProblem(Exception):
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
class ServerState:
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
            raise ApiProblem(404)
        return pool

    def job(self, request: Request) -> Row:
        pool = self.pool(request.path_params["pool"], make=False)
        job = self.store.job(pool["id"], request.path_params["job"])
        if job is None:
            raise ApiProblem(404)
        return job


Handler = Callable[[ServerState, Request, Any], Any]


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
