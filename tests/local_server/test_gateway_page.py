"""The page's part on the Data Ingestion API: what it shows, and who may press its button."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pyarrow as pa
import pytest
import requests
from gateway_client import GatewayClient, file

from celonis_frames import local

HOSTILE = "<script>alert('1')</script>"


@pytest.fixture
def gateway() -> Iterator[GatewayClient]:
    """A local Celonis with an object that has failed."""
    with local.start(limits=False) as celonis:
        keys = celonis.ingestion("P", {"T": {"keys": ["K"], "target": "EVENTS"}}, name=HOSTILE)
        gateway = GatewayClient(celonis, keys)
        celonis.faults.fail_objects("disk full")
        gateway.put_rows("T", f"{HOSTILE.replace('/', '')}.parquet", pa.table({"K": [1]}))
        celonis.wait_ingested()
        yield gateway


def _form(gateway: GatewayClient) -> dict[str, str]:
    page = requests.get(gateway.celonis.url, timeout=30).text
    (form,) = re.findall(r"<form method='post' action='/replay'>.*?</form>", page)
    fields = re.findall(r"<input type='hidden' name='(\w+)' value='([^']*)'>", form)
    return {name: html.unescape(value) for name, value in fields}


def test_the_page_shows_connections_and_failed_objects(gateway: GatewayClient) -> None:
    """With their reasons; every value is escaped, and no key is shown."""
    page = requests.get(gateway.celonis.url, timeout=30).text
    for text in ("disk full", "1 FAILED", html.escape(HOSTILE), "EVENTS", gateway.keys.connection):
        assert text in page
    assert "<script" not in page
    assert gateway.keys.secret_key.reveal() not in page
    assert gateway.keys.access_key.reveal() not in page


def test_the_button_replays_the_object(gateway: GatewayClient) -> None:
    """And leads back to the page, which has no button then."""
    url = f"{gateway.celonis.url}/replay"
    response = requests.post(url, data=_form(gateway), timeout=30)
    assert [each.status_code for each in response.history] == [303]
    assert "Local Celonis" in response.text
    gateway.celonis.wait_ingested()
    assert [item["state"] for item in gateway.celonis.objects] == ["INGESTED"]
    assert gateway.celonis.table("P", "EVENTS", connection=HOSTILE).num_rows == 1
    assert "<form" not in requests.get(gateway.celonis.url, timeout=30).text


def test_no_other_page_can_press_the_button(gateway: GatewayClient) -> None:
    """Without the page's token, under another host name, or by GET, nothing is replayed."""
    url, form = f"{gateway.celonis.url}/replay", _form(gateway)
    for changed in ({}, {"token": ""}, {"token": "ü"}, {"token": form["token"] + "x"}):
        sent = {"object": form["object"]} | changed
        assert requests.post(url, data=sent, timeout=30).status_code == 403
    other = {"Host": "evil.example"}
    assert requests.post(url, data=form, headers=other, timeout=30).status_code == 403
    assert requests.get(url, params=form, timeout=30).status_code == 405
    assert requests.post(url, data=b"x" * 10_000_000, timeout=30).status_code == 413
    assert [item["state"] for item in gateway.celonis.objects] == ["FAILED"]
    policy = requests.get(gateway.celonis.url, timeout=30).headers["Content-Security-Policy"]
    assert {"form-action 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))


def test_a_connection_without_objects_is_shown() -> None:
    """Also one without tables, which takes objects only to let them fail."""
    with local.start(limits=False) as celonis:
        keys = celonis.ingestion("P")
        celonis.add_connection("P", "No objects")
        page = requests.get(celonis.url, timeout=30).text
        assert page.count("Push data into Celonis") == 1
        gateway = GatewayClient(celonis, keys)
        assert gateway.put("T", "a", file(pa.table({"A": [1]}))).status_code == 200
        celonis.wait_ingested()
        assert gateway.states() == {"a": "FAILED"}
