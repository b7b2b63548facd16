"""A server that takes pushes and keeps nothing, over a line as slow as asked for.

    python -m tests.benchmarks.sink '{"total": 100e6, "rtt": 0.01}'

It prints its address and ends when its standard input does. It speaks the calls of the Data Push
API, and the PUT of the Data Ingestion API, that a push makes, over as few system calls as it can:
it shares the machine with what is
measured: the kernel throws bodies away unread (`MSG_TRUNC`), as if the line's other end were at
another machine. Only bodies over TLS are read, because they have to be decrypted.

`GET /_counts` tells what was seen since the last `POST /_reset`. Only the standard library is
used, so that it starts in a moment.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import threading
import time
import uuid
from typing import Any

_READ_BYTES = 1_048_576
_SLICE_SECONDS = 0.01
_WAITED_SECONDS = 0.001
_JOBS = "/data-ingestion/api/v1/data-push/"
_OBJECTS = "/api/data-ingestion/"


class Bucket:
    """Lets so many bytes a second through, for all who share it."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._free = 0.0

    def until(self, size: int, earliest: float) -> float:
        """When these bytes have passed, in seconds of `time.monotonic`.

        Args:
            size: How many.
            earliest: When the first of them was there to be sent. When that was long ago, because
                this process slept late, they have passed meanwhile: the line does not sleep.
        """
        if not self.rate:
            return 0.0
        with self._lock:
            self._free = max(self._free, earliest) + size / self.rate
            return self._free


class State:
    """The jobs, and what was counted."""

    def __init__(self, wish: dict[str, Any]) -> None:
        self.total: float | None = wish.get("total")
        self.each: float | None = wish.get("each")
        self.rtt: float = wish.get("rtt", 0.0)
        self.job_seconds: float = wish.get("job_seconds", 0.0)
        self.all = Bucket(self.total)
        self.lock = threading.Lock()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.chunks: dict[str, list[dict[str, Any]]] = {}
        self.ends: dict[str, float] = {}
        self.counts: dict[str, float] = {}
        self.uploading: set[int] = set()
        self.reset()

    def reset(self) -> None:
        """Begin to count anew, and forget the jobs."""
        with self.lock:
            self.counts = dict.fromkeys(("requests", "polls", "chunks", "bytes", "connections"), 0)
            self.uploading.clear()
            self.cpu = time.process_time()
            self.jobs.clear()
            self.chunks.clear()
            self.ends.clear()

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        with self.lock:
            self.counts[name] += number


class Connection:
    """One client's connection.

    Args:
        state: What all share.
        sock: The client.
        context: For TLS.
    """

    def __init__(self, state: State, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self._state, self._context, self._sock = state, context, sock
        self._mine = Bucket(state.each)
        rates = [rate for rate in (state.total, state.each) if rate]
        self._slice = _READ_BYTES
        if rates:
            self._slice = min(_READ_BYTES, max(16_384, int(min(rates) * _SLICE_SECONDS)))
        self._buffer = memoryview(bytearray(self._slice))
        self._head = b""

    def serve(self) -> None:
        """Answer until the client leaves."""
        state = self._state
        try:
            with self._sock:
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # What opening a connection takes on such a line: TCP's round trip, and TLS's.
                time.sleep(state.rtt * (2 if self._context else 1))
                if self._context is not None:
                    self._sock = self._context.wrap_socket(self._sock, server_side=True)
                while self._one():
                    pass
                self._sock.close()
        except (OSError, ValueError):
            return

    def _one(self) -> bool:
        """Answer one request; False when there is none any more."""
        end = self._head.find(b"\r\n\r\n")
        while end < 0:
            data = self._sock.recv(65_536)
            if not data:
                return False
            self._head += data
            end = self._head.find(b"\r\n\r\n")
        lines = self._head[:end].decode("latin-1").split("\r\n")
        self._head = self._head[end + 4 :]
        method, target, _ = lines[0].split(" ")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        chunk = target.partition("?")[0].rstrip("/").endswith(("/upserted", "/deleted"))
        upload = chunk or method == "PUT"
        if "chunked" in headers.get("transfer-encoding", ""):
            size, body = self._chunked(keep=not upload)
        else:
            size = int(headers.get("content-length", 0))
            body = self._body(size, keep=not upload)
        if not target.startswith("/_"):
            self._state.count("requests")
            if upload:
                self._state.count("chunks")
                self._state.count("bytes", size)
                with self._state.lock:
                    self._state.uploading.add(id(self))
                    self._state.counts["connections"] = len(self._state.uploading)
            time.sleep(self._state.rtt)
        status, answer = self._answer(method, target, body)
        text = b"" if answer is None else json.dumps(answer).encode()
        self._sock.sendall(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n\r\n".encode()
            + text
        )
        return headers.get("connection", "").lower() != "close"

    def _body(self, size: int, *, keep: bool) -> bytes:
        """Take so many bytes off the line, as fast as it lets them through."""
        first, self._head = self._head[:size], self._head[size:]
        ready = time.monotonic()
        self._pass(len(first), ready)
        kept = [first]
        left = size - len(first)
        flags = 0 if keep or self._context else socket.MSG_TRUNC | socket.MSG_WAITALL
        while left:
            wish = min(left, self._slice)
            begin = time.monotonic()
            got = (
                self._sock.recv_into(self._buffer, wish)
                if self._context
                else self._sock.recv_into(self._buffer, wish, flags)
            )
            if not got:
                raise ConnectionResetError
            if keep:
                kept.append(bytes(self._buffer[:got]))
            left -= got
            if time.monotonic() - begin > _WAITED_SECONDS:  # the client has not kept up
                ready = begin
            self._pass(got, ready)
        return b"".join(kept) if keep else b""

    def _chunked(self, *, keep: bool) -> tuple[int, bytes]:
        total, kept = 0, []
        while True:
            while b"\r\n" not in self._head:
                data = self._sock.recv(65_536)
                if not data:
                    raise ConnectionResetError
                self._head += data
            line, _, self._head = self._head.partition(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            kept.append(self._body(size, keep=keep))
            self._body(2, keep=True)  # the line's end; there are no trailers
            total += size
            if not size:
                return total, b"".join(kept)

    def _pass(self, size: int, ready: float) -> None:
        until = max(self._state.all.until(size, ready), self._mine.until(size, ready))
        wait = until - time.monotonic()
        if until and wait > 0:
            time.sleep(wait)

    def _answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        state, path = self._state, target.partition("?")[0]
        if path == "/_reset":
            state.reset()
            return 200, None
        if path == "/_counts":
            return 200, state.counts | {"cpu": time.process_time() - state.cpu}
        if method == "PUT" and path.startswith(_OBJECTS):
            return 200, None
        if not path.startswith(_JOBS):
            return 404, {"message": f"The sink knows no {path}"}
        pool, _, *rest = path.removeprefix(_JOBS).rstrip("/").split("/")
        if not rest and method == "POST":
            job = json.loads(body) | {"id": str(uuid.uuid4()), "dataPoolId": pool, "logs": []}
            state.jobs[job["id"]] = job | {"status": "NEW"}
            state.chunks[job["id"]] = []
            return 200, state.jobs[job["id"]]
        if not rest:
            return 200, list(state.jobs.values())
        job = state.jobs.get(rest[0])
        if job is None:
            return 404, {"message": f"The sink has no job {rest[0]}"}
        return self._job(job, method, rest[1:])

    def _job(self, job: dict[str, Any], method: str, what: list[str]) -> tuple[int, Any]:
        state, job_id = self._state, job["id"]
        match method, what:
            case "POST", ["chunks", ("upserted" | "deleted") as kind]:
                chunk = {
                    "id": str(uuid.uuid4()),
                    "type": "UPSERT" if kind == "upserted" else "DELETE",
                    "pushJobId": job_id,
                    "checksum": uuid.uuid4().hex,  # of a kind that no client knows
                    "creationDate": int(time.time() * 1000),
                }
                state.chunks[job_id].append(chunk)
                return 200, None
            case "GET", ["chunks"]:
                return 200, state.chunks[job_id]
            case "POST", []:
                job["status"] = "RUNNING"
                state.ends[job_id] = time.monotonic() + state.job_seconds
                return 200, None
            case "GET", []:
                state.count("polls")
                if job["status"] == "RUNNING" and time.monotonic() >= state.ends[job_id]:
                    job["status"] = "DONE"
                return 200, job
            case "POST", ["cancel"]:
                job["status"] = "CANCELED"
                return 200, job
            case "DELETE", []:
                del state.jobs[job_id]
                return 204, None
        return 405, {"message": f"The sink knows no {method} of this"}


def main() -> None:
    """Serve until standard input ends."""
    wish = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    state, context = State(wish), None
    if wish.get("certificate"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(wish["certificate"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            connection = Connection(state, sock, context)
            threading.Thread(target=connection.serve, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(f"http{'s' if context else ''}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
