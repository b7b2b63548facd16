"""The ASGI application: every endpoint, with authentication, faults and error responses."""

from __future__ import annotations

import inspect
import json
import logging
import re
import secrets
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from celonis_frames.local._faults.injector import with_fault
from celonis_frames.local._gateway import routes as gateway
from celonis_frames.local._web import data_job_routes, job_routes, model_routes, pool_routes
from celonis_frames.local._web.authorization import authorize, check_page
from celonis_frames.local._web.endpoint import ApiProblem, Endpoint, ServerState
from celonis_frames.local._web.oauth import MAX_FORM_BYTES, TokenError
from celonis_frames.local._web.openapi import describe
from celonis_frames.local._web.page import render

_log = logging.getLogger("celonis_frames.local")

MAX_JSON_BYTES = 10_000_000
MAX_JSON_DEPTH = 50
"""Levels of nesting."""

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""They block scripts, even if something on the page were not escaped."""
_PAGE_NEEDS_KEY = (
    "This page shows rows. It is served to callers on this machine, at http://127.0.0.1 or "
    "http://localhost; from elsewhere, give the server's key as the password."
)
_FORM_IS_OLD = "This button is not of the page as it is now. Load the page again."
_ASK_FOR_KEY = {"WWW-Authenticate": 'Basic realm="local Celonis"'}


def _identity(_state: ServerState, request: Request, _: Any) -> Response:
    if request.url.path.endswith("permissions"):
        return JSONResponse([{"permission": "DATA_PUSH_API"}])
    return JSONResponse({"id": "local", "name": "local", "domain": "local"})


def _token(state: ServerState, request: Request, body: bytes) -> Response:
    token = state.tokens.grant(
        body, request.headers.get("content-type", ""), request.headers.get("authorization", "")
    )
    return JSONResponse(token, headers={"Cache-Control": "no-store"})


ENDPOINTS: tuple[Endpoint, ...] = (
    *job_routes.ENDPOINTS,
    *pool_routes.ENDPOINTS,
    *model_routes.ENDPOINTS,
    *data_job_routes.ENDPOINTS,
    Endpoint("identity", ("GET",), ("/api/cloud", "/api/cloud/permissions", "/api/team"),
             _identity, "Get the identity", ""),
    Endpoint("token", ("POST",), ("/oauth2/token",), _token, "Get an access token", "Token",
             body="form", scopes=None),
    *gateway.ENDPOINTS,
)  # fmt: skip


def create_app(state: ServerState) -> Starlette:
    """The ASGI application."""
    # A path can have several endpoints, one for each method. More literal paths come first.
    routes: list[BaseRoute] = [
        Route(path, _handler(state, endpoint), methods=list(endpoint.methods))
        for endpoint in ENDPOINTS
        if endpoint not in gateway.ENDPOINTS
        for path in endpoint.paths
    ]

    async def openapi(_request: Request) -> Response:
        return JSONResponse(describe(ENDPOINTS))

    async def page(request: Request) -> Response:
        rejected = _rejected(state, request)
        if rejected is not None:
            return rejected
        shown = await run_in_threadpool(
            render, state.catalog, state.objects, state.processing, state.form_token,
            url=str(request.base_url).rstrip("/"), refresh="refresh" in request.query_params,
        )  # fmt: skip
        return HTMLResponse(shown, headers=_PAGE_HEADERS)

    async def replay(request: Request) -> Response:
        rejected = _rejected(state, request)
        if rejected is not None:
            return rejected
        try:
            form = parse_qs((await _bounded(request, MAX_FORM_BYTES)).decode("utf-8", "replace"))
        except ApiProblem as problem:
            return problem.response()
        # A page from elsewhere can let a browser send a form, but does not know the token.
        token = form.get("token", [""])[0].encode()
        if not secrets.compare_digest(token, state.form_token.encode()):
            return Response(_FORM_IS_OLD, status_code=403)
        await run_in_threadpool(_replay, state, form.get("object", [""])[0])
        return RedirectResponse("/", status_code=303)

    routes += [
        Route("/openapi.json", openapi),
        Route("/", page),
        Route("/replay", replay, methods=["POST"]),
        _GatewayRoute(state),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(_SingleSlashes)])
    app.router.redirect_slashes = False
    return app


def _rejected(state: ServerState, request: Request) -> Response | None:
    """The response to a caller who may not use the page; None for others."""
    try:
        check_page(state, request)
    except ApiProblem as problem:
        headers = _ASK_FOR_KEY if problem.status == 401 else None
        return Response(_PAGE_NEEDS_KEY, status_code=problem.status, headers=headers)
    return None


def _replay(state: ServerState, object_id: str) -> None:
    state.objects.replay(object_id=object_id)


class _GatewayRoute(BaseRoute):
    """All calls of the Data Ingestion API: the key of an object may have any character."""

    def __init__(self, state: ServerState) -> None:
        self._handlers = {
            method: _handler(state, endpoint)
            for endpoint in gateway.ENDPOINTS
            for method in endpoint.methods
        }
        self._state = state

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_below = f"{scope['path']}/".startswith(f"{gateway.PREFIX}/")
        return (Match.FULL if scope["type"] == "http" and is_below else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handler = self._handlers.get(request.method)
        response = await (handler(request) if handler else gateway.respond(self._state, request))
        await response(scope, receive, send)


class _SingleSlashes:
    """Reads ``//`` in a path as ``/`` and ignores a slash at its end, as Celonis seems to do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = re.sub("//+", "/", scope["path"]).rstrip("/") or "/"
        await self._app(scope, receive, send)


def _handler(state: ServerState, endpoint: Endpoint) -> Callable[[Request], Any]:
    """The endpoint with authentication, faults and error responses."""

    async def handle(request: Request) -> Response:
        return await with_fault(
            state.faults, endpoint.name, request, lambda: _respond(state, endpoint, request)
        )

    return handle


async def _respond(state: ServerState, endpoint: Endpoint, request: Request) -> Response:
    try:
        if endpoint.scopes is not None:
            authorize(state, endpoint.scopes, request.headers.get("authorization", ""))
        body: Any = None
        if endpoint.body == "json":
            body = _json(await _bounded(request, MAX_JSON_BYTES))
        elif endpoint.body == "form":
            body = await _bounded(request, MAX_FORM_BYTES)
        if inspect.iscoroutinefunction(endpoint.handler):
            return await endpoint.handler(state, request, body)  # type: ignore[no-any-return]
        return await run_in_threadpool(endpoint.handler, state, request, body)
    except ApiProblem as problem:
        return problem.response()
    except TokenError as error:
        return JSONResponse(
            {"error": error.code, "error_description": error.description},
            status_code=error.status,
            headers={"Cache-Control": "no-store"}
            | ({"WWW-Authenticate": 'Basic realm="oauth2"'} if error.basic else {}),
        )
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception:
        reference = str(uuid.uuid4())
        _log.exception("Internal error %s", reference)
        return JSONResponse(
            {
                "reference": reference,
                "message": "An internal error occurred.",
                "shortMessage": "INTERNAL_ERROR",
            },
            status_code=500,
        )


async def _bounded(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise ApiProblem(413)
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body)
        # Python accepts lone surrogates, NaN and 1e999; JSON does not.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ApiProblem(400, "The body is not valid JSON") from error
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise ApiProblem(400, f"The body is nested deeper than {MAX_JSON_DEPTH} levels")
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return value
