"""`df.write.format("celonis")`: found by itself, and exactly once whatever dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import spark_faults
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from spark_cluster import SEEDS
from spark_faults import CHUNK, EXACT, PARTS, ROWS, Fault, chunks_of, ids
from spark_secrets import assert_unseen

from celonis_frames import Celonis


def write(frame: Any, table: str, stage: Path, credentials: Path, **options: Any) -> Any:
    """The writer of a frame."""
    return (
        frame.write.format(options.pop("source", "celonis"))
        .option("pool", "P").option("table", table).option("staging", str(stage))
        .option("credentials", f"file:{credentials}").option("chunkBytes", CHUNK["chunk_bytes"])
        .options(**options)
    )  # fmt: skip


def test_append_overwrite_and_upsert(
    spark: Any, server: Any, stage: Path, table: str, credentials: Path, tmp_path: Path
) -> None:
    """Append is a DELTA, overwrite a REPLACE; the status is a file."""
    frame, path = spark_faults.frame(spark), tmp_path / "status.json"
    write(frame, table, stage, credentials, status=path.as_uri()).mode("append").save()
    status = json.loads(path.read_text())
    assert (status["state"], status["rows"], status["parts"]) == ("DONE", ROWS, PARTS)
    assert ids(server, table) == EXACT
    write(frame, table, stage, credentials).mode("append").save()
    assert ids(server, table) == (2 * ROWS, ROWS, 2 * EXACT[2])
    write(frame, table, stage, credentials).mode("overwrite").save()
    assert ids(server, table) == EXACT
    more = frame.selectExpr("id + 100 AS id", "case", "text")
    write(more, table, stage, credentials, KEYS="id").mode("append").save()
    assert ids(server, table)[:2] == (ROWS + 100, ROWS + 100)
    assert list(stage.iterdir()) == []


def test_a_wrong_option_is_an_error_before_any_task(
    spark: Any, stage: Path, table: str, credentials: Path
) -> None:
    """Its message reaches the user; the value of a secret does not."""
    frame = spark_faults.frame(spark)
    for options, message in (
        ({"kees": "id"}, "Did you mean 'keys'"),
        ({"keys": "nowhere"}, "nowhere"),
        ({"apiToken": "canary-1234"}, "looks like a secret"),
        ({"staging": "s3://user:canary-1234@bucket/x"}, "holds a user"),
        ({"credentials": "file:/nowhere/at/all"}, "cannot be read"),
    ):
        with pytest.raises(Exception, match=message) as caught:
            write(frame, table, stage, credentials).options(**options).mode("append").save()
        if "canary-1234" in str(options):
            assert "canary-1234" not in str(caught.value)
    with pytest.raises(Exception, match="can only be written"):
        spark.read.format("celonis").load()
    assert not stage.exists() or list(stage.iterdir()) == []


def test_an_error_of_the_rows_leaves_nothing(
    spark: Any, server: Any, stage: Path, table: str, credentials: Path, tmp_path: Path
) -> None:
    """The commit raises it, and the abort removes the stage; the old status is gone."""
    jobs, path = len(server.jobs), tmp_path / "status.json"
    path.write_text("{}")
    bad = spark_faults.frame(spark).selectExpr("if(id = 7, null, id) AS id", "case")
    with pytest.raises(Exception, match="Key column 'id' has 1 null"):
        write(bad, table, stage, credentials, keys="id", status=str(path)).mode("append").save()
    assert len(server.jobs) == jobs
    assert list(stage.iterdir()) == []
    assert not path.exists()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["raise", "worker"])
def test_rows_arrive_once_though_a_task_or_a_worker_dies(
    kind: str, seed: int, spark: Any, server: Any, stage: Path, table: str, tmp_path: Path,
    credentials: Path, dying: str,
) -> None:  # fmt: skip
    """With chunks in the stage that are not sent: who lists the folder would send rows twice."""
    fault = Fault.seeded(kind, seed, stage, tmp_path / "marks")
    frame, none = spark_faults.frame(spark, fault), f"none:{tmp_path}:-1"
    write(frame, table, stage, credentials, source=dying, fault=none).mode("append").save()
    assert fault.happened
    assert ids(server, table) == EXACT
    assert json.loads((tmp_path / "listed").read_text()) > ROWS
    assert chunks_of(stage) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_rows_arrive_once_though_an_executor_dies(
    seed: int, spark: Any, server: Any, stage: Path, table: str, tmp_path: Path, credentials: Path,
    dying: str,
) -> None:  # fmt: skip
    """Its partitions are staged again by another one."""
    fault = Fault.seeded("executor", seed, stage, tmp_path / "marks")
    frame, none = spark_faults.frame(spark, fault), f"none:{tmp_path}:-1"
    write(frame, table, stage, credentials, source=dying, fault=none).mode("append").save()
    assert fault.happened
    assert ids(server, table) == EXACT
    assert json.loads((tmp_path / "listed").read_text()) > ROWS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "step",
    [
        "raises",
        "staged",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("sealed", "submitted")),
    ],
)
def test_a_commit_that_dies_is_finished_once(
    step: str, seed: int, spark: Any, server: Any, connection: Celonis, stage: Path, table: str,
    tmp_path: Path, credentials: Path, dying: str,
) -> None:  # fmt: skip
    """Before the stage is sealed nothing is left of it; from then on `resume` sends it once."""
    fault = Fault.seeded("raise", seed, stage, tmp_path / "marks")
    frame, at = spark_faults.frame(spark, fault), f"{step}:{tmp_path}"
    with pytest.raises((PySparkException, Py4JJavaError)):
        write(frame, table, stage, credentials, source=dying, fault=at).mode("append").save()
    if step in ("raises", "staged"):
        assert list(stage.iterdir()) == []
        assert not any(job["targetName"] == table for job in server.jobs)
        return
    (status,) = connection.resume(stage)
    assert (status.state, status.rows) == ("DONE", ROWS)
    assert ids(server, table) == EXACT
    assert sum(job["targetName"] == table for job in server.jobs) == 1
    assert list(stage.iterdir()) == []


@pytest.mark.slow
def test_a_resume_beside_a_write_is_refused(
    spark: Any, server: Any, connection: Celonis, stage: Path, table: str, tmp_path: Path,
    credentials: Path,
) -> None:  # fmt: skip
    """The stage is held for the process that commits, and the message says by whom."""
    held: list[BaseException] = []
    fault = Fault.seeded("raise", 0, stage, tmp_path / "marks")

    def resume() -> None:
        while not fault.happened:
            time.sleep(0.01)
        try:
            connection.resume(stage)
        except Exception as error:
            held.append(error)

    beside = Thread(target=resume)
    beside.start()
    frame = spark_faults.frame(spark, fault)
    write(frame, table, stage, credentials).mode("append").save()
    beside.join()
    assert "a Spark write into" in str(held)
    assert ids(server, table) == EXACT


def test_the_module_that_spark_searches_for_imports_nothing_of_ours() -> None:
    """Every Python session of Spark imports it: its own cost is a few milliseconds."""
    program = (
        "import sys, pyspark.sql.datasource, time; begin = time.perf_counter();"
        "import pyspark_celonis as found; seconds = time.perf_counter() - begin;"
        "assert found.DefaultSource.name() == 'celonis';"
        "assert not any(name.startswith('celonis_frames') for name in sys.modules);"
        "print(seconds)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 0.5


@pytest.mark.slow
def test_the_key_of_a_data_source_is_in_its_file_only(
    spark: Any, server: Any, table: str, events: Path, stage: Path, credentials: Path
) -> None:
    """The process that commits reads it there."""
    frame = spark_faults.frame(spark)
    (
        frame.write.format("celonis").option("pool", "P").option("table", table)
        .option("staging", str(stage)).option("credentials", f"file:{credentials}")
        .mode("append").save()
    )  # fmt: skip
    assert_unseen([server.token], spark, frame, events, [])
