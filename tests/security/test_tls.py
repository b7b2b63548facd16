"""TLS end to end: the local Celonis behind a certificate of an authority made for the test."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import trustme
from cryptography import x509

from celonis_frames import ApiKey, Celonis, OAuth2
from celonis_frames._http.transport import Timeouts
from celonis_frames.exceptions import ApiConnectionError, ConfigError

from .conftest import SCOPES


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody else trusts."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(data)
    for side in (source, sink):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def behind_tls(authority: trustme.CA, celonis: Any) -> Iterator[Callable[..., str]]:
    """Puts a TLS terminator before the local Celonis, with a certificate for these names."""
    target = ("127.0.0.1", int(celonis.url.rpartition(":")[2]))
    listeners: list[socket.socket] = []

    def start(*names: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=shake, args=(plain,), daemon=True).start()

        def shake(plain: socket.socket) -> None:
            try:
                outer = context.wrap_socket(plain, server_side=True)
            except (OSError, ssl.SSLError):
                plain.close()  # the client does not trust us
                return
            inner = socket.create_connection(target)
            back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
            back.start()
            _pump(outer, inner)
            back.join()
            inner.close()
            outer.close()

        threading.Thread(target=serve, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


TIMEOUTS = Timeouts(connect=5.0, read=10.0)


@pytest.mark.parametrize("way", ["verify", "folder-path", "key", "oauth"])
def test_a_push_over_tls_with_an_authority_of_ones_own(
    celonis: Any, behind_tls: Callable[..., str], ca_file: Path, way: str
) -> None:
    """verify='ca.pem' is all it takes, for the token endpoint as well."""
    url = behind_tls("127.0.0.1")
    verify: Any = ca_file if way == "folder-path" else str(ca_file)
    auth: Any = ApiKey(celonis.token)
    if way == "oauth":
        auth = OAuth2(*celonis.oauth_client, scopes=SCOPES)
    with Celonis(url, auth=auth, verify=verify, timeouts=TIMEOUTS) as connection:
        assert connection.push(pa.table({"A": [1, 2]}), "P", "T", mode="REPLACE").ok
    assert celonis.table("P", "T").to_pydict() == {"A": [1, 2]}
    assert celonis._state.tokens.issued == (1 if way == "oauth" else 0)


def test_the_ca_file_is_read_once_for_all_connections(
    celonis: Any, behind_tls: Callable[..., str], ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a long CA file takes longer than many a request."""
    read: list[object] = []

    class Counting(ssl.SSLContext):
        def load_verify_locations(self, *args: Any, **kwargs: Any) -> None:
            read.append(kwargs)
            super().load_verify_locations(*args, **kwargs)

    monkeypatch.setattr("urllib3.util.ssl_.SSLContext", Counting)
    url, rows = behind_tls("127.0.0.1"), pa.table({"A": range(50_000)})
    with Celonis(url, auth=ApiKey(celonis.token), verify=str(ca_file)) as connection:
        assert (
            connection.push(rows, "P", "T", mode="REPLACE", upload={"chunk_bytes": "50 KB"}).chunks
            > 3
        )
    assert read == [{"cafile": str(ca_file)}]


def test_the_protocols_are_set_before_the_first_connection(
    celonis: Any, behind_tls: Callable[..., str], ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting them while another thread shakes hands could garble its handshake."""
    calls: list[list[str]] = []

    class Counting(ssl.SSLContext):
        def set_alpn_protocols(self, alpn_protocols: Any) -> None:
            calls.append(list(alpn_protocols))
            super().set_alpn_protocols(alpn_protocols)

    monkeypatch.setattr("urllib3.util.ssl_.SSLContext", Counting)
    with Celonis(behind_tls("127.0.0.1"), auth=ApiKey(celonis.token), verify=str(ca_file)) as c:
        assert calls == [["http/1.1"]]
        assert c.push(pa.table({"A": [1]}), "P", "T", mode="REPLACE").ok
    assert calls == [["http/1.1"]]


def _subject_hash(certificate: bytes) -> str:
    """The name under which OpenSSL looks for a certificate in a directory."""
    subject = x509.load_pem_x509_certificate(certificate).subject
    canonical = x509.Name(
        x509.NameAttribute(part.oid, " ".join(str(part.value).lower().split())) for part in subject
    )
    digest = hashlib.sha1(canonical.public_bytes()[2:]).digest()  # noqa: S324  # OpenSSL's choice
    return digest[3::-1].hex()


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("given", ["verify", "directory", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_every_way_to_give_a_ca_decides_what_is_trusted(
    celonis: Any,
    behind_tls: Callable[..., str],
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    trusted: bool,
) -> None:
    """With the server's authority a call succeeds; with another one it fails."""
    if not trusted:
        trustme.CA().cert_pem.write_to_path(str(ca_file))
    verify: Any = True
    if given == "verify":
        verify = ca_file
    elif given == "directory":
        verify = ca_file.parent / "certs"
        verify.mkdir()
        (verify / f"{_subject_hash(ca_file.read_bytes())}.0").write_bytes(ca_file.read_bytes())
    else:
        monkeypatch.setenv(given, str(ca_file))
    url = behind_tls("127.0.0.1")
    with Celonis(url, auth=ApiKey(celonis.token), verify=verify, timeouts=TIMEOUTS) as connection:
        call = functools.partial(connection._transport.request, "GET", "/integration/api/pools")
        if trusted:
            assert call().json() == []
        else:
            with pytest.raises(ApiConnectionError, match="cannot be trusted"):
                call()


@pytest.mark.parametrize("trusted", [True, False])
def test_a_proxy_over_tls(
    authority: trustme.CA,
    celonis: Any,
    behind_tls: Callable[..., str],
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,
) -> None:
    """The proxy's certificate is checked like the server's, before a request is sent."""
    asked: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (authority if trusted else trustme.CA()).issue_cert("127.0.0.1").configure_cert(context)
    url = behind_tls("127.0.0.1")
    listener = socket.create_server(("127.0.0.1", 0))

    def proxy() -> None:
        plain, _ = listener.accept()
        with plain, contextlib.suppress(ssl.SSLError):
            outer = context.wrap_socket(plain, server_side=True)
            asked.append(outer.recv(65536).partition(b"\r\n")[0])
            outer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            inner = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
            back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
            back.start()
            _pump(outer, inner)
            back.join()
            inner.close()
            outer.close()

    thread = threading.Thread(target=proxy, daemon=True)
    thread.start()
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setattr("celonis_frames._http.session.is_loopback", lambda _: False)
    with Celonis(url, auth=ApiKey(celonis.token), verify=ca_file, timeouts=TIMEOUTS) as connection:
        call = functools.partial(connection._transport.request, "GET", "/integration/api/pools")
        if trusted:
            assert call().json() == []
        else:
            with pytest.raises(ApiConnectionError, match=r"proxy|cannot be trusted"):
                call()
    thread.join(10)
    listener.close()
    assert [line.split()[0] for line in asked] == ([b"CONNECT"] if trusted else [])


@pytest.mark.parametrize("oauth", [False, True])
def test_an_unknown_authority_is_rejected(
    celonis: Any, behind_tls: Callable[..., str], oauth: bool
) -> None:
    """Without verify= nothing is sent, and the message says what to give."""
    auth: Any = OAuth2(*celonis.oauth_client) if oauth else ApiKey(celonis.token)
    with (
        Celonis(behind_tls("127.0.0.1"), auth=auth, timeouts=TIMEOUTS) as connection,
        pytest.raises(ApiConnectionError, match=r"cannot be trusted.*verify='company-ca.pem'"),
    ):
        connection.push(pa.table({"A": [1]}), "P", "T")
    assert celonis.jobs == []
    assert celonis._state.tokens.issued == 0


def test_another_hosts_certificate_is_rejected(
    celonis: Any, behind_tls: Callable[..., str], ca_file: Path
) -> None:
    """A trusted authority is not enough: the certificate must be for the host that was called."""
    url = behind_tls("team.eu-1.celonis.cloud", "10.0.0.1")
    for called in (url, url.replace("127.0.0.1", "localhost")):
        with (
            Celonis(
                called, auth=ApiKey(celonis.token), verify=str(ca_file), timeouts=TIMEOUTS
            ) as connection,
            pytest.raises(ApiConnectionError, match="for another host") as caught,
        ):
            connection.push(pa.table({"A": [1]}), "P", "T")
        assert caught.value.reason == "tls"
    assert celonis.jobs == []


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\x00\xff"])
def test_a_file_without_certificates_is_rejected_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """verify= and REQUESTS_CA_BUNDLE are checked when the connection is made."""
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    url = "https://team.eu-1.celonis.cloud"
    with pytest.raises(ConfigError, match="verify="):
        Celonis(url, auth=ApiKey("key"), verify=path)
    for name, value in (("REQUESTS_CA_BUNDLE", path), ("CURL_CA_BUNDLE", tmp_path / "none")):
        monkeypatch.setenv(name, str(value))
        with pytest.raises(ConfigError, match=name):
            Celonis(url, auth=ApiKey("key"))
        monkeypatch.delenv(name)
