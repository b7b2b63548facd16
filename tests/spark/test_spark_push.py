"""`spark_df.celonis.push` on a cluster of Spark: rows arrive exactly once, whatever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spark_faults
from spark_cluster import ENVIRONMENT, HERE, SEEDS
from spark_faults import CHUNK, EXACT, PARTS, ROWS, Fault, chunks_of, ids, rows_in

import celonis_frames
from celonis_frames import ApiKey, Celonis, Column, Secret
from celonis_frames._staging.stage import Stage
from celonis_frames.exceptions import (
    ConfigError,
    FrameError,
    JobTimeout,
    KeyColumnError,
)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of all chunks in the folder, each time that chunks are taken from it."""
    found: list[int] = []
    adopt = Stage.adopt

    def counted(self: Stage, chunks: Any) -> Any:
        there = Path(self.folder).glob("chunk-*")
        found.append(sum(map(rows_in, there)))
        return adopt(self, chunks)

    monkeypatch.setattr(Stage, "adopt", counted)
    return found


def test_a_frame_arrives_and_its_status_counts_partitions(
    spark: Any, server: Any, stage: Path, table: str
) -> None:
    """The accessor and the function are the same; the stage is removed."""
    frame = spark_faults.frame(spark)
    status = frame.celonis.push("P", table, staging=stage, upload=CHUNK)
    assert (status.ok, status.rows, status.parts) == (True, ROWS, PARTS)
    assert status.timings["stage"] > 0
    assert ids(server, table) == EXACT
    again = celonis_frames.push(frame, "P", table, mode="REPLACE", staging=stage)
    assert (again.rows, again.parts) == (ROWS, PARTS)
    assert ids(server, table) == EXACT
    assert list(stage.iterdir()) == []


def test_all_types_of_spark_arrive(spark: Any, server: Any, stage: Path, table: str) -> None:
    """Times are instants; with times="local" they are those of the session's zone."""
    frame = spark.sql(
        "SELECT id, cast(id AS tinyint) i8, cast(id AS smallint) i16, cast(id AS int) i32, "
        "cast(id AS float) f32, cast(id AS double) / 4 AS f64, cast(id AS decimal(30, 10)) dec, "
        "id % 2 = 0 AS flag, date_add(DATE'2024-02-28', cast(id AS int)) day, "
        "timestamp_seconds(1709164800 + id * 3600) moment, "
        "cast('2024-02-29 12:00:00' AS timestamp_ntz) clock, if(id = 1, null, 'x') AS text, "
        "named_struct('a', id, 'b', array(id)) AS nested, unhex('00FF') AS raw "
        "FROM range(0, 3, 1, 3)"
    )  # fmt: skip
    frame.celonis.push("P", table, staging=stage, nested="json", binary="hex")
    rows = sorted(server.table("P", table).to_pylist(), key=lambda row: row["id"])
    assert [row["flag"] for row in rows] == [True, False, True]
    assert str(rows[1]["moment"]) == "2024-02-29 01:00:00"
    assert [row["text"] for row in rows] == ["x", None, "x"]
    assert [row["nested"] for row in rows][2] == '{"a": 2, "b": [2]}'
    assert {str(row["raw"]).lower() for row in rows} == {"00ff"}
    assert [str(row["day"])[:10] for row in rows] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    frame.select("id", "moment").celonis.push(
        "P", table, mode="REPLACE", staging=stage, times="local"
    )
    local = sorted(server.table("P", table).to_pylist(), key=lambda row: row["id"])
    assert str(local[0]["moment"]) == "2024-02-29 01:00:00"  # of Berlin


def test_an_upsert_a_delete_and_changes(spark: Any, server: Any, stage: Path, table: str) -> None:
    """What keys= does, and delete, is done with the rows that workers stage."""
    frame = spark_faults.frame(spark)
    frame.celonis.push("P", table, keys="id", staging=stage)
    changed = frame.where("id < 10").selectExpr("id", "case", "'changed' AS text")
    changed.celonis.push("P", table, keys="id", staging=stage)
    query = f'SELECT count(*) AS n FROM "P"."{table}" WHERE text = \'changed\''
    assert server.sql(query).to_pylist() == [{"n": 10}]
    status = frame.where("id >= 100").celonis.delete("P", table, keys="id", staging=stage)
    assert (status.rows, status.parts) == (ROWS - 100, PARTS)
    assert ids(server, table)[0] == 100
    with celonis_frames.changes("P", table, keys="id", staging=stage) as changes:
        changes.upsert(frame)
        changes.delete(frame.where("id < 50").select("id"))
    assert ids(server, table)[:2] == (ROWS - 50, ROWS - 50)


@pytest.mark.slow
def test_rows_are_stored_as_objects(spark: Any, server: Any, stage: Path, table: str) -> None:
    """With via="ingestion" the pushing process stores what workers have staged."""
    keys = server.ingestion("P", {table: {"keys": ["id"]}})
    with Celonis(server.url, auth=ApiKey(server.token), ingestion=keys) as client:
        status = spark_faults.frame(spark).celonis.push(
            "P", table, keys="id", via="ingestion", staging=stage, client=client
        )
    assert (status.state, status.rows, status.parts) == ("ACCEPTED", ROWS, PARTS)
    server.wait_ingested()
    assert server.table("P", table, connection=keys.connection).num_rows == ROWS
    assert list(stage.iterdir()) == []


def test_one_push_id_sends_once(spark: Any, server: Any, stage: Path, table: str) -> None:
    """The second push of the same id returns the first one's status; no worker runs."""
    frame = spark_faults.frame(spark)
    first = frame.celonis.push("P", table, staging=stage, push_id="day/1")
    second = frame.celonis.push("P", table, staging=stage, push_id="day/1")
    assert (first.repeated, second.repeated, second.job_id) == (False, True, first.job_id)
    assert ids(server, table) == EXACT


def test_what_cannot_be_pushed_is_an_error_that_says_what_to_do(
    spark: Any, stage: Path, table: str, tmp_path: Path
) -> None:
    """Before any worker runs, and with nothing left in the stage."""
    frame = spark_faults.frame(spark)
    with pytest.raises(ConfigError, match="staging="):
        frame.celonis.push("P", table)
    key = {"case": Column(pseudonymise=Secret("k"))}
    with pytest.raises(ConfigError, match="sha2"):
        frame.celonis.push("P", table, columns=key, staging=stage)
    with pytest.raises(KeyColumnError, match="nowhere"):
        frame.celonis.push("P", table, keys="nowhere", staging=stage)
    with pytest.raises(ConfigError, match="index"):
        frame.celonis.push("P", table, index=True, staging=stage)
    odd = spark.sql("SELECT 1 AS a, make_interval(1) AS span")
    # Spark 3.5 cannot tell the schema itself.
    with pytest.raises(FrameError, match=r"'span' is interval|cannot be read: .*PySparkValueError"):
        odd.celonis.push("P", table, staging=stage)
    stream = spark.readStream.schema("a INT").parquet(str(tmp_path))
    with pytest.raises(FrameError, match="writeStream"):
        stream.celonis.push("P", table, staging=stage)
    with pytest.raises(ConfigError, match="toPandas"):
        frame.celonis.check_event_log(case="case", activity="text", timestamp="id")
    assert not stage.exists() or list(stage.iterdir()) == []


def test_an_error_of_the_rows_is_raised_as_itself(
    spark: Any, server: Any, stage: Path, table: str
) -> None:
    """Not as an error of the JVM; no attempt repeats it, and nothing is created."""
    jobs = len(server.jobs)
    frame = spark_faults.frame(spark)
    bad = frame.selectExpr(f"if(id = {ROWS - 1}, double('infinity'), id / 2) AS half", "id")
    with pytest.raises(FrameError, match="'half' has 1 infinite value"):
        bad.celonis.push("P", table, staging=stage)
    null = frame.selectExpr("if(id = 7, null, id) AS id", "case")
    with pytest.raises(KeyColumnError, match=f"1 null in {ROWS:,} rows") as caught:
        null.celonis.push("P", table, keys="id", staging=stage)
    assert caught.value.column == "id"
    assert len(server.jobs) == jobs
    assert list(stage.iterdir()) == []


def test_storage_that_is_not_shared_is_an_error(spark: Any, server: Any, table: str) -> None:
    """The workers see another one; nothing is created."""
    jobs = len(server.jobs)
    with pytest.raises(ConfigError, match=r"must be storage that .* all workers share"):
        spark_faults.frame(spark).celonis.push("P", table, staging="memory://stage")
    assert len(server.jobs) == jobs


def test_a_plan_reads_no_row(spark: Any, table: str) -> None:
    """It has the columns and their types."""
    fault = spark_faults.frame(spark).selectExpr("id", "raise_error('read') AS text")
    plan = fault.celonis.plan("P", table)
    assert [(column.name, column.type) for column in plan.columns] == [
        ("id", "INTEGER"), ("text", "STRING"),
    ]  # fmt: skip
    assert plan.rows is None


def test_a_timeout_ends_the_work_of_spark(
    spark: Any, stage: Path, table: str, tmp_path: Path
) -> None:
    """Its job is cancelled, and the stage is removed."""
    slow = Fault.seeded("slow", 0, stage, tmp_path / "marks")
    with pytest.raises(JobTimeout):
        spark_faults.frame(spark, slow).celonis.push("P", table, staging=stage, timeout=3)
    assert list(spark.sparkContext.statusTracker().getActiveJobsIds()) == []
    assert list(stage.iterdir()) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["raise", "worker"])
def test_rows_arrive_once_though_a_task_or_a_worker_dies(
    kind: str, seed: int, spark: Any, server: Any, stage: Path, table: str, tmp_path: Path,
    listed: list[int],
) -> None:  # fmt: skip
    """With chunks in the stage that are not sent: who lists the folder would send rows twice."""
    fault = Fault.seeded(kind, seed, stage, tmp_path / "marks")
    frame = spark_faults.frame(spark, fault)
    status = frame.celonis.push("P", table, staging=stage, upload=CHUNK)
    assert fault.happened
    assert (status.state, status.rows, status.parts) == ("DONE", ROWS, PARTS)
    assert ids(server, table) == EXACT
    assert listed[0] > ROWS  # the naive way
    assert chunks_of(stage) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_rows_arrive_once_though_an_executor_dies(
    seed: int, spark: Any, server: Any, stage: Path, table: str, tmp_path: Path, listed: list[int]
) -> None:
    """Its partitions are staged again by another one."""
    fault = Fault.seeded("executor", seed, stage, tmp_path / "marks")
    frame = spark_faults.frame(spark, fault)
    status = frame.celonis.push("P", table, staging=stage, upload=CHUNK)
    assert fault.happened
    assert (status.state, status.rows) == ("DONE", ROWS)
    assert ids(server, table) == EXACT
    assert listed[0] > ROWS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_push_whose_process_dies_is_finished_once(
    seed: int, server: Any, connection: Any, tmp_path: Path, table: str
) -> None:
    """Before the stage is sealed nothing was sent; from then on `resume` sends the rows once."""
    keys = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    program = [sys.executable, str(HERE / "push_and_die.py"), str(seed)]
    steps = ("staged", "sealed", "submitted")
    processes = [
        subprocess.Popen(
            [*program, step, f"{table}_{step}", str(tmp_path / step / "stage")],
            env=os.environ | ENVIRONMENT | keys, stderr=subprocess.PIPE, text=True,
        )
        for step in steps
    ]  # fmt: skip
    for process in processes:
        _, text = process.communicate()
        assert process.returncode == 9, text
    with pytest.raises(FrameError, match="not complete"):
        connection.resume(tmp_path / "staged" / "stage")
    assert not any(job["targetName"] == f"{table}_staged" for job in server.jobs)
    for step in steps[1:]:
        (status,) = connection.resume(tmp_path / step / "stage")
        assert (status.state, status.rows) == ("DONE", ROWS)
        assert ids(server, f"{table}_{step}") == EXACT
        assert sum(job["targetName"] == f"{table}_{step}" for job in server.jobs) == 1
        assert list((tmp_path / step / "stage").iterdir()) == []
