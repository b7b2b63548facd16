"""The sockets of the running server: listening can stop and begin again, a connection be cut.

What arrives on them is read into one buffer for each connection.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_RESET = struct.pack("ii", 1, 0)  # linger for 0 seconds: closing sends RST
_READ_BYTES = 64 * 1024
"""Bytes read at a time.

asyncio's own 256 KiB are a fresh block of memory for each read and each copy that the server makes
of it, taken from the system and given back: its page faults cost more than all else. Blocks of this
size are reused.
"""


class Receiver(H11Protocol, asyncio.BufferedProtocol):
    """uvicorn's HTTP protocol, reading into a buffer of its own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        self._buffer = memoryview(bytearray(_READ_BYTES))
        super().connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # it may be any size
        """Where to read to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(bytes(self._buffer[:nbytes]))


class Wire(uvicorn.Server):
    """A uvicorn server on one socket that can refuse connections for a while.

    Args:
        config: What to serve.
        sock: The socket to listen on; it is closed with the server.
    """

    def __init__(self, config: uvicorn.Config, sock: socket.socket) -> None:
        super().__init__(config)
        # Only on sockets that say they are TCP does asyncio send small answers at once; on others
        # each waits some 40 ms for the client to acknowledge its headers.
        self._socket = socket.socket(
            sock.family, sock.type, socket.IPPROTO_TCP, fileno=sock.detach()
        )
        self._address, self._family = self._socket.getsockname(), sock.family
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._thread = threading.Thread(
            target=self._serve_socket, name="local-celonis", daemon=True
        )

    def begin(self) -> None:
        """Serve in a thread of its own; returns when connections are taken."""
        ready = threading.Event()
        self._ready = ready.set
        self._thread.start()
        while not ready.wait(0.05) and self._thread.is_alive():
            pass

    def end(self) -> None:
        """Stop serving and close the socket."""
        self.should_exit = True
        self._thread.join(5)
        self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._ready()

    def refuse(self, seconds: float) -> None:
        """Refuse connections for so long; close the open ones once they owe no answer."""
        self._in_loop(lambda: self._stop(seconds))

    def listen(self) -> None:
        """Take connections again, if they are refused."""
        self._in_loop(self._start)

    def transport(self, peer: tuple[Any, ...]) -> asyncio.Transport | None:
        """The connection from this address, if it is still there."""
        for protocol in self.server_state.connections:
            if getattr(protocol, "client", None) == peer:
                return protocol.transport
        return None

    def cut(self, peer: tuple[Any, ...], *, reset: bool) -> None:
        """Close the connection from this address, whatever was to be said on it."""
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

    def _in_loop(self, act: Callable[[], None]) -> None:
        if self._loop is None or not self._thread.is_alive():
            return
        if threading.current_thread() is self._thread:
            act()
            return

        async def called() -> None:
            act()
            if self._opening is not None:
                await self._opening

        asyncio.run_coroutine_threadsafe(called(), self._loop).result(10)

    def _stop(self, seconds: float) -> None:
        if self.servers:
            for server in self.servers:
                server.close()
            self.servers = []
            # Bound, but not listening: connections are refused, and nobody else gets the port.
            self._socket = socket.socket(self._family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(self._address)
        for protocol in list(self.server_state.connections):
            if not protocol.transport.is_closing():
                protocol.shutdown()
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None and seconds < math.inf:
            self._timer = self._loop.call_later(seconds, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.servers and self._opening is None and self._loop is not None:
            self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(
                config=self.config, server_state=self.server_state,
                app_state=self.lifespan.state, _loop=loop,
            )  # type: ignore[call-arg]  # fmt: skip
            return made

        try:
            self.servers = [await loop.create_server(protocol, sock=self._socket)]
        finally:
            self._opening = None
