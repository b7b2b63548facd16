"""The format of a push's files: type, codec, and how the columns are encoded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from celonis_frames._encoding.codecs import DEFAULT_CODEC
from celonis_frames._encoding.column_encodings import ColumnEncodings, choose_encodings

_INDEX_BYTES = 3
"""Bytes that a value takes besides itself if a dictionary turns out not to pay."""

_HEADER_BYTES, _FOOTER_BYTES = 50, 100
"""Bytes of a column in a row group besides its values: its page header, its entry in the footer."""

_INT96_EXTRA_BYTES = 4
"""An INT96 timestamp has 12 bytes, Arrow's has 8."""

_CSV_EXTRA_BYTES = 20
"""Bytes that a number takes as CSV text at most, with its separator, beyond those in Arrow."""


@dataclass
class FileFormat:
    """The format of files, the same for all of one push."""

    schema: pa.Schema
    file_type: str = "PARQUET"
    compression: str = DEFAULT_CODEC
    encodings: ColumnEncodings | None = None  # in Parquet; None until rows are seen

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a row group besides its values, those in the footer included."""
        if self.file_type == "CSV":
            return 0
        return self.footer_bytes + _HEADER_BYTES * len(self.schema)

    @property
    def footer_bytes(self) -> int:
        """Bytes of a row group in the footer, which is written last."""
        return _FOOTER_BYTES * len(self.schema) if self.file_type == "PARQUET" else 0

    @cached_property
    def dictionary_positions(self) -> tuple[int, ...]:
        """Positions of the columns that are dictionaries in Arrow."""
        kinds = enumerate(self.schema.types)
        return tuple(position for position, kind in kinds if pa.types.is_dictionary(kind))

    @property
    def extra_row_bytes(self) -> int:
        """Bytes that a row may take in a file beyond those in Arrow, if nothing compresses."""
        if self.file_type == "CSV":
            return _CSV_EXTRA_BYTES * len(self.schema)
        chosen = self.encodings
        dictionaries = len(self.schema) if chosen is None else len(chosen.dictionaries)
        return self._extra_timestamp_bytes + _INDEX_BYTES * dictionaries

    @cached_property
    def _extra_timestamp_bytes(self) -> int:
        return _INT96_EXTRA_BYTES * sum(bool(pa.types.is_timestamp(t)) for t in self.schema.types)

    def choose_encodings(self, first: pa.Table) -> None:
        """Choose how the columns are encoded, by the first rows of a push."""
        if self.encodings is None and self.file_type == "PARQUET":
            self.encodings = choose_encodings(first, self.compression)
