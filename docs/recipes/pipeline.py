"""A pipeline that pushes the events of a file, once for each run."""

from __future__ import annotations

import os

import polars as pl

import celonis_frames


def main() -> None:
    """Push the file that the environment names; the connection comes from there as well."""
    events = pl.scan_parquet(os.environ["DATA"]).filter(pl.col("EVENT_ID").is_not_null())
    status = celonis_frames.push(
        events, os.environ["CELONIS_POOL"], "EVENTS",
        push_id=f"events/{os.environ['RUN_ID']}", staging=os.environ["CELONIS_STAGING"],
        progress=False,
    )  # fmt: skip
    print(status)  # noqa: T201  # into the log of the run


if __name__ == "__main__":
    main()
