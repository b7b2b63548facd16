"""What is in the table is what was in the frame: nothing lost, nothing doubled, nothing changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

FOLDER = Path(
    os.environ.get("CELONIS_FRAMES_EVENT_LOGS")
    or Path(__file__).resolve().parents[3] / "shared" / "data"
)
LOGS = ("sepsis.csv", "receipt.csv", "bpic2012.parquet")
MANY = 10_000_000
Differences = Callable[[str, str], tuple[int, int]]


@pytest.fixture
def differences(server: Any) -> Differences:
    """A function: rows that a query has and a table lacks, and the other way round."""

    def count(query: str, table: str) -> tuple[int, int]:
        names = [field.name for field in server.table("P", table).schema]
        listed = ", ".join(f'"{name}"' for name in names)
        both = (f"SELECT {listed} FROM ({query})", f'SELECT {listed} FROM "P"."{table}"')
        found = [
            server.sql(f"SELECT count(*) AS n FROM ({one} EXCEPT ALL {other})").to_pylist()[0]["n"]
            for one, other in (both, both[::-1])
        ]
        return found[0], found[1]

    return count


@pytest.mark.parametrize("name", LOGS)
def test_a_real_log_arrives_row_by_row(
    name: str, spark: Any, stage: Path, table: str, tmp_path: Path,
    differences: Differences,
) -> None:  # fmt: skip
    """Pushed by the workers of six partitions; instants as UTC."""
    if not (FOLDER / name).exists():
        message = f"{FOLDER / name} is absent: set CELONIS_FRAMES_EVENT_LOGS to its folder"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    path = tmp_path / "log.parquet"
    rows = duckdb.sql(f"FROM '{FOLDER / name}'")
    zoned = [
        column for column, kind in zip(rows.columns, rows.types, strict=True)
        if str(kind) == "TIMESTAMP WITH TIME ZONE"
    ]  # fmt: skip
    rows.write_parquet(str(path))
    log = spark.read.parquet(str(path)).repartition(6)
    status = log.celonis.push("P", table, staging=stage)
    assert (status.rows, status.parts) == (len(rows), 6)
    utc = ", ".join(f'("{column}" AT TIME ZONE \'UTC\') AS "{column}"' for column in zoned)
    replaced = f"* REPLACE ({utc})" if zoned else "*"
    assert differences(f"SELECT {replaced} FROM '{path}'", table) == (0, 0)


@pytest.mark.slow
def test_ten_million_rows_arrive(
    spark: Any, stage: Path, table: str, differences: Differences
) -> None:
    """Made by Spark, and by DuckDB for the comparison."""
    frame = spark.range(0, MANY, 1, 16).selectExpr(
        "id",
        "concat('case ', cast(id % 100003 AS STRING)) AS case",
        "if(id % 7 = 0, NULL, concat('remark ', cast(id * 7919 AS STRING))) AS remark",
        "timestamp_seconds(1600000000 + id) AS at",
        "cast(id AS DOUBLE) / 4 AS amount",
        "id % 3 = 0 AS flag",
    )
    status = frame.celonis.push("P", table, staging=stage)
    assert (status.rows, status.parts) == (MANY, 16)
    query = (
        "SELECT range AS id, 'case ' || (range % 100003) AS \"case\", "
        "CASE WHEN range % 7 <> 0 THEN 'remark ' || (range * 7919) END AS remark, "
        "make_timestamp((1600000000 + range) * 1000000) AS at, range / 4 AS amount, "
        f"range % 3 = 0 AS flag FROM range({MANY})"
    )
    assert differences(query, table) == (0, 0)
