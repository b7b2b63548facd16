"""Several frames as one: their common schema, and rows cast to it.

A column has the type of the first frame with a value in it: an empty first frame, or a column that
begins with nulls, decides nothing. Frames that come before all types are known are spooled to a
temporary file, so that memory stays bounded.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames.exceptions import ColumnTypeError, FrameError

Batches = Iterator[pa.RecordBatch]

SPOOL_BYTES = 16_000_000
"""Bytes of spooled frames that are held in memory before they go to a file."""


class _ColumnTypes:
    """The names and types of the columns of several frames."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.undecided: set[str] = set()
        self._fields: dict[str, pa.Field] = {}

    def add_frame(self, schema: pa.Schema, number: int) -> None:
        """Check the names of a frame; those of frame 1 are the expected ones."""
        if number == 1:
            self.names, self.undecided = schema.names, set(schema.names)
            self._fields = {field.name: field for field in schema}
        check_same_names(schema, self.names, number)

    def add_values(self, schema: pa.Schema, batch: pa.RecordBatch | None) -> None:
        """Record the type of every column that has its first value in this batch."""
        for name in list(self.undecided):
            place = schema.get_field_index(name)
            if batch is not None and casts.nulls(batch.column(place)) < batch.num_rows:
                self.undecided.discard(name)
                self._fields[name] = schema.field(place)
            elif pa.types.is_null(self._fields[name].type):
                self._fields[name] = schema.field(place)

    def schema(self) -> pa.Schema:
        """The common schema, as far as it is decided."""
        fields = [self._fields[name] for name in self.names]
        return pa.schema([field.with_type(_widest_type(field.type)) for field in fields])


def read_frames(
    frames: Iterator[tuple[pa.Schema, Callable[[], Batches]]],
) -> tuple[pa.Schema, Callable[[], Batches]]:
    """The common schema of at least one frame, and a function that yields all rows in it, once.

    Raises:
        FrameError: A frame has other columns than the first.
        ColumnTypeError: The types of a column cannot be combined without loss.
    """
    spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  # closed once it is read
    numbered = enumerate(frames, start=1)
    types = _ColumnTypes()
    spooled = 0
    head: list[tuple[int, Batches]] = []
    for number, (schema, batches) in numbered:
        types.add_frame(schema, number)
        rows = batches()
        # The first batch is checked before any is spooled: it mostly decides every type.
        first = next(rows, None)
        types.add_values(schema, first)
        if not types.undecided:
            head = [(number, rows if first is None else chain([first], rows))]
            break
        spooled += 1
        if first is not None:
            first = _decode_views(first)
        with pa.ipc.new_stream(spool, schema if first is None else first.schema) as sink:
            if first is not None:
                sink.write_batch(first)
                for batch in rows:
                    types.add_values(schema, batch)
                    sink.write_batch(_decode_views(batch))
    names, common = types.names, types.schema()

    def all_batches() -> Batches:
        with spool:
            spool.seek(0)
            for number in range(1, spooled + 1):
                with pa.ipc.open_stream(spool) as source:
                    for batch in source:
                        yield align_to_schema(batch, common, number)
        for number, rows in head:
            for batch in rows:
                yield align_to_schema(batch, common, number)
        for number, (schema, batches) in numbered:
            check_same_names(schema, names, number)
            for batch in batches():
                yield align_to_schema(batch, common, number)

    weakref.finalize(all_batches, spool.close)  # if the rows are never read
    return common, all_batches


def infer_schema(frames: Iterable[tuple[pa.Schema, Callable[[list[str]], Batches]]]) -> pa.Schema:
    """The common schema of frames that can be read again, as `read_frames` finds it.

    Each function yields the rows of some columns: only those whose type is undecided are read.
    """
    types = _ColumnTypes()
    for number, (schema, batches) in enumerate(frames, start=1):
        types.add_frame(schema, number)
        types.add_values(schema, None)
        # The first batch decides most types; only for the others all rows are read.
        for most in (1, None):
            for batch in islice(batches(sorted(types.undecided)), most) if types.undecided else ():
                types.add_values(batch.schema, batch)
                if not types.undecided:
                    break
    return types.schema()


def _decode_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows as they are spooled: a view would take along all the data of its buffers."""
    columns = [
        casts.decoded(column) if casts.is_view(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _widest_type(kind: pa.DataType) -> pa.DataType:
    """The widest type of the same Celonis type, since later frames may be wider than the first."""
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind) and kind.unit in ("s", "ms"):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit in ("s", "ms"):
        return pa.duration("us")
    if casts.is_view(kind):  # pyarrow before 21 cannot cast other strings to views
        return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    return kind


def check_same_names(schema: pa.Schema, expected: list[str], number: int) -> None:
    """Raise `FrameError` if a frame has other columns than the first, in whatever order."""
    names = schema.names
    if sorted(names) != sorted(expected):
        missing = [name for name in expected if name not in names]
        extra = [name for name in names if name not in expected]
        raise FrameError(
            f"Frame {number} has other columns than the first: missing {missing}, new {extra}. All "
            "frames of one push need the same columns."
        )


def align_to_schema(batch: pa.RecordBatch, schema: pa.Schema, number: int) -> pa.RecordBatch:
    """A batch of this frame with the columns, order and types of the schema, cast without loss."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    arrays = [_cast_column(columns[field.name], field, number) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast_column(array: Any, field: pa.Field, number: int) -> Any:
    if array.type == field.type:
        return array
    if casts.nulls(array) == len(array):
        return pa.nulls(len(array), field.type)
    try:
        if _type_family(array.type) != _type_family(field.type):
            raise pa.ArrowInvalid("another family of types")
        plain = casts.decoded(array)
        if pa.types.is_dictionary(field.type):
            return plain.cast(field.type.value_type).dictionary_encode().cast(field.type)
        return plain.cast(field.type)
    except pa.ArrowException as error:
        raise ColumnTypeError(
            f"Column {field.name!r} is {array.type} in frame {number} and {field.type} before, and "
            "cannot be cast without loss: give all frames the same type.",
            column=field.name,
        ) from error


def _type_family(kind: pa.DataType) -> str:
    """The family of a type, in which casts are allowed: decimals as floats would be rounded."""
    plain = casts.storage_type(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return str(kind)
    if pa.types.is_timestamp(plain):
        return "timestamp" if plain.tz is None else "timestamp with zone"
    for family, tests in _TYPE_FAMILIES.items():
        if any(test(plain) for test in tests):
            return family
    return str(plain)


_is = pa.types
_TYPE_FAMILIES = {
    "number": (_is.is_integer, _is.is_floating),
    "decimal": (_is.is_decimal,),
    "string": (_is.is_string, _is.is_large_string, _is.is_string_view),
    "binary": (_is.is_binary, _is.is_large_binary, _is.is_binary_view, _is.is_fixed_size_binary),
    "date": (_is.is_date,),
    "time": (_is.is_time,),
    "duration": (_is.is_duration,),
}
