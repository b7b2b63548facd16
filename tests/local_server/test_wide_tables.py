"""The work of the local Celonis grows linearly with the columns of a table."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from celonis_frames.local._assumptions import Assumptions
from celonis_frames.local._database import loader
from celonis_frames.local._database.catalog import Catalog


class _Counted:
    """A cursor that counts statements, and their characters and parameters."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.statements = self.size = 0

    def execute(self, query: str, *values: Any) -> Any:
        self.statements += 1
        self.size += len(query) + len(str(values))
        return self._cursor.execute(query, *values)


def _work(kind: str, file_type: str, job: dict[str, Any], count: int) -> tuple[int, int, int]:
    """Lines of Python, statements and characters of SQL that one job takes."""
    names = [f"C{place:06}" for place in range(count)]
    table = pa.table({name: ["a", "b"] if kind == "STRING" else [1, 2] for name in names})
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if "celonis_frames" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        return trace

    catalog = Catalog(None)
    try:
        pool = catalog.add_pool("P")
        if file_type == "CSV":
            pyarrow.csv.write_csv(table, str(catalog.chunk_path("chunk")))
        else:
            pq.write_table(table, catalog.chunk_path("chunk"), store_schema=False)
        job = {
            "targetName": "T", "fileType": file_type, "dataPoolId": pool["id"],
            "connectionId": None, "upsertStrategy": None, "fallbackVarcharLength": None,
            "csvParsingOptions": None, "keys": [],
            "tableSchema": {"columns": [{"columnName": n, "columnType": kind} for n in names]},
        } | job  # fmt: skip
        with catalog.cursor() as cursor:
            counted = _Counted(cursor)
            chunks = [{"id": "chunk", "type": "UPSERT"}]
            list(loader.execute(catalog, cursor, job, chunks, Assumptions()))
            before = sys.gettrace()
            sys.settrace(trace)
            try:
                list(loader.execute(catalog, counted, job, chunks, Assumptions()))
            finally:
                sys.settrace(before)
    finally:
        catalog.close()
    return lines, counted.statements, counted.size


@pytest.mark.sampled(4)
@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize("kind", ["STRING", "INTEGER"])
@pytest.mark.parametrize(
    "job", [{"type": "REPLACE"}, {"type": "DELTA"}, {"type": "DELTA", "keys": ["C000000"]}], ids=str
)
def test_a_job_takes_work_for_each_column_once(
    kind: str, file_type: str, job: dict[str, Any]
) -> None:
    """Twice the columns take twice the work, and as many statements."""
    small, large = (_work(kind, file_type, job, count) for count in (60, 120))
    assert small[0] < large[0] < 2.2 * small[0]
    assert small[1] == large[1]
    assert small[2] < large[2] < 2.2 * small[2]


def test_planning_the_keys_of_a_job_takes_no_work_for_its_other_columns() -> None:
    """A job with keys takes little more SQL than one without."""
    with_keys = _work("STRING", "PARQUET", {"type": "DELTA", "keys": ["C000000"]}, 300)
    without = _work("STRING", "PARQUET", {"type": "DELTA"}, 300)
    assert with_keys[2] < 1.1 * without[2]
