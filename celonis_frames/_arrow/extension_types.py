"""Types that Arrow or Parquet lacks: integers wider than 64 bits, and string views."""

from __future__ import annotations

import contextlib
import functools

import pyarrow as pa
import pyarrow.parquet as pq


class WideInteger(pa.ExtensionType):  # type: ignore[misc]  # Any at this border
    """Integers of more than 64 bits, stored as decimal strings."""

    def __init__(self) -> None:
        super().__init__(pa.large_string(), "celonis_frames.wide_integer")

    def __str__(self) -> str:
        return "integer of more than 64 bits"

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> WideInteger:
        del storage, serialized
        return cls()


@functools.cache
def views_fit() -> bool:
    """Whether pyarrow writes string views into Parquet, as from version 21 on."""
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema({"": pa.string_view()})).close()
    except pa.ArrowNotImplementedError:
        return False
    return True


# Registered to survive a file; a second import of this module finds the type registered.
with contextlib.suppress(pa.ArrowKeyError):
    pa.register_extension_type(WideInteger())
