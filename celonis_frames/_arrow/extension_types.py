"""Types that Arrow or Parquet lacks: wide integers, JSON of Python objects, string views."""

from __future__ import annotations

import contextlib
import functools
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.parquet as pq


class _TextType(pa.ExtensionType):  # type: ignore[misc]  # Any at this border
    """Values that are stored as strings."""

    name: ClassVar[str]
    shown: ClassVar[str]  # in messages

    def __init__(self) -> None:
        super().__init__(pa.large_string(), self.name)

    def __str__(self) -> str:
        return self.shown

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Self:
        del storage, serialized
        return cls()


class WideInteger(_TextType):
    """Integers of more than 64 bits, stored as decimal strings."""

    name, shown = "celonis_frames.wide_integer", "integer of more than 64 bits"


class NestedObjects(_TextType):
    """Python dicts and lists, stored as JSON."""

    name, shown = "celonis_frames.nested_objects", "object of dict or list"


@functools.cache
def views_fit() -> bool:
    """Whether pyarrow writes string views into Parquet, as from version 21 on."""
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema({"": pa.string_view()})).close()
    except pa.ArrowNotImplementedError:
        return False
    return True


# Registered to survive a file; a second import of this module finds the types registered.
for _kind in (WideInteger, NestedObjects):
    with contextlib.suppress(pa.ArrowKeyError):
        pa.register_extension_type(_kind())
