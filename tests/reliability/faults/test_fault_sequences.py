"""Consecutive faults: the call that follows one fault meets the next."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import matrix_cells
import pytest

from celonis_frames import ApiKey, Celonis, local
from celonis_frames._http.transport import Timeouts

SERIES: dict[str, Callable[[local.Faults], list[Any]]] = {
    "a stored chunk is looked for while the list fails": lambda faults: [
        faults.drop("upload", when="after", skip=1),
        faults.answer("chunks", 503, times=2),
    ],
    "every upload is stored without an answer, and every first look breaks": lambda faults: [
        faults.drop("upload", when="after", times=3),
        faults.drop("chunks", when="before", times=2),
        faults.garble("chunks", "cut"),
    ],
    "a lost upload is sent again and stored without an answer": lambda faults: [
        faults.drop("upload", when="before", skip=1),
        faults.drop("upload", when="after", skip=1),
    ],
    "the job's creation is lost, then not answered": lambda faults: [
        faults.drop("create", when="before"),
        faults.answer("create", 502, carry_out=True),
        faults.answer("jobs", 503),
    ],
    "a submission that was lost is accepted and answered 502": lambda faults: [
        faults.drop("execute", when="before"),
        faults.answer("execute", 502, carry_out=True),
        faults.drop("job", when="after"),
    ],
    "too many submissions, then another in the way": lambda faults: [
        faults.answer("execute", 429, headers={"Retry-After": "0.05"}, times=2),
        faults.answer("execute", 409),
    ],
    "each call breaks once": lambda faults: [
        faults.drop(route, when="after", reset=True)
        for route in ("create", "upload", "chunks", "execute", "job")
    ],
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", SERIES)
def test_a_push_survives_consecutive_faults(name: str, workers: int, faulty: Any) -> None:
    """All faults occur, the push is DONE, every row is in the table once, no job stays open."""
    pool = str(uuid.uuid4())
    faults = SERIES[name](faulty.faults)
    try:
        with Celonis(
            faulty.url, auth=ApiKey(faulty.token), timeouts=Timeouts(connect=20.0, read=20.0)
        ) as client:
            status = client.push(
                matrix_cells.frame(),
                pool,
                "T",
                upload={"chunk_bytes": f"{matrix_cells.CHUNK_BYTES} B", "workers": workers},
            )
    finally:
        faulty.faults.clear()
        states = [job["status"] for job in faulty._catalog.jobs(pool)]
        for job in faulty._catalog.jobs(pool):
            if job["status"] == "NEW":
                faulty._catalog.set_job(job["id"], "CANCELED")
    assert status.ok
    assert states.count("DONE") == 1
    assert set(states) <= {"DONE", "CANCELED"}
    assert faulty.table(pool, "T").sort_by("ROW") == matrix_cells.frame()
    assert all(fault.hits for fault in faults)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", ["create", "upload", "chunks", "execute"])
def test_retry_after_is_obeyed(
    call: str, status: int, faulty: Any, short_waits: list[float]
) -> None:
    """The client waits at least as long as Retry-After asks, then repeats the call."""
    pool = str(uuid.uuid4())
    fault = faulty.faults.answer(call, status, headers={"Retry-After": "7"})
    with Celonis(faulty.url, auth=ApiKey(faulty.token)) as client:
        done = client.push(matrix_cells.frame(), pool, "T")
    assert fault.hits == 1
    assert done.ok
    assert max(short_waits) > 6.9  # less the time since the answer
    assert faulty.table(pool, "T").num_rows == matrix_cells.ROWS
