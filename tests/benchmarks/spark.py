"""What a push from Spark takes, beside Spark's own write of the same frame as Parquet.

    python -m tests.benchmarks.spark 1e6 10e6 [--repeat 3] [--folder F]

Two executors with a core each read the same Parquet files of 12 columns and write: as Parquet, as a
push of the function, as one of the data source. The sink throws bodies away, so that what is
measured is the work of Spark, of the encoding and of the process that sends. The ways take turns;
the first round warms them up. The memory is the most that each kind of process came to, sampled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

import celonis_frames  # noqa: F401  # gives frames of Spark their accessor

from .peaks import measure, sizes_to_measure

POOL = "11111111-2222-3333-4444-555555555555"
COLUMNS = (
    "lpad(cast(id % 200000 AS STRING), 10, '0') AS CASE_KEY",
    "id AS DOCUMENT",
    "element_at(array('Create', 'Approve', 'Change Price', 'Send', 'Receive', 'Invoice', 'Pay'), "
    "1 + cast(pmod(hash(id, 1), 7) AS INT)) AS ACTIVITY",
    "timestamp_seconds(1640995200 + pmod(hash(id, 2), 60000000)) AS EVENTTIME",
    "concat('user', pmod(hash(id, 3), 300)) AS USER_NAME",
    "concat('org ', pmod(hash(id, 4), 40)) AS ORG",
    "cast(pmod(hash(id, 5), 1000000) AS DECIMAL(18, 2)) / 100 AS AMOUNT",
    "element_at(array('EUR', 'USD', 'GBP'), 1 + cast(pmod(hash(id, 6), 3) AS INT)) AS CURRENCY",
    "pmod(hash(id, 7), 500) AS QUANTITY",
    "pmod(hash(id, 8), 10) = 0 AS AUTOMATED",
    "cast(hash(id, 9) AS DOUBLE) / 7 AS WEIGHT",
    "if(pmod(hash(id, 10), 3) = 0, NULL, concat('remark ', hex(hash(id, 11)), ' on ', "
    "hex(hash(id, 12)))) AS REMARK",
)


KINDS = ("driver", "driver JVM", "executor JVM", "Python worker")


def kind_of(process: psutil.Process) -> str | None:
    """Which kind of process this is, among those below the driver."""
    line = " ".join(process.cmdline())
    if "pyspark" in line and "python" in process.name():
        return "Python worker"
    if "CoarseGrainedExecutorBackend" in line:
        return "executor JVM"
    return "driver JVM" if "java" in process.name() else None


def session() -> Any:
    """Two executors, each a process with one core."""
    from pyspark.sql import SparkSession  # noqa: PLC0415  # after the environment is set

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.files.maxPartitionBytes": str(24 << 20),
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    found = builder.getOrCreate()
    found.sparkContext.setLogLevel("ERROR")
    return found


def ways(spark: Any, rows: int, folder: Path) -> dict[str, Callable[[], object]]:
    """The ways to write the same frame."""
    source = folder / f"rows-{rows}"
    if not source.exists():
        spark.range(0, rows, 1, max(2, rows // 250_000)).selectExpr(*COLUMNS).write.parquet(
            str(source)
        )
    frame, stage = spark.read.parquet(str(source)), folder / "stage"
    print(f"{rows:,} rows in {frame.rdd.getNumPartitions()} partitions", flush=True)
    write = frame.write.format("celonis").options(pool=POOL, table="T", staging=str(stage))
    return {
        "Parquet": lambda: frame.write.mode("overwrite").parquet(str(folder / "out")),
        "push": lambda: frame.celonis.push(
            POOL, "T", mode="REPLACE", staging=stage, progress=False
        ),
        "data source": lambda: write.mode("overwrite").save(),
    }


def main() -> None:
    """Measure each size that was asked for."""
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with sizes_to_measure(__doc__) as (sizes, folder, repeat):
        spark = session()
        for rows in sizes:
            measure(ways(spark, rows, folder), KINDS, kind_of, repeat)
        spark.stop()


if __name__ == "__main__":
    main()
