"""A process that pushes a frame of Spark and dies at a step: SEED STEP TABLE STAGE."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import spark_faults
from pyspark.sql import SparkSession
from spark_cluster import SHORT_LIVED

from celonis_frames._push import pipeline
from celonis_frames._staging.stage import Stage


def die(*_: Any, **__: Any) -> None:
    """End at once, as by a signal."""
    os._exit(9)


def die_at(step: str) -> None:
    """Die in this process: when all chunks are staged, the stage is sealed, the job submitted."""
    if step == "staged":
        Stage.seal = die  # type: ignore[method-assign]
    elif step == "sealed":
        pipeline.deliver = die  # type: ignore[assignment]
    elif step == "submitted":
        pipeline.follow = die  # type: ignore[assignment]
    else:
        raise ValueError(step)


if __name__ == "__main__":
    seed, step, table, stage = sys.argv[1:]
    spark = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    spark = spark.config("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
    for name, value in SHORT_LIVED.items():
        spark = spark.config(name, value)
    session = spark.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    marks = Path(stage).parent / "marks"
    marks.parent.mkdir()
    fault = spark_faults.Fault.seeded("raise", int(seed), Path(stage), marks)
    die_at(step)
    spark_faults.frame(session, fault).celonis.push(
        "P", table, staging=stage, upload=spark_faults.CHUNK
    )
