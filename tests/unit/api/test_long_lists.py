"""Lists of very many jobs, of which other clients of the team made most."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from celonis_frames._api.client import DataPushApi
from celonis_frames._http.responses import MAX_RESPONSE_BYTES
from celonis_frames._jobs.delivery import Delivery
from celonis_frames._jobs.job_destination import JobDestination
from celonis_frames._jobs.machine import DeliveryMachine
from celonis_frames._jobs.polling import wait_for_all
from unit.conftest import POOL, Server

COUNT = 100_000
_MARK = {"targetName": "T", "type": "DELTA", "connectionId": None, "fallbackVarcharLength": 20_017}
_COLUMNS = [{"columnName": "N" * 600, "columnType": "STRING", "fieldLength": 320}]


def _send_jobs(handler: Any) -> None:
    """Sends 100,000 jobs, more bytes than a response may have that is held; the last are ours."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    shared = json.dumps(
        {"status": "DONE", "tableSchema": {"columns": _COLUMNS}, **_MARK, "id": "?"}
    )
    ours, other = shared.replace('"DONE"', '"NEW"'), shared.replace("20017", "17")
    sent = 0
    for start in range(0, COUNT, 1_000):
        jobs = [
            (ours if number >= COUNT - 2 else other).replace('"?"', f'"j-{number}"')
            for number in range(start, start + 1_000)
        ]
        part = f"{',' if start else '['}{','.join(jobs)}".encode()
        sent += len(part)
        handler.wfile.write(part)
    handler.wfile.write(b"]")
    assert sent > MAX_RESPONSE_BYTES


def test_a_list_of_100_000_jobs_is_read_as_it_arrives(scripted: Server, api: DataPushApi) -> None:
    """Its length is no limit, also if no entry can be left out."""
    scripted.answers = [_send_jobs]
    jobs = api.jobs(POOL)
    assert [len(jobs), jobs[0].id, jobs[-1].id] == [COUNT, "j-0", f"j-{COUNT - 1}"]


@pytest.mark.slow
def test_ours_are_found_among_100_000_jobs(scripted: Server, api: DataPushApi) -> None:
    """By their mark, as after a creation without a response: the others are not held."""
    scripted.answers = [_send_jobs]
    delivery = Delivery(POOL, _MARK, lambda _: (), workers=1)
    destination = JobDestination(api, delivery, DeliveryMachine(uploads=1))
    tracemalloc.start()
    try:
        found = destination._marked(api)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [job.id for job in found] == [f"j-{COUNT - 2}", f"j-{COUNT - 1}"]
    assert peak < 4_000_000


def test_jobs_are_polled_among_100_000(scripted: Server, api: DataPushApi) -> None:
    """The list is read once for all of them; none is read by its id."""
    scripted.answers = [_send_jobs]
    found = wait_for_all(api, POOL, ["j-5", "j-90000"])
    assert [job.state for job in found.values()] == ["DONE", "DONE"]
    assert len(scripted.seen) == 1
