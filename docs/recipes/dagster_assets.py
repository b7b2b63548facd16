"""Assets that are pushed into Celonis: a partition of events a day, and a table of orders."""

from __future__ import annotations

import pandas as pd
import polars as pl
from dagster import (
    AssetExecutionContext,
    DailyPartitionsDefinition,
    Definitions,
    EnvVar,
    RetryPolicy,
    asset,
)
from dagster_io_manager import CelonisIOManager

days = DailyPartitionsDefinition(start_date="2026-11-01")


@asset(
    partitions_def=days,
    io_manager_key="celonis",
    metadata={"celonis": {"table": "EVENTS", "keys": ["EVENT_ID"]}},
    retry_policy=RetryPolicy(max_retries=3, delay=60),
)
def events(context: AssetExecutionContext) -> pl.DataFrame:
    """The events of a day."""
    return pl.DataFrame({"EVENT_ID": [1, 2], "DAY": [context.partition_key] * 2})


@asset(io_manager_key="celonis", metadata={"celonis": {"table": "ORDERS"}})
def orders() -> pd.DataFrame:
    """All orders."""
    return pd.DataFrame({"ORDER_ID": ["0045", "0046"], "AMOUNT": [1.5, 2.0]})


definitions = Definitions(
    assets=[events, orders],
    resources={"celonis": CelonisIOManager(pool="Purchasing", staging=EnvVar("CELONIS_STAGING"))},
)
