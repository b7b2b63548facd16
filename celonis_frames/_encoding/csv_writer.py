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
        names = ['"' + name.replace('"', '""') + '"' for name in schema.names]
        sink.write((",".join(names) + "\n").encode())
        options = pcsv.WriteOptions(include_header=False, quoting_style="needed")
        self._schema = pa.schema([(field.name, casts.storage_type(field.type)) for field in schema])
        self._writer = pcsv.CSVWriter(sink, self._schema, write_options=options)

    def write_table(self, table: pa.Table) -> None:
        """Write the rows of a table."""
        columns = [
            column
            if column.type == kind
            else pa.chunked_array([casts.decoded(chunk) for chunk in column.chunks], kind)
            for column, kind in zip(table.columns, self._schema.types, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """End the file."""
        self._writer.close()
