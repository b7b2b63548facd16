"""Apply a fault to one call."""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from celonis_frames.local._faults.schedule import LISTS

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from celonis_frames.local._faults.schedule import Fault, FaultSchedule
    from celonis_frames.local._faults.server import FaultableServer


CarryOut = Callable[[], Awaitable[Response]]

DRIP_SECONDS = 0.02
"""Seconds between two pieces of a response that drips."""
PAGE = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
)
HALF_JSON = b'{"id": "0", "sta'
"""Half a response, for calls whose own response is empty."""


async def with_fault(
    schedule: FaultSchedule, route: str, request: Request, carry_out: CarryOut
) -> Response:
    """The response to a call, with the fault that is due for it."""
    await asyncio.sleep(schedule.delay(route))
    fault = schedule.take(route)
    if fault is None:
        return await carry_out()
    goes_on = False
    try:
        call = _FaultedCall(fault, schedule.server, request, carry_out)
        response: Response = await getattr(call, fault.kind)()
        goes_on = response.background is not None
    except ClientDisconnect:
        return Response(status_code=400)  # never sent
    else:
        return response
    finally:
        if not goes_on:
            fault.over += 1


@dataclass(frozen=True)
class _FaultedCall:
    """A call and its fault; one method for each kind of fault."""

    fault: Fault
    server: FaultableServer
    request: Request
    carry_out: CarryOut

    async def drop(self) -> Response:
        if self.fault.when == "body":
            await self._read()
        elif self.fault.when == "after":
            await self.carry_out()
        elif self.fault.when == "late":
            await self.request.body()
        cut = self._cut(reset=self.fault.reset)
        if self.fault.when == "late":
            await asyncio.sleep(self.fault.late_seconds)
            await self.carry_out()
        return cut

    async def answer(self) -> Response:
        if self.fault.carry_out:
            await self.carry_out()
        return Response(self.fault.body, status_code=self.fault.status, headers=self.fault.headers)

    async def stall(self) -> Response:
        if self.fault.when == "after":
            response = await self.carry_out()
            await self._gone()
            return response
        await self.request.body()
        if await self._gone():
            await asyncio.sleep(self.fault.late_seconds)
        if self.fault.when == "late":
            return await self.carry_out()
        return self._cut(reset=False)

    async def garble(self) -> Response:
        whole = bytes((await self.carry_out()).body) if self.fault.carry_out else b""
        if self.fault.how == "html":
            return Response(PAGE, media_type="text/html")
        half = whole[: len(whole) // 2] or HALF_JSON
        if self.fault.how == "json":
            return Response(half, media_type="application/json")
        size = str(2 * len(half))
        head = _head(200, {"content-type": "application/json", "content-length": size})
        return _Raw(self.server, head + half, 0.0)

    async def drip(self) -> Response:
        response = await self.carry_out()
        whole = _head(response.status_code, dict(response.headers)) + bytes(response.body)
        return _Raw(self.server, whole, self.fault.seconds)

    async def repeat(self) -> Response:
        await self.request.body()
        response = await self.carry_out()
        if not self.fault.late_seconds:
            return await self.carry_out()
        response.background = BackgroundTask(self._again)
        return response

    async def inform(self) -> Response:
        transport = self.server.transport(tuple(self.request.client or ()))
        if transport is not None:
            # Past uvicorn: its responses are final ones.
            transport.write(_status_line(self.fault.status) + b"\r\n\r\n")
        await asyncio.sleep(self.fault.seconds)
        return await self.carry_out()

    async def lag(self) -> Response:
        response = await self.carry_out()
        if response.status_code != http.HTTPStatus.OK:
            return response
        shown_until = (time.time() - self.fault.seconds) * 1000
        key = LISTS[self.fault.route]
        listed = json.loads(bytes(response.body))
        return JSONResponse([item for item in listed if item[key] <= shown_until])

    async def refuse(self) -> Response:
        response = await self.carry_out()
        await self.server.close(self.fault.seconds)
        response.headers["connection"] = "close"
        return response

    async def _again(self) -> None:
        try:
            await asyncio.sleep(self.fault.late_seconds)
            await self.carry_out()
        finally:
            self.fault.over += 1

    def _cut(self, *, reset: bool) -> Response:
        self.server.cut(tuple(self.request.client or ()), reset=reset)
        return Response(status_code=500)  # never sent

    async def _read(self) -> None:
        """Read the body up to the byte of the fault, or half of it."""
        wanted = self.fault.at_byte
        if wanted is None:
            wanted = int(self.request.headers.get("content-length", "0")) // 2
        seen = 0
        async for part in self.request.stream():
            seen += len(part)
            if seen >= wanted:
                return

    async def _gone(self) -> bool:
        """Wait until the client closes its connection; False if it is still open at the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.fault.seconds):
                while (await self.request.receive())["type"] != "http.disconnect":
                    pass
                return True
        return False


class _Raw(Response):
    """Raw bytes, sent over some seconds, after which the connection is closed."""

    def __init__(self, server: FaultableServer, raw: bytes, seconds: float) -> None:
        super().__init__()
        self._server, self._raw, self._seconds = server, raw, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = self._server.transport(tuple(scope["client"]))
        if transport is None:
            return
        size = max(1, math.ceil(len(self._raw) * DRIP_SECONDS / max(self._seconds, DRIP_SECONDS)))
        for start in range(0, len(self._raw), size):
            if transport.is_closing():
                break
            transport.write(self._raw[start : start + size])
            if self._seconds:
                await asyncio.sleep(DRIP_SECONDS)
        transport.close()
        # uvicorn expects a response; on a closed connection it sends nothing.
        await super().__call__(scope, receive, send)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += ["connection: close", "", ""]
    return b"\r\n".join([_status_line(status), *(line.encode("latin-1") for line in lines)])


def _status_line(status: int) -> bytes:
    known = status in http.HTTPStatus.__members__.values()
    phrase = http.HTTPStatus(status).phrase if known else "Unknown"
    return f"HTTP/1.1 {status} {phrase}".encode()
