"""A DAG that writes the events of a day to a Parquet file and pushes them into Celonis."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import polars as pl
from airflow.sdk import dag, task
from airflow_operator import CelonisPushOperator


@dag(
    schedule="@daily", start_date=datetime(2026, 11, 1, tzinfo=UTC), catchup=False,
    default_args={"retries": 3},
)  # fmt: skip
def celonis_events() -> None:
    """Push the events of each day."""

    @task
    def extract(day: str) -> str:
        path = f"{os.environ['DATA']}/{day}.parquet"
        pl.DataFrame({"EVENT_ID": [1, 2, 3], "NOTE": ["a", "b", "c"]}).write_parquet(path)
        return path

    CelonisPushOperator(
        task_id="push", files=extract("{{ ds }}"), data_pool=os.environ["CELONIS_POOL"],
        table="EVENTS", staging=os.environ["CELONIS_STAGING"],
    )  # fmt: skip


celonis_events()
