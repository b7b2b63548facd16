"""`df.writeStream.format("celonis")`: each batch arrives exactly once, across restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from spark_faults import ids

from celonis_frames._staging.receipt import stage_of

FILES, ROWS = 3, 500
DEATHS = ("staged", "sealed", "submitted", "before the receipt", "after the receipt")


def put(folder: Path, number: int) -> None:
    """A further file of the stream."""
    folder.mkdir(exist_ok=True)
    ids = range(number * ROWS, (number + 1) * ROWS)
    table = pa.table({"id": pa.array(ids, pa.int64()), "text": [f"x{one}" for one in ids]})
    pq.write_table(table, folder / f"new-{number}")
    (folder / f"new-{number}").rename(folder / f"{number:03d}.parquet")


def run(
    spark: Any, folder: Path, table: str, stage: Path, credentials: Path, source: str = "celonis",
    mode: str = "append", **options: str,
) -> None:  # fmt: skip
    """Run the query until it has read all files: a file is a batch."""
    rows = (
        spark.readStream.schema("id LONG, text STRING").option("maxFilesPerTrigger", 1)
        .parquet(str(folder)).repartition(2)
    )  # fmt: skip
    query = (
        rows.writeStream.format(source)
        .option("pool", "P").option("table", table).option("staging", str(stage))
        .option("credentials", f"file:{credentials}")
        .option("checkpointLocation", str(folder.parent / "checkpoint"))
        .options(**options).outputMode(mode).trigger(availableNow=True).start()
    )  # fmt: skip
    try:
        query.awaitTermination(120)
        assert not query.isActive
    finally:
        query.stop()


def receipts(stage: Path) -> int:
    """Receipts in the folder."""
    return sum(stage_of(path.name) is not None for path in stage.iterdir())


def test_each_batch_is_a_job(
    spark: Any, server: Any, stage: Path, table: str, credentials: Path, tmp_path: Path
) -> None:
    """A restart goes on where the query was; an empty batch is no job; receipts are few."""
    folder = tmp_path / "in"
    for number in range(FILES):
        put(folder, number)
    run(spark, folder, table, stage, credentials)
    assert ids(server, table)[:2] == (FILES * ROWS, FILES * ROWS)
    put(folder, FILES)
    empty = pa.table({"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())})
    pq.write_table(empty, folder / "999.parquet")
    run(spark, folder, table, stage, credentials)
    assert ids(server, table)[:2] == ((FILES + 1) * ROWS,) * 2
    assert sum(job["targetName"] == table for job in server.jobs) == FILES + 1
    assert receipts(stage) == FILES + 1
    assert [path for path in stage.iterdir() if path.is_dir()] == []


@pytest.mark.slow  # test_spark_commits.py has the same without a JVM
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", DEATHS)
def test_a_batch_whose_commit_dies_arrives_once(
    step: str, seed: int, spark: Any, server: Any, stage: Path, table: str, credentials: Path,
    tmp_path: Path, dying: str,
) -> None:  # fmt: skip
    """Spark runs it again after a restart: its rows are staged twice, and sent once."""
    folder = tmp_path / "in"
    for number in range(FILES):
        put(folder, number)
    options = {"source": dying, "fault": f"{step}:{tmp_path}:{seed}"}
    with pytest.raises((PySparkException, Py4JJavaError)):
        run(spark, folder, table, stage, credentials, **options)
    run(spark, folder, table, stage, credentials, **options)
    assert ids(server, table)[:2] == (FILES * ROWS, FILES * ROWS)
    assert [path for path in stage.iterdir() if path.is_dir()] == []
