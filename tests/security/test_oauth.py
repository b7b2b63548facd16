"""OAuth 2.0 client credentials and token files, end to end against the local Celonis."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import celonis_frames
from celonis_frames import Celonis, OAuth2
from celonis_frames._api.client import DataPushApi
from celonis_frames._auth.oauth2 import DATA_PUSH, MARGIN_SECONDS, _read_token, _Tokens
from celonis_frames._auth.token_file import TokenFile
from celonis_frames._http.messages import RawResponse, Request
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames._secrets import Secret
from celonis_frames.exceptions import (
    ApiStatusError,
    ApiTimeoutError,
    AuthenticationError,
    ConfigError,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from celonis_frames.local._web.oauth import SCOPES as ALL
from celonis_frames.local._web.oauth import TokenIssuer

from .conftest import SCOPES

SECRET = "canary-client-secret-7/+é"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def pool(celonis: Any) -> str:
    """A pool's id, for clients that may not look names up."""
    return str(celonis.add_pool("P"))


def _celonis(server: Any, **options: Any) -> Celonis:
    return Celonis(server.url, auth=OAuth2(*server.oauth_client, **options))


@pytest.mark.parametrize("method", ["basic", "post", "BASIC"])
def test_a_push_with_an_oauth_client(celonis: Any, pool: str, method: Any) -> None:
    """Both ways of showing the secret work; one token does for the whole push."""
    with _celonis(celonis, method=method) as connection:
        status = connection.push(pa.table({"A": [1]}), pool, "T")
    assert status.ok
    assert celonis.table("P", "T").to_pydict() == {"A": [1]}
    assert celonis._state.tokens.issued == 1


def test_a_push_from_the_environment(celonis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official client's names are enough."""
    monkeypatch.setenv("CELONIS_URL", celonis.url)
    monkeypatch.setenv("OAUTH_CLIENT_ID", celonis.oauth_client[0])
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", celonis.oauth_client[1])
    monkeypatch.setenv("OAUTH_METHOD", "POST")
    monkeypatch.setenv("OAUTH_SCOPES", ", ".join(SCOPES))
    with Celonis.from_env() as connection:
        assert connection.push(pa.table({"A": [1]}), "P", "T").ok  # by name: the scope allows it
    monkeypatch.setenv("OAUTH_METHOD", "JWT")
    with pytest.raises(ConfigError, match="OAUTH_METHOD"):
        Celonis.from_env()
    monkeypatch.delenv("OAUTH_CLIENT_SECRET")
    with pytest.raises(ConfigError, match="OAUTH_CLIENT_SECRET"):
        Celonis.from_env()


def test_the_api_token_comes_before_the_oauth_names(
    celonis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OAUTH_… may be there for another program; CELONIS_API_TOKEN is ours."""
    monkeypatch.setenv("CELONIS_URL", celonis.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", celonis.token)
    monkeypatch.setenv("OAUTH_CLIENT_ID", "another's")
    with Celonis.from_env() as connection:
        connection.pools()
    assert celonis._state.tokens.issued == 0


def test_the_client_of_one_host_is_not_sent_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for keys: the environment's client belongs to CELONIS_URL."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "id")
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", SECRET)
    with pytest.raises(ConfigError, match="OAUTH_CLIENT_ID belongs to"):
        celonis_frames.connect("https://other.us-2.celonis.cloud")


def test_a_long_push_across_expiries(
    celonis: Any, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens that expire between the chunks are renewed, and every row is there once."""
    rows = 6

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(rows):
            yield pa.record_batch({"A": pa.array([number]), "S": [str(number) * 500]})

    expired = threading.Event()
    sent: list[int] = []
    with _celonis(celonis) as connection:
        original = DataPushApi.upload_chunk

        def upload(*arguments: Any, **options: Any) -> None:
            celonis.expire_tokens()
            expired.set()
            options["on_sent"] = lambda size, report=options["on_sent"]: (
                sent.append(size),
                report(size),
            )
            original(*arguments, **options)

        monkeypatch.setattr(DataPushApi, "upload_chunk", upload)
        status = connection.push(batches(), pool, "T", upload={"chunk_bytes": "1 B", "workers": 1})
    assert expired.is_set()
    assert status.ok
    assert celonis.table("P", "T").sort_by("A").column("A").to_pylist() == list(range(rows))
    assert status.chunks is not None
    assert status.chunks > 1
    assert celonis._state.tokens.issued == 1 + status.chunks
    # Each rejected upload was counted back: what was reported is what was sent.
    assert sum(sent) == status.bytes_sent
    assert any(size < 0 for size in sent)


def test_an_upload_outlasts_its_token(celonis: Any, pool: str) -> None:
    """The token is checked when the header arrives; it may expire while the body is under way."""
    table = pa.table({"A": list(range(1000))})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="snappy")
    content = sink.getvalue()

    class Slow:
        name, size = "c.parquet", len(content)

        def blocks(self) -> Iterator[bytes]:
            yield content[:100]
            while not list(celonis._catalog.folder.iterdir()):
                time.sleep(0.005)  # the server opens the file after it has checked the header
            celonis.expire_tokens()
            yield content[100:]

    with _celonis(celonis) as connection:
        job = connection._api.create_job(pool, {"targetName": "T", "type": "REPLACE"})
        connection._api.upload_chunk(pool, job.id, Slow())
        assert celonis._state.tokens.issued == 1
        connection._api.execute_job(pool, job.id)
        assert connection.job(pool, job.id).wait().ok
        assert celonis._state.tokens.issued == 2
    assert celonis.table("P", "T").num_rows == 1000


def test_many_threads_renew_once(celonis: Any, pool: str) -> None:
    """However many threads find the token missing, expired or rejected, one fetches."""
    celonis.faults.delay("token", 0.05)
    gate = threading.Barrier(12)
    errors: list[BaseException] = []
    with _celonis(celonis) as connection:

        def post() -> None:
            try:
                gate.wait()
                connection.jobs(pool)
            except BaseException as error:
                errors.append(error)

        for expected in (1, 2):
            threads = [threading.Thread(target=post) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not errors
            assert celonis._state.tokens.issued == expected
            celonis.expire_tokens()


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("lives", "margin"), [(900, MARGIN_SECONDS), (50, 10)])
def test_a_token_is_renewed_before_it_expires(lives: int, margin: float) -> None:
    """A minute before, or a fifth of a shorter life; not a second earlier."""
    clock, requested = _Clock(), 0

    def post(*_: Any) -> RawResponse:
        nonlocal requested
        requested += 1
        content = b'{"access_token":"t%d","token_type":"bearer","expires_in":%d}' % (
            requested,
            lives,
        )
        return RawResponse(Request("POST", "u"), 200, {}, content)

    tokens = _Tokens(OAuth2("id", SECRET), post, clock)
    assert tokens.authorization() == "Bearer t1"
    clock.now += lives - margin - 0.1
    assert tokens.authorization() == "Bearer t1"
    clock.now += 0.2
    assert tokens.authorization() == "Bearer t2"
    assert tokens.renew("Bearer t1")  # another thread's: the new one is not thrown away
    assert tokens.authorization() == "Bearer t2"
    assert tokens.renew("Bearer t2")
    assert tokens.authorization() == "Bearer t3"


def test_a_renewal_that_fails_early_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """While the token still lives it is used on, and the next try waits; after that it counts."""
    clock, requested, status = _Clock(), 0, 200

    def post(*_: Any) -> RawResponse:
        nonlocal requested
        requested += 1
        content = b'{"access_token":"t","token_type":"bearer","expires_in":100}'
        return RawResponse(Request("POST", "u"), status, {}, content if status == 200 else b"down")

    tokens = _Tokens(OAuth2("id", SECRET), post, clock)
    tokens.authorization()
    status, requested = 503, 0
    clock.now += 85
    assert tokens.authorization() == "Bearer t"
    assert tokens.authorization() == "Bearer t"
    assert requested == 2, "the first call tries twice, the second not at all"
    assert "could not be renewed" in caplog.text
    clock.now += 20
    with pytest.raises(ServerError, match="no access token could be fetched"):
        tokens.authorization()


def test_one_repeat_on_401_and_no_more(celonis: Any) -> None:
    """A server that rejects even a fresh token is not called for ever."""
    fault = celonis.faults.answer("pools", 401, times=None)
    with (
        _celonis(celonis, scopes=SCOPES) as connection,
        pytest.raises(AuthenticationError, match="OAuth"),
    ):
        connection.pools()
    assert celonis._state.tokens.issued == 2
    assert fault.hits == 2


def test_a_key_is_not_repeated(celonis: Any) -> None:
    """Keys cannot be renewed: a 401 stays one call."""
    fault = celonis.faults.answer("pools", 401, times=None)
    with celonis.connect() as connection, pytest.raises(AuthenticationError, match="AppKey"):
        connection.pools()
    assert fault.hits == 1


def test_scopes_are_enforced(celonis: Any, pool: str) -> None:
    """Without data_push no push (403, naming the scope); without read no look-up by name."""
    with _celonis(celonis, scopes="integration.data-pools:read") as connection:
        assert [p.name for p in connection.pools()] == ["P"]
        with pytest.raises(PermissionDenied, match="data_push"):
            connection.push(pa.table({"A": [1]}), pool, "T")
    with _celonis(celonis) as connection, pytest.raises(PermissionDenied):
        connection.push(pa.table({"A": [1]}), "P", "T")


@pytest.mark.parametrize(
    ("options", "client", "words"),
    [
        ({}, ("nobody", "wrong-secret"), ["unknown", "OAUTH_METHOD", "invalid_client"]),
        ({"method": "post"}, ("nobody", "wrong-secret"), ["unknown", "invalid_client"]),
        (
            {"scopes": "no.such"},
            None,
            ["no.such", "OAUTH_SCOPES", "data_push", "data-push", "invalid_scope"],
        ),
    ],
)
def test_errors_of_the_token_endpoint(
    celonis: Any, options: Any, client: Any, words: list[str]
) -> None:
    """The message says what to check, and the class is one for all of them."""
    auth = OAuth2(*(client or celonis.oauth_client), **options)
    with Celonis(celonis.url, auth=auth) as c, pytest.raises(AuthenticationError) as caught:
        c.pools()
    for word in words:
        assert word in str(caught.value)
    assert caught.value.error_codes == (words[-1],)
    assert "wrong-secret" not in str(caught.value)
    assert caught.value.url.endswith("/oauth2/token")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, AuthenticationError),
        (404, AuthenticationError),
        (429, RateLimited),
        (503, ServerError),
    ],
)
def test_other_responses_of_the_token_endpoint(celonis: Any, status: int, kind: Any) -> None:
    """A gateway's text is quoted, whatever its form."""
    celonis.faults.answer("token", status, times=None, body=b"<h1>gone\x1b[31m fishing</h1>")
    with _celonis(celonis) as connection, pytest.raises(kind, match=r"gone.* fishing"):
        connection.pools()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>login</html>", b"[]", b"7", b"null", b'"x"', b"{}", b"[" * 100_000,
        b'{"access_token": 7, "token_type": "bearer"}',
        b'{"access_token": "CANARY TOKEN\\r\\nX: y", "token_type": "bearer"}',
        b'{"access_token": "CANARY-TOKEN", "token_type": "mac"}',
        b'{"access_token": "CANARY-TOKEN", "token_type": "bearer", "expires_in": "soon"}',
        b'{"access_token": "CANARY-TOKEN", "token_type": "bear', b"\xff\xfe",
        b'{"error": "invalid_client"}', b"access_token=CANARY+TOKEN",
    ],
)  # fmt: skip
def test_a_success_without_a_token(celonis: Any, body: bytes) -> None:
    """200 and no usable token is an error that quotes nothing: what is there may be the token."""
    celonis.faults.answer("token", 200, times=None, body=body)
    with _celonis(celonis) as connection, pytest.raises(ApiStatusError) as caught:
        connection.pools()
    assert "CANARY" not in str(caught.value) + repr(vars(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("what", ["before", "after"])
def test_a_dropped_token_request_is_repeated(celonis: Any, what: Any) -> None:
    """Asking for a token twice does no harm, so a broken connection does not end a push."""
    celonis.faults.drop("token", when=what)
    with _celonis(celonis, scopes=SCOPES) as connection:
        assert connection.pools() == []


def test_redirects_of_the_token_endpoint_are_not_followed(celonis: Any) -> None:
    """The client's secret goes to no other place."""
    celonis.faults.answer("token", 302, headers={"location": "https://evil.example/x"})
    with _celonis(celonis) as connection, pytest.raises(ApiStatusError, match=r"evil\.example"):
        connection.pools()


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [(b"900", 900), (b'"60"', 60), (b"12.5", 12), (b"-5", 0), (b"null", 900), (b"1e400", 900)],
)
def test_expires_in_is_read_with_care(expires: bytes, seconds: float) -> None:
    """Numbers, numbers as strings, none at all."""
    content = b'{"access_token":"t","token_type":"bearer","expires_in":%b}' % expires
    if expires == b"1e400":
        with pytest.raises(ApiStatusError):  # the library cannot make a whole number of it
            _read_token(RawResponse(Request("POST", "u"), 200, {}, content))
        return
    _, lives = _read_token(RawResponse(Request("POST", "u"), 200, {}, content))
    assert lives == pytest.approx(seconds, abs=0.6)


@given(content=st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_no_response_of_the_token_endpoint_is_unhandled(content: bytes) -> None:
    """Whatever comes back is a token or an ApiStatusError."""
    try:
        header, lives = _read_token(RawResponse(Request("POST", "u"), 200, {}, content))
    except ApiStatusError:
        return
    assert header.reveal().startswith("Bearer ")
    assert lives >= 0


@pytest.mark.parametrize(
    "options",
    [
        {"client_id": ""}, {"client_id": 7}, {"client_secret": ""}, {"client_secret": None},
        {"client_secret": f"{SECRET}\n"}, {"client_id": " id"}, {"method": "jwt"}, {"method": None},
        {"scopes": ""}, {"scopes": ()}, {"scopes": ["a b"]}, {"scopes": 'x"'}, {"scopes": None},
    ],
)  # fmt: skip
def test_what_cannot_be_a_client(options: Any) -> None:
    """Mistakes are ConfigErrors before anything is sent, without the secret."""
    given = {"client_id": "id", "client_secret": SECRET} | options
    with pytest.raises(ConfigError) as caught:
        OAuth2(**given)
    assert SECRET not in str(caught.value)


def test_an_oauth_client_never_shows() -> None:
    """No way of printing shows the secret; it is neither pickled nor changed, and can be copied."""
    client = OAuth2("id", SECRET, scopes="a b")
    assert client.scopes == ("a", "b")
    for text in (repr(client), str(client), f"{client}", repr([client, Secret(SECRET)])):
        assert SECRET not in text
        assert "********" in text
    for redact in (client, Secret(SECRET)):
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(redact)
    assert copy.deepcopy(client) is client
    assert client == OAuth2("id", SECRET, scopes=["a", "b"])
    with pytest.raises(AttributeError):
        client.client_secret = "x"  # type: ignore[misc]


@given(secret=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30))
def test_any_secret_reaches_the_server_whole(secret: str) -> None:
    """Basic and post, with whatever characters the secret has: the server reads what was given."""
    tokens = TokenIssuer()
    tokens.client_id, tokens.client_secret = "id:with+colon", secret

    def post(path: str, form: Secret, header: Secret | None, _: Any) -> RawResponse:
        response = tokens.grant(
            form.reveal().encode(), FORM, "" if header is None else header.reveal()
        )
        return RawResponse(Request("POST", path), 200, {}, json.dumps(response).encode())

    for method in ("basic", "post"):
        client = OAuth2(tokens.client_id, secret, method=method)  # type: ignore[arg-type]
        assert client.credentials(post, time.monotonic).authorization().startswith("Bearer ")
    assert tokens.issued == 2


def test_each_connection_has_its_own_tokens(celonis: Any) -> None:
    """One client given to two connections: a token never travels to the other host."""
    auth = OAuth2(*celonis.oauth_client, scopes=SCOPES)
    for _ in range(2):
        with Celonis(celonis.url, auth=auth) as connection:
            connection.pools()
    assert celonis._state.tokens.issued == 2


# A token in a file


def _token(celonis: Any) -> str:
    response = requests.post(
        f"{celonis.url}/oauth2/token",
        auth=celonis.oauth_client, data={"grant_type": "client_credentials"}, timeout=30,
    )  # fmt: skip
    return str(response.json()["access_token"])


def test_a_token_file_is_read_again(
    celonis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it changes, and once on 401; one that stays stale ends in a 401 that says so."""
    file = tmp_path / "token"
    file.write_text(f"{_token(celonis)}\n")
    monkeypatch.setenv("CELONIS_URL", celonis.url)
    monkeypatch.setenv("OAUTH_ACCESS_TOKEN_PATH", str(file))
    with Celonis.from_env() as connection:
        connection.pools()
        celonis.expire_tokens()
        file.write_text(_token(celonis))
        connection.pools()
        celonis.expire_tokens()
        with pytest.raises(AuthenticationError, match="OAUTH_ACCESS_TOKEN_PATH"):
            connection.pools()
        file.write_text("")  # its writer has just begun
        with pytest.raises(AuthenticationError):
            connection.pools()
        replacement = tmp_path / "new"
        replacement.write_text(_token(celonis))
        replacement.replace(file)
        connection.pools()


def test_a_token_file_replaced_during_a_call(celonis: Any, tmp_path: Path) -> None:
    """A file with the same size and time as before is still read again on 401."""
    file = tmp_path / "token"
    file.write_text(_token(celonis))
    before = file.stat()
    with Celonis(celonis.url, auth=TokenFile(file)) as connection:
        connection.pools()
        celonis.expire_tokens()
        file.write_text(_token(celonis))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        connection.pools()


@pytest.mark.parametrize(
    "content", [None, b"", b"two words", b"Bearer x", b"\xff\xfe\x00", b"x" * 10**6]
)
def test_a_token_file_without_a_token(tmp_path: Path, celonis: Any, content: bytes | None) -> None:
    """Missing, empty or something else: an error that names the file, not its content."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with (
        Celonis(celonis.url, auth=TokenFile(file)) as connection,
        pytest.raises((ConfigError, AuthenticationError)) as caught,
    ):
        connection.pools()
    assert "two words" not in str(caught.value)
    assert str(file) in str(caught.value) or isinstance(caught.value, AuthenticationError)


# The token endpoint by itself


def _request(celonis: Any, data: Any, **options: Any) -> requests.Response:
    return requests.post(f"{celonis.url}/oauth2/token", data=data, timeout=30, **options)


def test_the_token_endpoint_follows_the_rfc(celonis: Any) -> None:
    """Shapes, statuses and headers of RFC 6749, sections 5.1 and 5.2."""
    client_id, secret = celonis.oauth_client
    good = {"grant_type": "client_credentials"}
    response = _request(celonis, good, auth=celonis.oauth_client)
    assert response.headers["cache-control"] == "no-store"
    assert response.json() | {"access_token": ""} == {
        "access_token": "", "token_type": "Bearer", "expires_in": 900, "scope": " ".join(ALL),
    }  # fmt: skip
    shown = good | {"client_id": client_id, "client_secret": secret}
    assert _request(celonis, shown | {"scope": DATA_PUSH}).json()["scope"] == DATA_PUSH
    for data, options, status, code in (
        (good, {}, 401, "invalid_client"),
        (good, {"auth": (client_id, "x")}, 401, "invalid_client"),
        (good, {"headers": {"Authorization": "Basic ???"}}, 401, "invalid_client"),
        (shown, {"auth": celonis.oauth_client}, 400, "invalid_request"),
        (shown | {"grant_type": "password"}, {}, 400, "unsupported_grant_type"),
        (shown | {"scope": "x"}, {}, 400, "invalid_scope"),
        ([*shown.items(), ("scope", "a"), ("scope", "b")], {}, 400, "invalid_request"),
        (b"\xff=\xfe", {"headers": {"Content-Type": FORM}}, 400, "invalid_request"),
        (b"{}", {"headers": {"Content-Type": "application/json"}}, 400, "invalid_request"),
    ):  # fmt: skip
        response = _request(celonis, data, **options)
        assert (response.status_code, response.json()["error"]) == (status, code)
        assert ("www-authenticate" in response.headers) == (
            status == 401 and "Authorization" in response.request.headers
        )
    assert _request(celonis, b"x" * 100_000).status_code == 413


def test_tokens_expire_and_are_bounded() -> None:
    """To the second; and endless token requests do not fill the memory."""
    clock = _Clock()
    tokens = TokenIssuer(seconds=60, clock=clock)
    pair = base64.b64encode(f"{tokens.client_id}:{tokens.client_secret}".encode()).decode()

    def fetch() -> str:
        return str(
            tokens.grant(b"grant_type=client_credentials", FORM, f"Basic {pair}")["access_token"]
        )

    first = fetch()
    clock.now += 59.9
    assert tokens.scopes(first) == set(ALL)
    clock.now += 0.1
    assert tokens.scopes(first) is None
    last = [fetch() for _ in range(1_500)][-1]
    assert tokens.scopes(last)
    assert len(tokens._tokens) == 1_000


def test_an_access_token_is_a_bearer_only(celonis: Any) -> None:
    """Neither bare, nor as AppKey, nor in the URL."""
    token = _token(celonis)
    url = f"{celonis.url}/integration/api/pools"
    for header in (token, f"AppKey {token}", f"bearer{token}", ""):
        response = requests.get(f"{url}?access_token={token}",
                              headers={"Authorization": header}, timeout=30)  # fmt: skip
        assert response.status_code == 401
    good = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert good.status_code == 200


def test_importing_does_not_load_the_oauth_library() -> None:
    """It is imported by OAuth2 only, and the HTTP server not at all."""
    code = "import sys, celonis_frames; print(sorted({'oauthlib', 'uvicorn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def slow_transport(celonis: Any) -> Callable[[], Transport]:
    """A connection that waits a moment only."""
    return lambda: Transport(
        celonis.url, OAuth2(*celonis.oauth_client, scopes=SCOPES), timeouts=Timeouts(2.0, 0.2)
    )


def test_the_token_request_has_the_connections_timeouts(
    celonis: Any, slow_transport: Callable[[], Transport]
) -> None:
    """A token endpoint that hangs does not hang the push."""
    celonis.faults.delay("token", 1.0)
    with pytest.raises(ApiTimeoutError, match="oauth2/token"):
        DataPushApi(slow_transport()).pools()
