"""Calls as users write them: type checkers read this file, and find nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import pandas as pd
import polars as pl

from celonis_frames import (
    ApiKey,
    AppKey,
    Celonis,
    CelonisAccessor,
    Column,
    DataJobStatus,
    DoctorReport,
    EventLogReport,
    PushPlan,
    PushStatus,
    ReloadStatus,
    Secret,
    Upload,
    check_event_log,
    connect,
    delete,
    exceptions,
    plan,
    prune_receipts,
    push,
    push_event_log,
)

POOL, TABLE = "Purchasing", "EVENTS"


def connections() -> None:
    """Addresses, keys and the environment."""
    assert_type(connect(), Celonis)
    assert_type(connect("local"), Celonis)
    assert_type(connect("local:celonis.duckdb"), Celonis)
    assert_type(connect("https://team.eu-1.celonis.cloud", auth=AppKey("key")), Celonis)
    assert_type(connect(team="team", cluster="eu-1", auth=ApiKey("key")), Celonis)
    assert_type(connect(profile="prod"), Celonis)
    assert_type(Celonis.from_env(), Celonis)
    assert_type(Celonis.from_env("prod").doctor(POOL, write=True), DoctorReport)
    assert_type(Celonis.from_env().doctor().ok, bool)
    with Celonis("https://team.eu-1.celonis.cloud", auth=ApiKey("key")) as celonis:
        assert_type(celonis, Celonis)


def frames(one: pd.DataFrame, two: pl.DataFrame, three: pl.LazyFrame) -> None:
    """Every kind of frame, and paths."""

    def pieces() -> Iterator[pl.DataFrame]:
        yield two

    assert_type(push(one, POOL, TABLE), PushStatus)
    assert_type(push(two, POOL, TABLE), PushStatus)
    assert_type(push(three, POOL, TABLE), PushStatus)
    assert_type(push(pieces(), POOL, TABLE), PushStatus)
    assert_type(push("log/*.parquet", POOL, TABLE), PushStatus)
    assert_type(push([Path("a.parquet"), Path("b.parquet")], POOL, TABLE), PushStatus)


def accessors(one: pd.DataFrame, two: pl.DataFrame, three: pl.LazyFrame) -> None:
    """What `df.celonis` is, with types."""
    assert_type(CelonisAccessor(one).push(POOL, TABLE, keys="CASE_ID"), PushStatus)
    assert_type(CelonisAccessor(two).plan(POOL, TABLE), PushPlan)
    assert_type(CelonisAccessor(three).delete(POOL, TABLE, keys=["CASE_ID"]), PushStatus)
    report = CelonisAccessor(two).check_event_log(case="C", activity="A", timestamp="T")
    assert_type(report, EventLogReport)


def options(frame: Any, celonis: Celonis) -> None:
    """Every option, on the function and on the connection."""
    status = push(
        frame,
        POOL,
        TABLE,
        mode="DELTA",
        keys=["CASE_ID", "EVENT_ID"],
        connection="SAP",
        columns={
            "A": Column("STRING", 200),
            "B": Column(length=20),
            "C": "FLOAT",
            "D": 300,
            "E": Column(pseudonymise=Secret("key")),
        },
        index=False,
        rename={"a": "A"},
        nested="json",
        infinity=None,
        on_bad="drop",
        upload={
            "file_type": "CSV",
            "compression": "none",
            "chunk_bytes": "256 MB",
            "workers": 2,
            "job_options": {"upsertStrategy": "UPSERT_WITH_NULLIFICATION", "optionalFields": []},
        },
        staging="memory://chunks",
        push_id="events/2026-11-28",
        deduplicate_by="EVENT_TIME",
        wait=False,
        timeout=600.0,
        progress=False,
        client=celonis,
    )
    assert_type(status, PushStatus)
    for mode in ("DELTA", "REPLACE", "delta", "replace"):
        push(frame, POOL, TABLE, mode=mode)
    push(
        frame, POOL, TABLE, keys="CASE_ID", rename="upper_snake", upload={"chunk_bytes": 64_000_000}
    )
    push(frame, POOL, TABLE, upload=Upload(compression="none", chunk_bytes=64_000_000))
    push(
        frame,
        POOL,
        TABLE,
        keys=("CASE_ID",),
        rename="snake",
        upload={"file_type": "parquet"},
        timeout=60,
    )
    assert_type(celonis.push(frame, POOL, TABLE, mode="REPLACE"), PushStatus)
    assert_type(delete(frame, POOL, TABLE, keys=["CASE_ID"]), PushStatus)
    assert_type(celonis.delete(frame, POOL, TABLE, keys="CASE_ID"), PushStatus)
    assert_type(plan(frame, POOL, TABLE, keys="CASE_ID"), PushPlan)
    assert_type(celonis.plan(frame, POOL, TABLE), PushPlan)
    assert_type(celonis.jobs(POOL), list[PushStatus])
    assert_type(celonis.job(POOL, "id"), PushStatus)


def event_logs(frame: Any, celonis: Celonis) -> None:
    """An event log is checked without a connection, and pushed with the options of a push."""
    report = check_event_log(frame, case="C", activity="A", timestamp="T", end="E", order="O")
    assert_type(report, EventLogReport)
    assert_type(report.ok, bool)
    assert_type(report.to_dict(), dict[str, Any])
    assert_type([one.snippet for one in report.findings], list[str | None])
    if report.events_per_case is not None:
        assert_type(report.events_per_case.median, float)
    check_event_log(frame, case="C", activity="A", timestamp="T", index=True, storage_options={})
    log = push_event_log(frame, POOL, TABLE, case="C", activity="A", timestamp="T", keys="ID")
    assert_type(log, PushStatus)
    status = celonis.push_event_log(
        frame, POOL, TABLE, case="C", activity="A", timestamp="T", end=None, order="O",
        check="warn", mode="REPLACE", times="local", timeout=60.0,
    )  # fmt: skip
    assert_type(status, PushStatus)


def receipts() -> None:
    """An age or a time; no connection."""
    assert_type(prune_receipts("s3://bucket/stages", timedelta(days=90)), int)
    before = datetime(2026, 11, 28, tzinfo=UTC)
    assert_type(prune_receipts(Path("stages"), before, storage_options={"key": "k"}), int)


def after_the_push(frame: Any, celonis: Celonis) -> None:
    """Data models and data jobs."""
    status = push(frame, POOL, TABLE, reload="Orders")
    push(frame, POOL, TABLE, reload=["Orders", "Items"])
    assert_type(status.reload, ReloadStatus | tuple[ReloadStatus, ...] | None)
    delete(frame, POOL, TABLE, keys="K", reload="Orders")
    plan(frame, POOL, TABLE, reload="Orders")
    loaded = celonis.reload(POOL, "Orders", tables=["A", "B"], wait=True, timeout=60)
    assert_type(loaded, ReloadStatus)
    assert_type(loaded.refresh().wait(timeout=5.0), ReloadStatus)
    assert_type(loaded.state, str)
    assert_type(loaded.ok, bool)
    assert_type(loaded.warnings, tuple[str, ...])
    assert_type(loaded.seconds, float | None)
    assert_type([table.rows for table in loaded.tables], list[int | None])
    assert_type(celonis.run_job(POOL, "Nightly", mode="DELTA").wait(), DataJobStatus)
    assert_type([model.name for model in celonis.models(POOL)], list[str])
    assert_type([job.state for job in celonis.data_jobs(POOL)], list[str])
    assert_type([table.name for table in celonis.tables(POOL, columns=True)], list[str])
    try:
        loaded.raise_for_status()
    except exceptions.ReloadFailed as error:
        print(error.status)


def answers(status: PushStatus) -> None:
    """What a status says, and what an error carries."""
    assert_type(status.ok, bool)
    assert_type(status.done, bool)
    assert_type(status.job_id, str | None)
    assert_type(status.rows, int | None)
    assert_type(status.chunks, int | None)
    assert_type(status.bytes_sent, int | None)
    assert_type(status.logs, tuple[str, ...])
    assert_type(status.warnings, tuple[str, ...])
    assert_type(status.timings, dict[str, float])
    assert_type(status.refresh().wait(timeout=5).cancel(), PushStatus)
    assert_type(status.result(timeout=60), PushStatus)
    assert_type(status.repeated, bool)
    assert_type(status.stored_again, int)
    assert_type(status.to_dict(), dict[str, Any])
    if status.state == "DONE":
        return
    try:
        status.raise_for_status()
    except exceptions.JobFailed as error:
        assert_type(error.job_id, str)
