"""Spark's data source ``celonis``: ``df.write.format("celonis")`` and ``df.writeStream``.

It needs Spark 4.0, streams need 4.1. Spark finds it by itself where celonis_frames is installed;
elsewhere register it: ``spark.dataSource.register(CelonisDataSource)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from pyspark.sql.datasource import DataSource
except ImportError as error:
    raise ImportError(
        "celonis_frames.spark needs Spark 4.0 or newer with its Python API: "
        "pip install 'celonis-frames[spark]'. On Spark 3.5 call spark_df.celonis.push(…)."
    ) from error

from celonis_frames._sources.spark import arrow_schema
from celonis_frames._spark.batch_writer import BatchWriter
from celonis_frames._spark.write_options import parse_write_options
from celonis_frames.exceptions import ConfigError

if TYPE_CHECKING:
    from celonis_frames._spark.stream_writer import StreamWriter

__all__ = ["CelonisDataSource"]

_SPARKS_OWN = ("path", "checkpointLocation", "queryName", "outputMode", "triggerInterval")
"""Options of a streaming query that come along."""


class CelonisDataSource(DataSource):  # type: ignore[misc]
    """Writes DataFrames of Spark into Celonis; it cannot be read.

    ::

        (df.write.format("celonis").option("pool", "Purchasing").option("table", "EVENTS")
           .option("keys", "CASE_ID,EVENT_ID").option("staging", "s3://bucket/celonis")
           .mode("append").save())

    Mode ``append`` is a DELTA, ``overwrite`` a REPLACE. The options are the parameters of `push` in
    camel case, such as ``deduplicateBy``, and those of `Upload`; ``pool``, ``table`` and
    ``staging`` are required. Names are separated by commas, mappings are JSON. Beside these:
    ``credentials``, ``"env"`` or ``"file:/path"`` of a file with the variables; ``status``, the
    fsspec URL of a file for the status, as JSON.

    The workers write the chunks to ``staging``. A process of the driver sends them when Spark
    commits, with the key of the driver's environment. Options hold no secret: Spark shows them.
    """

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "celonis"

    def schema(self) -> Any:
        """Raises ConfigError: there is nothing to read."""
        raise ConfigError(
            'The format "celonis" can only be written: df.write.format("celonis"). Tables of '
            "Celonis are read with its own tools."
        )

    def writer(self, schema: Any, overwrite: bool) -> BatchWriter:
        """Begin a write; nothing is sent before all rows are staged.

        Raises:
            ConfigError: An option is unknown, missing or makes no sense, or no key is found.
            FrameError, ApiError: As `push`, before it reads any row.
        """
        write = parse_write_options(self.options, mode="REPLACE" if overwrite else "DELTA")
        return BatchWriter.begin(write, arrow_schema(schema, "UTC"))

    def streamWriter(self, schema: Any, overwrite: bool) -> StreamWriter:  # noqa: N802  # Spark's
        """The writer of a stream's batches, each of which is a job.

        Raises:
            ConfigError: As `writer`; or the output mode is ``complete``, or Spark is older than
                4.1.
        """
        try:
            from celonis_frames._spark.stream_writer import StreamWriter  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                'Streams need Spark 4.1: push each batch in foreachBatch(), with push_id="…".'
            ) from error
        if overwrite:
            raise ConfigError(
                'Output mode "complete" would send the whole table with each batch: use "append", '
                'with option("keys", …) if rows change.'
            )
        write = parse_write_options(self.options, mode="DELTA", ignored=_SPARKS_OWN)
        return StreamWriter(write, arrow_schema(schema, "UTC"))
