"""The program of a user of another cluster: KIND MASTER WAY SEED TABLE STAGE."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import spark_faults
from pyspark.sql import SparkSession
from spark_cluster import SHORT_LIVED

import celonis_frames  # noqa: F401  # gives frames of Spark their accessor

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "600m",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100",
    "spark.speculation": "true",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.interval": "200ms",
    "spark.speculation.minTaskRuntime": "500ms",
}


def session(kind: str, master: str) -> Any:
    """A session of the kind."""
    if kind == "connect":
        return SparkSession.builder.remote(master).getOrCreate()
    builder = SparkSession.builder.master(master)
    for name, value in {**SETTINGS, **SHORT_LIVED}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def watch(stage: Path, part: int) -> None:
    """Say when the chunks of two attempts at a partition are there."""
    while True:
        chunks = spark_faults.chunks_of(stage, part)
        attempts = {path.stem.split("-", 3)[3] for path in chunks}
        if len(attempts) > 1:
            print("two attempts", flush=True)
            return
        time.sleep(0.005)


def main() -> None:
    """Push, write or stream, as the arguments say."""
    kind, master, way, seed, table, folder = sys.argv[1:]
    stage = Path(folder)
    spark = session(kind, master)
    fault = None
    if kind == "speculation":
        fault = spark_faults.Fault.seeded("slow", int(seed), stage, stage.parent / "marks")
        threading.Thread(target=watch, args=(stage, fault.part), daemon=True).start()
    frame = spark_faults.frame(spark, fault)
    options = {"pool": "P", "table": table, "staging": folder, "chunkBytes": "100 KB"}
    if way == "push":
        status = frame.celonis.push("P", table, staging=stage, upload=spark_faults.CHUNK)
        print(status.parts, "parts")
    elif way == "source":
        frame.write.format("celonis").options(**options).mode("append").save()
    else:
        source = str(stage.parent / "in")
        frame.write.parquet(source)
        query = (
            spark.readStream.schema(frame.schema).parquet(source)
            .writeStream.format("celonis").options(**options)
            .option("checkpointLocation", str(stage.parent / "checkpoint"))
            .trigger(availableNow=True).start()
        )  # fmt: skip
        query.awaitTermination(300)
    spark.stop()


if __name__ == "__main__":
    main()
