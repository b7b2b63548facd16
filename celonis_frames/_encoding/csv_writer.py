"""Writes CSV files with Arrow's CSV writer, in the dialect that the job declares.

Strings are quoted and nulls are empty, so that an empty string differs from a null; numbers have
all their digits. Values that CSV cannot hold are rejected before: see docs/types.md.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv

from celonis_frames._arrow import casts

CSV_OPTIONS = {
    "separatorSequence": ",",
    "quoteSequence": '"',
    "escapeSequence": '"',
    "lineEnding": "\n",
    "charSet": "UTF-8",
    "decimalSeparator": ".",
    "dateFormat": "yyyy-MM-dd HH:mm:ss.SSSSSS",
}
"""The dialect of the files, as ``csvParsingOptions`` of the job."""


class CsvWriter:
    """Writes tables of one schema into one CSV file with a header."""

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        # Arrow's own header does not double the quotes in a name.
        sink.write((",".join(_quoted(name) for name in schema.names) + "\n").encode())
        options = pcsv.WriteOptions(include_header=False, quoting_style="needed")
        plain = pa.schema([(field.name, _value_type(field.type)) for field in schema])
        self._schema = plain
        self._writer = pcsv.CSVWriter(sink, plain, write_options=options)

    def write_table(self, table: pa.Table) -> None:
        """Write the rows of a table."""
        columns = [
            column if column.type == field.type else _decoded(column, field.type)
            for column, field in zip(table.columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _decoded(column: Any, kind: pa.DataType) -> Any:
    return pa.chunked_array([casts.decoded(chunk) for chunk in column.chunks], kind)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
