"""The sockets of the running server: listening can stop and begin again, a connection be cut.

What arrives on them is read into one buffer for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import threading
from collections.abc import Coroutine
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


class BufferedH11Protocol(H11Protocol, asyncio.BufferedProtocol):
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


class FaultableServer(uvicorn.Server):
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
        self._turn = asyncio.Lock()
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, with no connection half taken."""
        await self._close_servers()
        await super().shutdown(sockets)

    def refuse(self, seconds: float) -> None:
        """What `close` does, from another thread."""
        self._in_loop(self.close(seconds))

    async def close(self, seconds: float) -> None:
        """Refuse connections for so long; close the open ones once they owe no answer."""
        async with self._turn:
            if self.servers:
                await self._close_servers()
                self.servers = []
                # Bound, but not listening: connections are refused, and nobody else gets the port.
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
        """Take connections again, if they are refused; from another thread."""

        async def opened() -> None:
            await self._open()

        self._in_loop(opened())

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

    def _in_loop(self, act: Coroutine[Any, Any, None]) -> None:
        if self._loop is None or not self._thread.is_alive():
            act.close()
            return
        asyncio.run_coroutine_threadsafe(act, self._loop).result(10)

    async def _close_servers(self) -> None:
        """Take no more connections; those that were taken are known to the server after this."""
        # asyncio accepts a connection in one turn of its loop, makes its transport in the next, and
        # tells the protocol in a third. A server that closes after the first leaves the connection
        # open for ever with nobody at it: so first nothing more is accepted.
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
            async with self._turn:
                if not self.servers:
                    self.servers = [await loop.create_server(protocol, sock=self._socket)]
        finally:
            self._opening = None
