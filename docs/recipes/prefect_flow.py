"""A flow of Prefect 3 whose task pushes a frame into Celonis, once for each run of the flow."""

from __future__ import annotations

import os
from typing import Any

import polars as pl
from prefect import flow, task
from prefect.runtime import flow_run

from celonis_frames import Celonis


@task(retries=3, retry_delay_seconds=[10, 60, 300])
def push_to_celonis(frame: Any, pool: str, table: str, **options: Any) -> dict[str, Any]:
    """Push a frame and return the status as a dict; a retry whose rows were sent sends nothing.

    Args:
        frame: What `push` takes; best a path or URL of Parquet files.
        pool: Data Pool: id, name or URL.
        table: Name of the table; a run pushes into each table once.
        options: Other parameters of `push`.
    """
    # Retries of the task and of the flow have other task runs, but the same flow run.
    push_id = f"{flow_run.flow_name}/{flow_run.root_flow_run_id}/{table}"
    with Celonis.from_env() as celonis:
        status = celonis.push(frame, pool, table, push_id=push_id, progress=False, **options)
    return status.to_dict()


@task
def extract(day: str) -> str:
    """Write the events of a day to a Parquet file and return its path."""
    path = f"{os.environ['DATA']}/{day}.parquet"
    pl.DataFrame({"EVENT_ID": [1, 2, 3], "NOTE": ["a", "b", "c"]}).write_parquet(path)
    return path


@flow
def events() -> int:
    """Push the events of the day for which the run is scheduled, and return their number."""
    path = extract(f"{flow_run.scheduled_start_time:%Y-%m-%d}")
    staging = os.environ["CELONIS_STAGING"]
    return push_to_celonis(path, "Purchasing", "EVENTS", staging=staging)["rows"]


if __name__ == "__main__":
    events.serve(cron="0 2 * * *")
