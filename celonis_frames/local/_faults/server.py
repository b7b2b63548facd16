"""uvicorn in a thread, with connections that faults can refuse, close and reset.

How it works: `FaultableServer.begin` starts the thread ``local-celonis``, which runs uvicorn's
event loop, and returns when the socket listens. All HTTP work happens in that loop; Starlette runs
the blocking handlers in its pool of worker threads. Tests call `refuse` and `listen` from their own
threads. Both submit a coroutine to the loop and wait for it; an asyncio lock lets one of them at a
time close or open the socket. `end` sets uvicorn's `should_exit`, wakes the loop and joins the
thread, which is a daemon, so a process that never calls `end` exits all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_RESET = struct.pack("ii", 1, 0)  # linger for 0 seconds: closing sends RST
_READ_BYTES = 64 * 1024
"""Bytes of a connection's read buffer.

asyncio allocates a new 256 KiB buffer for each read; the page faults dominate. A reused 64 KiB
buffer avoids them.
"""
_SHUTDOWN_SECONDS = 0.002
"""How often `FaultableServer.shutdown` checks whether the last responses are sent."""


class BufferedH11Protocol(H11Protocol, asyncio.BufferedProtocol):
    """uvicorn's HTTP protocol, with one read buffer for each connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Allocate the buffer of a new connection."""
        self._buffer = memoryview(bytearray(_READ_BYTES))
        super().connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # it may be any size
        """The buffer to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Process the bytes that were read."""
        self.data_received(bytes(self._buffer[:nbytes]))


class FaultableServer(uvicorn.Server):
    """A uvicorn server on one socket that can refuse connections for a while.

    Args:
        config: The application and its settings.
        sock: The bound socket; the server closes it.
    """

    def __init__(self, config: uvicorn.Config, sock: socket.socket) -> None:
        super().__init__(config)
        # asyncio sets TCP_NODELAY only on sockets whose protocol is IPPROTO_TCP. Without it a small
        # response waits about 40 ms for the client's ACK of its headers.
        self._socket = socket.socket(
            sock.family, sock.type, socket.IPPROTO_TCP, fileno=sock.detach()
        )
        self._address, self._family = self._socket.getsockname(), sock.family
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._switching = asyncio.Lock()
        self._thread = threading.Thread(
            target=self._serve_socket, name="local-celonis", daemon=True
        )

    def begin(self) -> None:
        """Start the thread; returns when the server accepts connections."""
        ready = threading.Event()
        self._ready = ready.set
        self._thread.start()
        while not ready.wait(0.05) and self._thread.is_alive():
            pass

    def end(self) -> None:
        """Stop the thread and close the socket."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(5)
        self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and let `begin` return."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._ready()

    async def main_loop(self) -> None:
        """Wait for `end`. uvicorn itself checks for it ten times a second."""
        while not await self.on_tick(0):  # 0: also renew the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Close all connections; responses that are due get some time.

        Unlike uvicorn's own method, it does not wait a tenth of a second when nothing is due.
        """
        await self._close_servers()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        end = time.monotonic() + (self.config.timeout_graceful_shutdown or 0)
        # uvicorn has no event for this.
        while (state.connections or state.tasks) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(_SHUTDOWN_SECONDS)
        for task in list(state.tasks):
            task.cancel()

    def refuse(self, seconds: float) -> None:
        """As `close`, from another thread."""
        self._in_loop(self.close(seconds))

    async def close(self, seconds: float) -> None:
        """Refuse connections for `seconds`; close open ones once no response is due on them."""
        async with self._switching:
            if self.servers:
                await self._close_servers()
                self.servers = []
                # Bound, but not listening: connections are refused, and the port stays reserved.
                self._socket = socket.socket(self._family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.bind(self._address)
            for protocol in list(self.server_state.connections):
                if not protocol.transport.is_closing():
                    protocol.shutdown()
            self._stop_timer()
            if seconds < math.inf:
                self._timer = asyncio.get_running_loop().call_later(seconds, self._open)

    def listen(self) -> None:
        """Accept connections again, from another thread."""

        async def opened() -> None:
            await self._open()

        self._in_loop(opened())

    def transport(self, peer: tuple[Any, ...]) -> asyncio.Transport | None:
        """The connection from this peer, if it is still open."""
        for protocol in self.server_state.connections:
            if getattr(protocol, "client", None) == peer:
                return protocol.transport
        return None

    def cut(self, peer: tuple[Any, ...], *, reset: bool) -> None:
        """Close the connection from this peer at once; unsent data is lost."""
        transport = self.transport(peer)
        if transport is None:
            return
        if reset:
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
        transport.abort()

    def _serve_socket(self) -> None:
        self.run(sockets=[self._socket])

    def _in_loop(self, act: Coroutine[Any, Any, None]) -> None:
        if self._loop is None or not self._thread.is_alive():
            act.close()
            return
        asyncio.run_coroutine_threadsafe(act, self._loop).result(10)

    async def _close_servers(self) -> None:
        """Stop listening; afterwards uvicorn knows every accepted connection."""
        # asyncio accepts a connection in one iteration of its loop, creates its transport in the
        # next and calls the protocol in a third. Closing the server after the first would leave the
        # connection open for ever, without a protocol. So stop accepting first.
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for sock in server.sockets:
                with contextlib.suppress(NotImplementedError):  # Windows
                    loop.remove_reader(sock.fileno())
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open(self) -> asyncio.Task[None]:
        self._stop_timer()
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._opened())
        return self._opening

    async def _opened(self) -> None:
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(
                config=self.config, server_state=self.server_state,
                app_state=self.lifespan.state, _loop=loop,
            )  # type: ignore[call-arg]  # fmt: skip
            return made

        try:
            async with self._switching:
                if not self.servers:
                    self.servers = [await loop.create_server(protocol, sock=self._socket)]
        finally:
            self._opening = None
