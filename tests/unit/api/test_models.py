"""Readers of responses, with anything that a server may send."""

from __future__ import annotations

import functools
import html
import json
import time
import tracemalloc
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from celonis_frames import ApiKey, OAuth2
from celonis_frames._api import data_models, models
from celonis_frames._api.calls import url_path
from celonis_frames._auth.oauth2 import _token_error
from celonis_frames._http.json_items import ItemReader
from celonis_frames._http.messages import RawResponse, Request
from celonis_frames._http.redaction import redact
from celonis_frames._http.responses import Response
from celonis_frames._http.status_errors import status_error
from celonis_frames._push.status import PushStatus
from celonis_frames.exceptions import ApiStatusError, ConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ("id", "name", "status", "logs", "keys", "targetName", "type", "fileType", "dataPoolId",
          "connectionId", "creationDate", "checksum", "dataSourceId", "length", "tables", "alias",
          "currentExecutionId", "message", "loadInfo", "loadStatus", "dataLoadId", "startDate",
          "endDate", "tableLoads", "tableName", "currentComputeLoad", "liveDataModel")  # fmt: skip
STATES = st.sampled_from(
    ["NEW", "queued", "RUNNING", "DONE", "CANCELLED", "ERROR", "SUCCESS", "WARNING", "FAIL"]
)
ITEMS = JSON | st.fixed_dictionaries(
    {"id": st.text(min_size=1)}, optional=dict.fromkeys(FIELDS[1:], JSON | STATES)
)
READERS = {
    "job": lambda response, item: models.read_job(response, item, "p"),
    "checksum": models.read_checksum,
    "pool": models.read_pool,
    "connection": models.read_connection,
    "table": models.read_table,
    "column": models.read_column,
    "data model": data_models.read_data_model,
    "data job": data_models.read_data_job,
    "load": data_models.read_load,
}


def _response(content: bytes) -> Response:
    return Response(200, content, Request("GET", "https://team.eu-1.celonis.cloud/x"))


def _check_shown(error: ApiStatusError) -> None:
    assert str(error).isprintable()
    assert len(error.body) <= 200


@pytest.mark.sampled(3)
@pytest.mark.parametrize("reader", READERS)
@given(item=ITEMS)
def test_any_response_is_a_record_or_an_api_error(reader: str, item: Any) -> None:
    """Fields of any type and value: a record that can be shown and used, or ApiStatusError."""
    response = _response(json.dumps(item).encode())
    try:
        found = READERS[reader](response, response.json())
    except ApiStatusError as error:
        _check_shown(error)
        return
    str(found).encode()
    if hasattr(found, "id"):
        try:
            path = url_path("{}", found.id)
        except ConfigError:
            path = ""  # a dot segment: rejected, never sent
        assert "/" not in path
        assert path not in (".", "..")
    if reader == "job":
        status = PushStatus(None, found)
        for text in (repr(status), status._repr_html_(), str(status.to_dict()), *status.logs):
            text.encode()
            assert "\x1b" not in text
            assert "\x00" not in text


@given(
    content=st.binary()
    | st.text().map(str.encode)
    | JSON.map(lambda v: json.dumps(v)[:-1].encode())
)
def test_any_bytes_are_json_or_an_api_error(content: bytes) -> None:
    """A response that is not JSON is an ApiStatusError with a short, printable text."""
    try:
        found = _response(content).json()
    except ApiStatusError as error:
        _check_shown(error)
    else:
        assert repr(found) == repr(json.loads(content))


@given(
    content=st.binary()
    | JSON.map(lambda value: json.dumps({"errors": value, "error": value}).encode()),
    status=st.integers(400, 599),
    header=st.text(),
)
def test_any_error_response_is_an_api_error(content: bytes, status: int, header: str) -> None:
    """Any body, status and waiting time, from the API and from the token endpoint."""
    raw = RawResponse(Request("GET", "u"), status, {"Retry-After": header}, content)
    for error in (status_error(raw, ApiKey("key")), _token_error(raw, OAuth2("id", "secret"))):
        assert error.status_code == status
        assert len(error.body) <= 500
        assert error.body.isprintable()
        assert len(str(error)) < 2_000


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40)


@given(secret=SECRETS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_secret_is_masked_however_it_is_escaped(secret: str, before: str, after: str) -> None:
    """As it is, in JSON, in HTML, in a URL, in Python's quotes, in two at once."""
    assume(secret.strip("*"))  # what hides it is made of stars
    ways = (str, lambda t: json.dumps(t)[1:-1], html.escape, lambda t: quote(t, safe=""), repr)
    for inner in ways:
        for outer in ways:
            shown = outer(inner(secret))
            if inner is repr or outer is repr:
                continue  # Python's quotes depend on the neighbours; below
            content = f"{before} {shown} {after}".encode("utf-8", "replace")
            left = redact(content, [secret])
            assert shown.encode() not in left, (inner, outer)
            assert b"********" in left
    whole = repr({"Authorization": f"Bearer {secret}"}).encode()
    assert redact(whole, [secret]).endswith(b"********'}") or b"********" in redact(whole, [secret])


@given(
    secret=SECRETS,
    pieces=st.lists(
        st.sampled_from(["\\", "%5c", "%25", "&amp;", "&#45;", "a", "-", '"', "u002d"])
    ),
)
def test_a_secret_is_masked_between_anything(secret: str, pieces: list[str]) -> None:
    """Whatever stands before and after it, escapes among it."""
    assume(secret.strip("*"))
    around = "".join(pieces)
    for shown in (secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe="")):
        assert shown not in redact(f"{around}{shown}{around}".encode(), [secret]).decode()


@pytest.mark.parametrize(
    "secret",
    ["-bcDEF_ghi-123456", "\\" * 12 + "abc-def", "a-b-c-d-e-f-g", "%25%25%25%25abcde", "&amp;" * 8,
     "eyJhbGciOi.abc-def_" * 20, "------------"],
)  # fmt: skip
def test_the_search_for_secrets_is_linear(secret: str) -> None:
    """A hostile response costs about as much per byte as any other, also one that knows the key."""
    hostile = ["\\", "%25", "%5c", "&amp;", "a", "-", secret, secret[:-1], secret[1:],
               '{"id":"x","status":"DONE"},']  # fmt: skip
    for piece in hostile:
        content = (piece * (400_000 // len(piece) + 1)).encode()
        begin = time.process_time()
        redact(content, [secret])
        assert time.process_time() - begin < 1, piece


FOREIGN = [None, 7, "x", [], {}, {"id": None}, {"id": 7}, {"id": ""}, {"id": "a\nb"}, {"name": 5},
           {"id": "j", "status": 3}, {"id": "j", "status": "PAUSED"}, {"ID": "j"}]  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "ours"),
    [
        ("job", {"id": "j-1", "status": "DONE", "tableSchema": {"columns": []}}),
        ("pool", {"id": "p-1", "name": "P"}),
        ("connection", {"id": "c-1", "name": None}),
        ("table", {"name": "T", "rowCount": None, "columns": "?"}),
        ("column", {"name": "A", "type": "STRING", "length": "long"}),
    ],
)
def test_entries_of_others_do_not_hide_ours(reader: str, ours: dict[str, Any]) -> None:
    """Entries that are no objects, or without an id, a name or a known state, are skipped."""
    foreign = [entry for entry in FOREIGN if reader == "job" or not _names_something(entry)]
    response = _response(json.dumps([*foreign, ours, *foreign]).encode())
    (found,) = models.read_list(READERS[reader], response, response.json())
    assert found == READERS[reader](response, ours)


def _names_something(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("id") == "j"


def test_a_long_list_of_jobs_is_never_held_whole() -> None:
    """Of each job only the fields remain that are used, not the columns of its table."""
    columns = [{"columnName": f"C{i}", "columnType": "STRING", "fieldLength": 80} for i in range(9)]
    job = {"id": "j", "status": "DONE", "tableSchema": {"columns": columns}, "logs": []}
    content = json.dumps([{**job, "id": f"j-{number}"} for number in range(5_000)]).encode()
    tracemalloc.start()
    entries = models.Entries(READERS["job"])
    reader = ItemReader(functools.partial(entries.add, _response(b"")))
    try:
        reader.feed(content, last=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = entries.found
    assert [found[0].id, found[-1].id, len(found)] == ["j-0", "j-4999", 5_000]
    assert peak < 3 * len(content)


def test_control_characters_of_logs_reach_no_terminal() -> None:
    """An escape sequence in a job's log or name is shown as text."""
    line = "a\x1b[31mb\x00c\u202ed\te"
    item = {"id": "j", "status": "ERROR", "targetName": line, "logs": [line, {"x": "\x1b"}]}
    response = _response(json.dumps(item).encode())
    job = models.read_job(response, response.json(), "p")
    assert job.logs[0] == "a [31mb c d\te"
    assert job.table == "a [31mb c d\te"
    assert "\x1b" not in str(job.logs)


def test_half_a_character_does_no_harm() -> None:
    """A lone surrogate in a response is replaced, and the rest is read."""
    job = models.read_job(response := _response(b'{"id":"j","logs":["a\\ud800b \\ud83d\\ude00"]}'),
                            response.json(), "p")  # fmt: skip
    assert job.logs == ("a\ufffdb \U0001f600",)
