"""Assets that are pushed into Celonis: the events of each day, and a table of orders."""

from __future__ import annotations

import pandas as pd
import polars as pl
from dagster import (
    DailyPartitionsDefinition,
    Definitions,
    EnvVar,
    asset,
    build_schedule_from_partitioned_job,
    define_asset_job,
)
from dagster_io_manager import CelonisIOManager


@asset(
    partitions_def=DailyPartitionsDefinition(start_date="2026-11-01"),
    io_manager_key="celonis",
    metadata={"celonis": {"table": "EVENTS", "keys": ["EVENT_ID"]}},
)
def events(context) -> pl.DataFrame:  # noqa: ANN001  # Dagster rejects the name of the type
    """The events of a day."""
    return pl.DataFrame({"EVENT_ID": [1, 2, 3], "DAY": [context.partition_key] * 3})


@asset(io_manager_key="celonis", metadata={"celonis": {"table": "ORDERS"}})
def orders() -> pd.DataFrame:
    """All orders."""
    return pd.DataFrame({"ORDER_ID": ["0045", "0046"], "AMOUNT": [1.5, 2.0]})


daily = define_asset_job("daily", selection=[events])

definitions = Definitions(
    assets=[events, orders],
    jobs=[daily],
    schedules=[build_schedule_from_partitioned_job(daily, hour_of_day=2)],
    resources={"celonis": CelonisIOManager(pool="Purchasing", staging=EnvVar("CELONIS_STAGING"))},
)
