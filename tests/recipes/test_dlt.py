"""The recipe of dlt, run by dlt."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from processes import Processes

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelines live in a folder of the test, and nothing is reported to dlt's makers."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def load() -> Run:
    """A function that runs one pipeline again and again, with options of the destination."""
    from dlt_destination import celonis as destination  # noqa: PLC0415  # the docs'

    def run(*resources: Any, **options: Any) -> Any:
        pipeline = dlt.pipeline("purchasing", destination=destination(pool="Purchasing", **options))
        return pipeline.run(list(resources))

    return run


def _resource(*pages: Any, name: str = "orders", **hints: Any) -> Any:
    return dlt.resource(iter(pages), name=name, **hints)


def _rows(celonis: Any, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = celonis.table("Purchasing", table).to_pylist()
    return rows


def test_a_pipeline_that_is_killed_loads_its_rows_once(
    recipes: Path, celonis: Any, processes: Processes, tmp_path: Path
) -> None:
    """The next run loads the package again, and the push finds the earlier one's job."""
    celonis.faults.slow_jobs(running=3)
    program = ("python", str(recipes / "dlt_pipeline.py"))
    processes.start(*program, cwd=tmp_path)
    processes.kill_the_pusher(celonis)
    celonis.faults.clear()
    processes.run(*program, cwd=tmp_path)  # the pending load; dlt extracts nothing then
    assert sorted(job["targetName"] for job in celonis.jobs) == ["events", "orders"]
    assert sorted(row["event_id"] for row in _rows(celonis, "events")) == [0, 1, 2]
    assert _rows(celonis, "orders") == [{"order_id": 1, "changed": 2, "items": '["a","b"]'}]
    processes.run(*program, cwd=tmp_path)
    assert len(_rows(celonis, "events")) == 6
    assert len(_rows(celonis, "orders")) == 1


def test_every_type_of_dlt_arrives(load: Run, celonis: Any) -> None:
    """Decimals are floats, dates are times at midnight, bytes hex digits, lists JSON."""
    row = {
        "text": "ä", "bigint": 2**40, "double": 0.5, "bool": True, "binary": b"\x00\xff",
        "decimal": decimal.Decimal("1.25"), "date": dt.date(2026, 11, 28), "json": [1, {"a": 2}],
        "timestamp": dt.datetime(2026, 11, 28, 1, 2, 3, 4, dt.UTC), "time": dt.time(1, 2),
    }  # fmt: skip
    load(_resource([row]))
    assert _rows(celonis, "orders") == [
        row | {
            "binary": "00ff", "decimal": 1.25, "date": dt.datetime(2026, 11, 28), "bool": 1,
            "timestamp": dt.datetime(2026, 11, 28, 1, 2, 3, 4), "time": "01:02:00.000000",
            "json": '[1,{"a":2}]',
        }
    ]  # fmt: skip


def test_the_precision_of_a_hint_is_the_length_of_the_column(load: Run, celonis: Any) -> None:
    """Others are measured; a string that is longer than declared ends the load."""
    columns = {
        "a": {"data_type": "text", "precision": 40}, "b": {"data_type": "text", "precision": 65_000}
    }  # fmt: skip
    load(_resource([{"a": "x", "b": "y" * 300, "c": "z"}], columns=columns))
    (job,) = celonis.jobs
    lengths = {one["columnName"]: one["fieldLength"] for one in job["tableSchema"]["columns"]}
    assert lengths == {"a": 40, "b": 320, "c": 80}
    with pytest.raises(PipelineStepFailed, match="41"):
        load(_resource([{"a": "x" * 41}], columns=columns))
    assert len(_rows(celonis, "orders")) == 1


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_all_files_of_a_table_are_one_push(disposition: str, load: Run, celonis: Any) -> None:
    """Also of files without the columns that came later; a replaced table has all their rows."""
    for _ in range(2):
        pages = (pa.table({"a": [1, 2]}), pa.table({"a": [3], "b": ["x"]}), pa.table({"a": [4]}))
        load(_resource(*pages, write_disposition=disposition))
    assert len(celonis.jobs) == 2
    rows = sorted(_rows(celonis, "orders"), key=lambda row: row["a"])
    once = [{"a": 1, "b": None}, {"a": 2, "b": None}, {"a": 3, "b": "x"}, {"a": 4, "b": None}]
    expected = [row for row in once for _ in range(2 if disposition == "append" else 1)]
    assert rows == expected


def test_a_merge_is_an_upsert_of_the_latest_rows(load: Run, celonis: Any) -> None:
    """By the primary key, also over two loads; dedup_sort says which row is the latest."""
    hints: dict[str, Any] = {
        "write_disposition": "merge", "primary_key": ("a", "b"),
        "columns": {"changed": {"dedup_sort": "desc"}},
    }  # fmt: skip
    first = [{"a": 1, "b": 1, "changed": n} for n in (2, 3, 1)] + [{"a": 1, "b": 2, "changed": 0}]
    load(_resource(first, **hints))
    load(_resource([{"a": 1, "b": 2, "changed": 9}], **hints))
    assert [job["keys"] for job in celonis.jobs] == [["a", "b"], ["a", "b"]]
    found = sorted((row["a"], row["b"], row["changed"]) for row in _rows(celonis, "orders"))
    assert found == [(1, 1, 3), (1, 2, 9)]


NESTED = {"max_table_nesting": 2, "skip_dlt_columns_and_tables": False}


def test_nested_tables_lead_to_their_parents(load: Run, celonis: Any) -> None:
    """By dlt's columns; the tables in which dlt keeps its own state stay out."""
    load(
        _resource([{"id": 1, "items": [{"n": 7}, {"n": 8}]}, {"id": 2, "items": [{"n": 9}]}]),
        **NESTED,
    )
    assert {job["targetName"] for job in celonis.jobs} == {"orders", "orders__items"}
    joined = celonis.sql(
        'SELECT o.id, i.n FROM "Purchasing".orders o JOIN "Purchasing".orders__items i '
        "ON i._dlt_parent_id = o._dlt_id ORDER BY n"
    )
    assert joined.to_pylist() == [{"id": 1, "n": 7}, {"id": 1, "n": 8}, {"id": 2, "n": 9}]


def test_a_replaced_table_empties_nested_tables_that_get_no_rows(load: Run, celonis: Any) -> None:
    """No destination is called for them by dlt, and their old rows would stay."""
    for items in ([{"n": 7, "of": [1]}], []):
        load(_resource([{"id": 1, "items": items}], write_disposition="replace"), **NESTED)
    assert len(_rows(celonis, "orders")) == 1
    assert _rows(celonis, "orders__items") == _rows(celonis, "orders__items__of") == []


MERGE = {"write_disposition": "merge", "primary_key": "id"}
SCD2 = {"disposition": "merge", "strategy": "scd2"}


@pytest.mark.parametrize(
    ("hints", "options", "problem"),
    [
        ({"write_disposition": "merge", "merge_key": "id"}, {}, "no primary_key"),
        (MERGE, NESTED, "is nested"),
        ({}, {"max_table_nesting": 1}, "lead to no parent"),
        (MERGE | {"write_disposition": SCD2}, {}, "scd2"),
        (MERGE | {"merge_key": "day"}, {}, "merge_key"),
        (MERGE | {"columns": {"gone": {"hard_delete": True}}}, {}, "hard_delete"),
        (MERGE | {"columns": {"day": {"dedup_sort": "asc"}}}, {}, "desc"),
    ],
)
def test_what_celonis_cannot_do_is_an_error(
    hints: dict[str, Any], options: dict[str, Any], problem: str, load: Run, celonis: Any
) -> None:
    """Nothing of the table is executed then."""
    with pytest.raises(PipelineStepFailed, match=problem):
        load(
            _resource([{"id": 1, "day": 1, "gone": False, "items": [{"n": 1}]}], **hints), **options
        )
    assert "orders__items" not in {job["targetName"] for job in celonis.jobs}
    if "merge" in str(hints) and not options:
        assert celonis.jobs == []


def test_a_load_that_failed_ends_with_the_next_run(load: Run, celonis: Any) -> None:
    """A job that fails stops the load, and the package waits for the next run."""
    celonis.faults.fail_jobs("disk full")
    with pytest.raises(PipelineStepFailed, match="disk full"):
        load(_resource([{"id": 1}]))
    load(_resource([{"id": 2}]))  # loads what is pending; dlt then extracts nothing
    assert _rows(celonis, "orders") == [{"id": 1}]


def test_a_lost_network_is_tried_again(load: Run, celonis: Any) -> None:
    """The push is repeated by dlt, and sends its rows once."""
    fault = celonis.faults.answer("pools", 503, times=20)
    load(_resource([{"id": 1}]))
    assert fault.hits == 20
    assert _rows(celonis, "orders") == [{"id": 1}]
