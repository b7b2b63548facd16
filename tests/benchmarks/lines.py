"""The lines that frames are pushed over, and the sink at their other end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme


@dataclasses.dataclass(frozen=True)
class Line:
    """What is between a client and the server.

    Attributes:
        title: For the page.
        total: Bytes a second of all connections together; None: what the machine gives.
        each: Bytes a second of one connection.
        rtt: Seconds of a round trip.
        tls: Whether it is encrypted.
    """

    title: str
    total: float | None = None
    each: float | None = None
    rtt: float = 0.0
    tls: bool = False


LINES = {
    "loopback": Line("loopback"),
    "100": Line("100 MB/s, 10 ms", 100e6, None, 0.010),
    "12": Line("12 MB/s, 4 MB/s per connection, 50 ms", 12e6, 4e6, 0.050),
    "tls": Line("loopback with TLS", tls=True),
}


@dataclasses.dataclass(frozen=True)
class Sink:
    """A sink that runs.

    Attributes:
        line: What leads to it.
        url: Its address.
        ca_file: Whom to trust, for TLS.
    """

    line: Line
    url: str
    ca_file: str | None

    def counts(self) -> dict[str, float]:
        """What it has seen since `reset`, and the seconds of CPU that it took."""
        return dict(self._call("GET", "/_counts"))

    def reset(self) -> None:
        """Let it begin to count anew."""
        self._call("POST", "/_reset")

    def _call(self, method: str, path: str) -> Any:
        context = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310  # our own
        with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")


@contextlib.contextmanager
def sink(line: Line, *, job_seconds: float = 0.0) -> Iterator[Sink]:
    """A sink at the end of a line, in a process of its own.

    Args:
        line: The line.
        job_seconds: How long each job runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        wish: dict[str, Any] = {
            "total": line.total, "each": line.each, "rtt": line.rtt, "job_seconds": job_seconds,
        }  # fmt: skip
        ca_file = None
        if line.tls:
            authority = trustme.CA()
            ca_file = str(Path(folder) / "ca.pem")
            authority.cert_pem.write_to_path(ca_file)
            wish["certificate"] = str(Path(folder) / "server.pem")
            certificate = authority.issue_cert("127.0.0.1")
            certificate.private_key_and_cert_chain_pem.write_to_path(wish["certificate"])
        server = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("sink.py")), json.dumps(wish)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            yield Sink(line, server.stdout.readline().strip(), ca_file)
        finally:
            server.communicate()
