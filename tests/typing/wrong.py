"""Calls that type checkers must refuse: an ignore that ignores nothing is an error to both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celonis_frames import (
    AppKey,
    Celonis,
    CelonisAccessor,
    Column,
    PushStatus,
    Upload,
    check_event_log,
    connect,
    delete,
    plan,
    prune_receipts,
    push,
    push_event_log,
)

POOL, TABLE = "Purchasing", "EVENTS"


def options(frame: Any, celonis: Celonis) -> None:
    """Wrong words, wrong kinds and wrong names, on functions and methods."""
    push(frame, POOL, TABLE, mode="APPEND")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, mode=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, modus="DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    push(frame, POOL, TABLE, "DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    push(frame, POOL)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    push(frame, None, TABLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, keys=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, keys=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, upload={"file_type": "XLSX"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, upload={"compression": "zip"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, columns={"A": 1.5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, rename="camel")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, upload={"chunk_bytes": 1.5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, upload={"job_options": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, upload={"chunks": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, chunk_bytes=1_000_000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    push(frame, POOL, TABLE, nested="text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, on_bad="skip")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, timeout="60 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, client="local")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    celonis.push(frame, POOL, TABLE, mode="APPEND")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    celonis.push(frame, POOL, TABLE, modus="DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    delete(frame, POOL, TABLE)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    delete(frame, POOL, TABLE, keys=["K"], on_bad="drop")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    delete(frame, POOL, TABLE, keys=["K"], mode="DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    celonis.delete(frame, POOL, TABLE, keys=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plan(frame, POOL, TABLE, mode="APPEND")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plan(frame, POOL, TABLE, wait=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def after_the_push(frame: Any, celonis: Celonis) -> None:
    """The same for data models and data jobs."""
    push(frame, POOL, TABLE, reload=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push(frame, POOL, TABLE, reload=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    celonis.reload(POOL)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    celonis.reload(POOL, "M", ["T"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    celonis.reload(POOL, "M", tables=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    celonis.run_job(POOL, "J", mode="SOME")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    celonis.tables(POOL, columns=["A"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def accessors(accessor: CelonisAccessor) -> None:
    """The same over the accessor."""
    accessor.push(POOL, TABLE, mode="APPEND")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    accessor.push(POOL)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    accessor.push(POOL, TABLE, "DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    accessor.push(POOL, TABLE, modus="DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    accessor.delete(POOL, TABLE)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def event_logs(frame: Any) -> None:
    """Columns that are missing, no names, or not named; a wrong word."""
    check_event_log(frame, case="C", activity="A")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    check_event_log(frame, "C", "A", "T")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    check_event_log(frame, case=None, activity="A", timestamp="T")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push_event_log(frame, POOL, TABLE, case="C", activity="A")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    push_event_log(frame, POOL, TABLE, case="C", activity="A", timestamp="T", check="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    push_event_log(frame, POOL, TABLE, case="C", activity="A", timestamp="T", modus="DELTA")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def receipts() -> None:
    """What is no age and no id."""
    prune_receipts("stages", 90)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    prune_receipts("stages", timedelta(days=90), None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    push(None, POOL, TABLE, push_id=20261128, staging="stages")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def uploads() -> None:
    """What an upload does not take."""
    Upload(file_type="XLSX")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Upload(chunks=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Upload("CSV")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def overrides() -> None:
    """What a column cannot be."""
    Column("TEXT")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Column(length="80")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Column(pseudonymise=80)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Column(size=80)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def connections() -> None:
    """What a connection does not take."""
    connect("local", key="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    connect(auth="a key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AppKey(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Celonis(auth=AppKey("key"), pool=POOL)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def answers(status: PushStatus) -> None:
    """What a status does not say."""
    print(status.state == "FINISHED")  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
    print(status.rows > 1)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownArgumentType]
    status.finished()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    status.ok = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
