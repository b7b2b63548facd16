"""Reports of all kinds, from a local Celonis: what the tests here show in a browser."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import pyarrow as pa

from celonis_frames import check_event_log, exceptions, local

POOL, HOSTILE = "Purchasing", "<script>alert('1')</script> & <b>bold</b>"
ROWS = pa.table({
    "CASE_ID": ["0045", "0045", "0046"],
    "ACTIVITY": ["Create Order", "Clear Invoice", "Create Order"],
    "AT": [dt.datetime(2024, 1, 2, 9, minute) for minute in range(3)],
})  # fmt: skip


def reports() -> dict[str, Any]:
    """Statuses, plans and reports: good ones, failed ones, ones with warnings, unfinished ones."""
    found: dict[str, Any] = {}
    with local.start(limits=False) as celonis, celonis.connect() as connection:
        push = connection.push
        found["push"] = push(ROWS, POOL, "EVENTS", mode="REPLACE", progress=False)
        repeated = pa.concat_tables([ROWS, ROWS])
        found["push with warnings"] = push(
            repeated, POOL, "EVENTS", keys=["CASE_ID", "ACTIVITY"], progress=False
        )
        found["delete"] = connection.delete(
            ROWS.select(["CASE_ID", "ACTIVITY"]), POOL, "EVENTS",
            keys=["CASE_ID", "ACTIVITY"], progress=False,
        )  # fmt: skip
        found["plan"] = connection.plan(ROWS, POOL, "EVENTS", keys=["CASE_ID"])
        changed = ROWS.rename_columns(["CASE_ID", "ACTIVITY", "OTHER"])
        found["plan with differences"] = connection.plan(changed, POOL, "EVENTS", keys=["CASE_ID"])
        found["plan of a new table"] = connection.plan(ROWS, POOL, HOSTILE)
        bad = pa.table({"C": ["1", None], "A": ["a", " b"], "T": ["02/03/2024", "x"]})
        names = {"case": "C", "activity": "A", "timestamp": "T"}
        found["not an event log"] = check_event_log(bad, **names)
        found["event log"] = check_event_log(
            ROWS, case="CASE_ID", activity="ACTIVITY", timestamp="AT"
        )
        celonis.add_data_model(POOL, "Orders", ["EVENTS"])
        found["reload"] = connection.reload(POOL, "Orders", progress=False)
        celonis.faults.warn_loads("A foreign key has no table.")
        found["push with reload"] = push(ROWS, POOL, "EVENTS", reload="Orders", progress=False)
        celonis.faults.fail_loads("No table has the key.")
        try:
            connection.reload(POOL, "Orders", progress=False)
        except exceptions.ReloadFailed as error:
            found["failed reload"] = error.status
        running = push(ROWS, POOL, "EVENTS", wait=False, progress=False)
        connection.job(POOL, str(running.job_id)).wait()
        found["push that was not waited for"] = running  # as it was read at first
        found["doctor"] = connection.doctor(POOL)
        celonis.faults.fail_jobs(f"the disk is full {HOSTILE}")
        with contextlib.suppress(exceptions.JobFailed):
            push(ROWS, POOL, HOSTILE, mode="REPLACE", progress=False)
        found["failed push"] = next(job for job in connection.jobs(POOL) if job.state == "ERROR")
        celonis.add_data_job(POOL, "Nightly", "SELECT 1")
        found["data job"] = connection.run_job(POOL, "Nightly", progress=False)
    return found
