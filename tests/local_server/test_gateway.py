"""The Data Ingestion API of the local Celonis: what its gateway stores, and what becomes of it."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
import requests
from botocore.exceptions import ClientError
from gateway_client import GatewayClient, file

from celonis_frames import local
from celonis_frames.exceptions import ConfigError

POOL = "Purchasing"
EVENTS = {"keys": ["CASE_ID"], "age": "CHANGED_AT"}


@pytest.fixture
def gateway() -> Iterator[GatewayClient]:
    """A new local Celonis with a connection, and calls to it."""
    with local.start(limits=False) as celonis:
        keys = celonis.ingestion(POOL, {"EVENTS": EVENTS, "LOG": None})
        yield GatewayClient(celonis, keys)


def _rows(gateway: GatewayClient, table: str) -> list[dict[str, Any]]:
    gateway.celonis.wait_ingested()
    rows = gateway.celonis.table(POOL, table, connection="Push data").to_pylist()
    return sorted(rows, key=repr)


def test_boto_stores_an_object_and_its_rows_are_in_the_table(gateway: GatewayClient) -> None:
    """With an ETag; the list of tables shows the table, its connection and its rows."""
    body = file(pa.table({"CASE_ID": [1, 2], "CHANGED_AT": [1, 1]}))
    keys = gateway.keys
    key = gateway.key("EVENTS", "a.parquet")
    response = gateway.s3().put_object(Bucket=keys.bucket, Key=key, Body=body)
    assert response["ETag"].strip('"')
    assert [row["CASE_ID"] for row in _rows(gateway, "EVENTS")] == [1, 2]
    (item,) = gateway.celonis.objects
    assert (item["key"], item["table"], item["rows"], item["bytes"], item["state"]) == (
        key, "EVENTS", 2, len(body), "INGESTED",
    )  # fmt: skip
    url = f"{gateway.celonis.url}/integration/api/pools/{POOL}/tables"
    key_header = {"Authorization": f"Bearer {gateway.celonis.token}"}
    (table,) = requests.get(url, headers=key_header, timeout=30).json()
    assert (table["name"], table["dataSourceId"], table["rowCount"]) == (
        "EVENTS", keys.connection, 2,
    )  # fmt: skip


def test_every_other_call_is_denied(gateway: GatewayClient) -> None:
    """Also of what is there: a HEAD, a GET, a list, a delete and a multipart upload are 403."""
    s3, bucket = gateway.s3(), gateway.keys.bucket
    key = gateway.key("LOG", "a.parquet")
    s3.put_object(Bucket=bucket, Key=key, Body=file(pa.table({"A": [1]})))
    for call in (
        lambda: s3.head_object(Bucket=bucket, Key=key),
        lambda: s3.get_object(Bucket=bucket, Key=key),
        lambda: s3.delete_object(Bucket=bucket, Key=key),
        lambda: s3.list_objects_v2(Bucket=bucket),
        s3.list_buckets,
        lambda: s3.create_multipart_upload(Bucket=bucket, Key=key),
        lambda: s3.upload_part(Bucket=bucket, Key=key, PartNumber=1, UploadId="1", Body=b""),
        lambda: s3.put_object_acl(Bucket=bucket, Key=key, ACL="private"),
        lambda: s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/{key}"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert len(gateway.celonis.objects) == 1


def test_a_row_is_applied_if_its_age_is_not_less(gateway: GatewayClient) -> None:
    """Older rows change nothing, rows of the same age replace; without keys all rows are kept."""
    for name, rows in {
        "1": {"CASE_ID": [1, 2, 3], "CHANGED_AT": [5, 5, 5], "V": ["a", "a", "a"]},
        "2": {"CASE_ID": [1, 2, 3], "CHANGED_AT": [4, 5, 6], "V": ["b", "b", "b"]},
    }.items():
        gateway.put_rows("EVENTS", name, pa.table(rows))
        gateway.put_rows("LOG", name, pa.table(rows))
    assert [(row["CASE_ID"], row["V"]) for row in _rows(gateway, "EVENTS")] == [
        (1, "a"), (2, "b"), (3, "b"),
    ]  # fmt: skip
    assert len(_rows(gateway, "LOG")) == 6


FAILURES: dict[str, tuple[str, bytes, str]] = {
    "not Parquet": ("EVENTS", b"PAR1", "not a readable Parquet file"),
    "empty": ("EVENTS", b"", "not a readable Parquet file"),
    "no key": ("EVENTS", file(pa.table({"CHANGED_AT": [1]})), "key column: CASE_ID"),
    "no age": ("EVENTS", file(pa.table({"CASE_ID": [1]})), "age column: CHANGED_AT"),
    "compressed": ("LOG", file(pa.table({"A": [1]}), compression="snappy"), "codec SNAPPY"),
    "nested": ("LOG", file(pa.table({"A": [[1]]})), "nested"),
    "another type": ("LOG", file(pa.table({"A": ["x"]})), "INTEGER in the table"),
    "unknown table": ("NONE", file(pa.table({"A": [1]})), "no table NONE"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_object_that_cannot_be_ingested_fails(gateway: GatewayClient, failure: str) -> None:
    """It is stored all the same; the reason is listed, and the objects behind it are ingested."""
    table, body, reason = FAILURES[failure]
    gateway.put_rows("LOG", "first", pa.table({"A": [1]}))
    assert gateway.put(table, "bad", body).status_code == 200
    gateway.put_rows("LOG", "last", pa.table({"A": [2]}))
    assert _rows(gateway, "LOG") == [{"A": 1}, {"A": 2}]
    (failed,) = (item for item in gateway.celonis.objects if item["state"] == "FAILED")
    assert reason in failed["reason"]
    assert failed["key"] == gateway.key(table, "bad")


ROW = file(pa.table({"A": [1]}))


def test_the_same_bytes_are_one_object_and_others_one_more(gateway: GatewayClient) -> None:
    """At one key: a repeated call stores nothing, other bytes are ingested after the first."""
    other = file(pa.table({"A": [2]}))
    for body in (ROW, ROW, other, other, ROW):
        assert gateway.put("LOG", "a", body).status_code == 200
    assert [row["A"] for row in _rows(gateway, "LOG")] == [1, 1, 2]
    assert len(gateway.celonis.objects) == 3


REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "a copy": ({"x-amz-copy-source": "/a/b"}, 403, "AccessDenied"),
    "aws-chunked": ({"Content-Encoding": "aws-chunked"}, 501, "NotImplemented"),
    "signed parts": (
        {"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, 501, "NotImplemented",
    ),
    "a checksum in a trailer": ({"x-amz-trailer": "x-amz-checksum-crc32"}, 501, "NotImplemented"),
    "a checksum in a header": ({"x-amz-checksum-crc32": "AAAAAA=="}, 501, "NotImplemented"),
    "a condition": ({"If-None-Match": "*"}, 501, "NotImplemented"),
    "an access list": ({"x-amz-acl": "private"}, 501, "NotImplemented"),
    "no digest": ({"X-Amz-Content-SHA256": "abc"}, 400, "InvalidArgument"),
    "no MD5": ({"Content-MD5": "abc"}, 400, "InvalidDigest"),
    "another MD5": ({"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, 400, "BadDigest"),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED)
def test_what_is_not_implemented_is_refused(gateway: GatewayClient, refused: str) -> None:
    """Rather than ignored: a client must not believe that a condition or a checksum held."""
    headers, status, code = REFUSED[refused]
    response = gateway.put("LOG", "a", ROW, headers=headers)
    assert response.status_code == status
    assert f"<Code>{code}</Code>" in response.text
    assert gateway.celonis.objects == []


def test_an_unsigned_payload_metadata_and_an_md5_are_taken(gateway: GatewayClient) -> None:
    """As SDKs send them."""
    md5 = base64.b64encode(hashlib.md5(ROW, usedforsecurity=False).digest()).decode()
    headers = {
        "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "Content-MD5": md5, "x-amz-meta-a": "1",
    }  # fmt: skip
    response = gateway.put("LOG", "a", ROW, headers=headers)
    assert response.status_code == 200
    assert response.headers["ETag"] == f'"{base64.b64decode(md5).hex()}"'
    assert gateway.put("LOG", "a?x-id=PutObject", ROW).status_code == 200
    assert len(gateway.celonis.objects) == 2


def _places(gateway: GatewayClient) -> dict[str, tuple[str, str]]:
    """Paths that the keys do not open, with the code for each."""
    start = "/api/data-ingestion"
    mine = f"connection/{gateway.keys.connection}"
    bucket = f"{start}/{gateway.keys.bucket}"
    other = gateway.celonis.ingestion("Other", {"LOG": {}}).connection
    return {
        f"{start}/other/{mine}/LOG/a": ("NoSuchBucket", "another bucket"),
        f"{bucket}/connection/{other}/LOG/a": ("AccessDenied", "another connection"),
        f"{bucket}/{mine}/a": ("AccessDenied", "no table"),
        f"{bucket}/{mine}/LOG/": ("AccessDenied", "no file"),
        f"{bucket}/{mine}//a": ("AccessDenied", "an empty table"),
        f"{bucket}/a": ("AccessDenied", "no connection"),
        bucket: ("AccessDenied", "no key"),
        start: ("AccessDenied", "no bucket"),
        f"/api/{bucket.removeprefix('/api')}/{mine}/LOG/a": ("AccessDenied", "two slashes"),
        f"{bucket}/{mine}/LOG/{'a' * 1024}": ("KeyTooLongError", "a long key"),
        f"{bucket}/{mine}/LOG/%FF": ("InvalidArgument", "no UTF-8"),
    }


def test_the_keys_open_their_connection_only(gateway: GatewayClient) -> None:
    """Everything else is an error of S3, and stores nothing."""
    for path, (code, place) in _places(gateway).items():
        response = gateway.send(gateway.signed(path, ROW))
        assert f"<Code>{code}</Code>" in response.text, place
    assert gateway.celonis.objects == []


def test_an_object_has_a_length_and_not_too_much_of_it() -> None:
    """411 without a length; EntityTooLarge names the limit, before the body is sent."""
    with local.start(max_chunk_bytes=1_000) as celonis:
        gateway = GatewayClient(celonis, celonis.ingestion(POOL, {"LOG": {}}))
        assert gateway.put("LOG", "a", b"x" * 1_000).status_code == 200
        response = gateway.put("LOG", "b", b"x" * 1_001)
        assert response.status_code == 400
        assert "<Code>EntityTooLarge</Code>" in response.text
        assert "<MaxSizeAllowed>1000</MaxSizeAllowed>" in response.text
        request = gateway.signed(gateway.path("LOG", "c"), b"x")
        chunked = requests.put(
            request.url, data=iter([b"x"]), headers=dict(request.headers), timeout=30
        )
        assert chunked.status_code == 411
        assert "<Code>MissingContentLength</Code>" in chunked.text
        assert len(celonis.objects) == 1
        celonis.wait_ingested()
        assert len(list((celonis._catalog.folder / "objects").iterdir())) == 1


def test_the_lenient_gateway_answers_head_and_takes_compressed_files() -> None:
    """The size and ETag of what was stored; 404 for what was not."""
    with local.start(lenient=True, limits=False) as celonis:
        gateway = GatewayClient(celonis, celonis.ingestion(POOL, {"LOG": {}}))
        body = file(pa.table({"A": [1]}), compression="zstd")
        s3, key = gateway.s3(), gateway.key("LOG", "a")
        where = {"Bucket": gateway.keys.bucket, "Key": key}
        with pytest.raises(ClientError) as caught:
            s3.head_object(**where)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        tag = s3.put_object(**where, Body=body)["ETag"]
        found = s3.head_object(**where)
        assert (found["ContentLength"], found["ETag"]) == (len(body), tag)
        assert _rows(gateway, "LOG") == [{"A": 1}]


def test_objects_wait_for_the_delay_and_keep_their_order(gateway: GatewayClient) -> None:
    """Those of one connection; another connection does not wait for them."""
    slow = gateway.celonis.ingestion(POOL, {"T": {"keys": ["K"]}}, name="Slow", delay=3600.0)
    other = GatewayClient(gateway.celonis, slow)
    for number in range(3):
        other.put_rows("T", str(number), pa.table({"K": [1], "V": [number]}))
    gateway.put_rows("LOG", "fast", pa.table({"A": [1]}))
    while gateway.states()["fast"] == "PENDING":
        time.sleep(0.01)
    assert other.states() == dict.fromkeys("012", "PENDING") | {"fast": "INGESTED"}
    with pytest.raises(TimeoutError, match=r"T/0.*T/1.*T/2"):
        gateway.celonis.wait_ingested(timeout=0.01)
    again = gateway.celonis.ingestion(POOL, name="Slow")
    assert again == slow
    gateway.celonis.wait_ingested()
    assert gateway.celonis.table(POOL, "T", connection="Slow").to_pylist() == [{"K": 1, "V": 2}]


def test_a_failed_object_is_replayed_after_its_table_was_mended(gateway: GatewayClient) -> None:
    """It is ingested after those that wait; a key that has not failed is an error."""
    gateway.put_rows("NEW", "a", pa.table({"A": [1]}))
    gateway.put_rows("NEW", "b", pa.table({"A": [2]}))
    gateway.put_rows("LOG", "c", pa.table({"A": [3]}))
    gateway.celonis.wait_ingested()
    assert gateway.states() == {"a": "FAILED", "b": "FAILED", "c": "INGESTED"}
    for key in (gateway.key("LOG", "c"), "nothing"):
        with pytest.raises(KeyError, match=r"NEW/a.*NEW/b"):
            gateway.celonis.replay(key)
    gateway.celonis.ingestion(POOL, {"NEW": {"target": "LOG"}})
    assert gateway.celonis.replay(gateway.key("NEW", "b")) == 1
    assert _rows(gateway, "LOG") == [{"A": 2}, {"A": 3}]
    assert gateway.celonis.replay() == 1
    assert gateway.celonis.replay() == 0
    assert _rows(gateway, "LOG") == [{"A": 1}, {"A": 2}, {"A": 3}]


def test_columns_come_and_go_and_times_are_read(gateway: GatewayClient) -> None:
    """A new column is added, a missing one is null; three kinds of timestamps are one type."""
    at = datetime(2024, 5, 17, 12, 0, 0, 1000)
    for number, options in enumerate((
        {"use_deprecated_int96_timestamps": True},
        {"coerce_timestamps": "ms"},
        {"coerce_timestamps": "us", "data_page_version": "2.0"},
    )):  # fmt: skip
        table = pa.table({"N": [number], "T": pa.array([at], pa.timestamp("us"))})
        gateway.put_rows("LOG", str(number), table, **options)
    gateway.put_rows("LOG", "new", pa.table({"N": [3], "S": ["x" * 500]}))
    rows = _rows(gateway, "LOG")
    assert rows == [
        *({"N": number, "T": at, "S": None} for number in range(3)),
        {"N": 3, "T": None, "S": "x" * 500},
    ]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ("EVENTS", "tables='EVENTS' must be the tables"),
        ({"": {}}, "no name of a table"),
        ({"T": ["K"]}, "is given as"),
        ({"T": {"key": ["K"]}}, "Did you mean 'keys'"),
        ({"T": {"keys": 1}}, "must be column names"),
        ({"T": {"keys": ["K", "k"]}}, "key column twice"),
        ({"T": {"keys": [""]}}, "no name of a column"),
        ({"T": {"age": "A"}}, "needs keys"),
        ({"T": {"keys": "K", "age": 1}}, "no name of a column"),
        ({"T": {"target": "a\nb"}}, "no name of a table"),
    ],
)
def test_tables_that_cannot_be_are_errors(tables: Any, words: str) -> None:
    """The error says what; nothing is set up."""
    with local.start() as celonis:
        with pytest.raises(ConfigError, match=re.escape(words)):
            celonis.ingestion(POOL, tables)
        with pytest.raises(ConfigError, match="delay"):
            celonis.ingestion(POOL, delay=-1.0)
        assert celonis._catalog.pools() == []


def test_an_internal_error_is_one_of_s3(
    gateway: GatewayClient, caplog: pytest.LogCaptureFixture
) -> None:
    """With a status on which clients try again, and without the path of a file; it is logged."""
    shutil.rmtree(gateway.celonis._catalog.folder / "objects")
    response = gateway.put("LOG", "a", ROW)
    assert response.status_code == 500
    assert "<Code>InternalError</Code>" in response.text
    assert str(gateway.celonis._catalog.folder) not in response.text
    (record,) = caplog.records
    assert response.headers["x-amz-request-id"] in record.getMessage()
    assert gateway.celonis.objects == []
