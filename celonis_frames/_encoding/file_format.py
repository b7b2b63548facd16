"""What files of chunks are: their type, codec, and the columns that get a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._encoding.codecs import DEFAULT_CODEC

__all__ = ["FileFormat"]

_GLANCE, _GLANCE_SHARE = 1_000, 0.8
_DICTIONARY_SAMPLE, _DICTIONARY_SHARE = 20_000, 0.1
_INDEX = 3
"""Bytes that a value takes besides itself, if it turns out that a dictionary does not pay."""
_HEADER, _FOOTER = 50, 100
"""Bytes that each column of a row group takes besides its values, there and in the footer."""


@dataclass
class FileFormat:
    """What files are written, the same for all of one push.

    Attributes:
        schema: Arrow schema of the wire.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Name of a Parquet codec.
        dictionary: Columns that are written with a dictionary; None until rows are seen.
    """

    schema: pa.Schema
    file_type: str = "PARQUET"
    compression: str = DEFAULT_CODEC
    dictionary: tuple[str, ...] | None = None

    @property
    def overhead(self) -> int:
        """Bytes that a row group takes besides its values: headers, and its part of the footer."""
        return self.footer + _HEADER * len(self.schema) if self.file_type == "PARQUET" else 0

    @property
    def footer(self) -> int:
        """Those of them that are written at the end of the file."""
        return _FOOTER * len(self.schema) if self.file_type == "PARQUET" else 0

    @cached_property
    def dictionaries(self) -> tuple[int, ...]:
        """Places of the columns that come as dictionaries."""
        kinds = enumerate(self.schema.types)
        return tuple(place for place, kind in kinds if pa.types.is_dictionary(kind))

    @property
    def widening(self) -> int:
        """Bytes that a row may take more in the file than in Arrow, if nothing compresses."""
        if self.file_type == "CSV":
            return 20 * len(self.schema)
        return self._times + _INDEX * len(self.dictionary or ())

    @cached_property
    def _times(self) -> int:
        return 4 * sum(bool(pa.types.is_timestamp(kind)) for kind in self.schema.types)  # INT96

    def see(self, batch: pa.RecordBatch) -> None:
        """Decide, by the first rows, what depends on the values."""
        if self.dictionary is None and self.file_type == "PARQUET":
            self.dictionary = tuple(_dictionary_columns(batch))


def _dictionary_columns(batch: pa.RecordBatch) -> list[str]:
    """Columns whose values repeat enough for a dictionary to pay, judged by the first rows."""
    return [
        field.name
        for field, column in zip(batch.schema, batch.columns, strict=True)
        if pa.types.is_dictionary(field.type)
        or not (pa.types.is_boolean(field.type) or _mostly_different(column))
    ]


def _mostly_different(column: Any) -> bool:
    # A few rows tell of most columns; the others are looked at for longer.
    for rows, share in ((_GLANCE, _GLANCE_SHARE), (_DICTIONARY_SAMPLE, _DICTIONARY_SHARE)):
        sample = casts.decoded(column.slice(0, rows))
        if pc.count_distinct(sample).as_py() > share * len(sample):
            return True
    return False
