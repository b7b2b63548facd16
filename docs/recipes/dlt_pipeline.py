"""A pipeline of dlt that loads events and orders into Celonis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt
from dlt_destination import celonis


@dlt.resource(
    write_disposition="append",
    columns={"note": {"data_type": "text", "precision": 200}},  # STRING(200)
)
def events() -> Iterator[list[dict[str, Any]]]:
    """New events: their rows are added."""
    yield [{"event_id": n, "note": "new"} for n in range(3)]


@dlt.resource(
    write_disposition="merge", primary_key="order_id", columns={"changed": {"dedup_sort": "desc"}}
)
def orders() -> Iterator[list[dict[str, Any]]]:
    """Changed orders: an upsert, which keeps the latest row of each."""
    yield [{"order_id": 1, "changed": 2, "items": ["a", "b"]}, {"order_id": 1, "changed": 1}]


if __name__ == "__main__":
    pipeline = dlt.pipeline("purchasing", destination=celonis(pool="Purchasing"))
    pipeline.run([events(), orders()])
