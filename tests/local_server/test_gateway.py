"""The Data Ingestion API of the local Celonis: what its gateway stores, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import requests
from botocore.exceptions import ClientError
from gateway_client import GatewayClient, file

from celonis_frames import local

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
