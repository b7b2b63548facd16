"""Where Spark finds the data source ``celonis``: modules named so are searched for a DefaultSource.

Spark does so in every session: nothing but what Spark has loaded is imported before it is used.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql.datasource import DataSource


class DefaultSource(DataSource):
    """`celonis_frames.spark.CelonisDataSource`, imported when it is used."""

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "celonis"

    def _source(self) -> Any:
        from celonis_frames.spark import CelonisDataSource  # noqa: PLC0415

        return CelonisDataSource(self.options)

    def schema(self) -> Any:
        """As `CelonisDataSource.schema`."""
        return self._source().schema()

    def writer(self, schema: Any, overwrite: bool) -> Any:
        """As `CelonisDataSource.writer`."""
        return self._source().writer(schema, overwrite)

    def streamWriter(self, schema: Any, overwrite: bool) -> Any:  # noqa: N802
        """As `CelonisDataSource.streamWriter`."""
        return self._source().streamWriter(schema, overwrite)
