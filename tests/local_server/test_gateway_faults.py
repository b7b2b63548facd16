"""The faults of the local Celonis on calls of its gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
import requests
from botocore.exceptions import ClientError
from gateway_client import GatewayClient, file

from celonis_frames import local

BODY = file(pa.table({"A": [1]}))


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A local Celonis for this module."""
    with local.start(limits=False) as celonis:
        yield celonis


@pytest.fixture
def gateway(server: Any, request: pytest.FixtureRequest) -> Iterator[GatewayClient]:
    """Calls to a connection of the test's own, without faults at the start."""
    keys = server.ingestion("P", {"T": {}}, name=request.node.name)
    yield GatewayClient(server, keys)
    server.faults.clear()


def _stored(gateway: GatewayClient) -> int:
    gateway.celonis.wait_ingested()
    mine = f"/{gateway.keys.connection}/"
    return sum(mine in item["key"] for item in gateway.celonis.objects)


def _drop(when: Any) -> Any:
    return lambda faults: faults.drop("put", when=when, late_seconds=0.0)


def _stall(when: Any) -> Any:
    return lambda faults: faults.stall("put", when=when, seconds=0.1)


FAULTS: dict[str, tuple[Any, bool, int]] = {
    "dropped before": (_drop("before"), False, 0),
    "dropped in the body": (_drop("body"), False, 0),
    "stored, but no response": (_drop("after"), False, 1),
    "stored late": (_drop("late"), False, 1),
    "silent": (_stall("before"), False, 0),
    "stored, then silent": (_stall("after"), True, 1),
    "slow": (lambda faults: faults.drip("put", 0.1), True, 1),
    "processed twice": (lambda faults: faults.repeat("put"), True, 1),
    "an informational response": (lambda faults: faults.inform("put", 100), True, 1),
    "a response that is too short": (lambda faults: faults.garble("put", "cut"), False, 1),
    "a web page": (lambda faults: faults.garble("put", "html", carry_out=False), True, 0),
    "delayed": (lambda faults: faults.delay("put", 0.1), True, 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_hits_a_put(gateway: GatewayClient, fault: str) -> None:
    """As any other call: with or without a response of status 200, stored or not."""
    set_up, has_response, stored = FAULTS[fault]
    found = set_up(gateway.celonis.faults)
    if has_response:
        assert gateway.put("T", "a", BODY).status_code == 200
    else:
        with pytest.raises(requests.RequestException):
            gateway.put("T", "a", BODY)
    while found is not None and found.over < 1:
        pass
    assert _stored(gateway) == stored
    assert gateway.put("T", "a", BODY).status_code == 200
    assert _stored(gateway) == 1  # what is stored again is one object
    rows = gateway.celonis.table("P", "T", connection=gateway.keys.connection)
    assert rows.num_rows == 1


def test_connections_are_refused_after_a_put(gateway: GatewayClient) -> None:
    """That one is stored."""
    gateway.celonis.faults.refuse(30.0, following="put")
    assert gateway.put("T", "a", BODY).status_code == 200
    with pytest.raises(requests.ConnectionError):
        gateway.put("T", "b", BODY)
    gateway.celonis.faults.clear()
    assert _stored(gateway) == 1


@pytest.mark.parametrize("carry_out", [False, True])
def test_slow_down_is_that_of_s3(gateway: GatewayClient, carry_out: bool) -> None:
    """503 with a code in XML, so that SDKs know it; stored if it was carried out."""
    gateway.celonis.faults.slow_down(carry_out=carry_out, times=2)
    response = gateway.put("T", "a", BODY)
    assert response.status_code == 503
    assert ET.fromstring(response.content).findtext("Code") == "SlowDown"  # noqa: S314
    with pytest.raises(ClientError) as caught:
        gateway.s3().put_object(Bucket=gateway.keys.bucket, Key=gateway.key("T", "a"), Body=BODY)
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    assert _stored(gateway) == carry_out


def test_botocore_tries_again_after_slow_down(gateway: GatewayClient) -> None:
    """Its retries store the object once, though the first try had stored it too."""
    gateway.celonis.faults.slow_down(carry_out=True)
    s3 = gateway.s3(retries={"max_attempts": 1})
    s3.put_object(Bucket=gateway.keys.bucket, Key=gateway.key("T", "a"), Body=BODY)
    assert _stored(gateway) == 1


def test_objects_fail_as_often_as_they_should(gateway: GatewayClient) -> None:
    """With the reason that a test gives; a replay is one more ingestion."""
    gateway.celonis.faults.fail_objects("disk full", times=2)
    assert gateway.put("T", "a", BODY).status_code == 200
    key = gateway.key("T", "a")
    for state, reason in (("FAILED", "disk full"), ("FAILED", "disk full"), ("INGESTED", None)):
        assert _stored(gateway) == 1
        (item,) = (one for one in gateway.celonis.objects if one["key"] == key)
        assert (item["state"], item["reason"]) == (state, reason)
        with contextlib.suppress(KeyError):
            gateway.celonis.replay(key)
