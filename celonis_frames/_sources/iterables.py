"""Frames that come one after the other: their common columns, and rows brought to one type.

A column's type is that of the first frame with a value in it: an empty first frame, or a column
that begins with nulls, decides nothing. Frames that come before the types are known wait in a file,
so that the memory stays bounded.
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
"""Bytes of waiting frames that are held in memory before they go into a file."""


def read_frames(
    frames: Iterator[tuple[pa.Schema, Callable[[], Batches]]],
) -> tuple[pa.Schema, Callable[[], Batches]]:
    """The schema of all frames, and a function that yields their rows in it, once.

    Args:
        frames: Each frame's schema and a function that yields its rows; at least one frame.

    Raises:
        FrameError: Frames of other columns than the first.
        ColumnTypeError: Columns of types that cannot be brought together without loss.
    """
    waiting = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  # closed once it is read
    numbered = enumerate(frames, start=1)
    fields: dict[str, pa.Field] = {}
    undecided: set[str] = set()
    number, written = 0, 0
    head: list[tuple[int, Batches]] = []
    for number, (schema, batches) in numbered:
        if not fields:
            fields = {field.name: field for field in schema}
            undecided = set(fields)
            names = schema.names
        check_same_names(schema, names, number)
        rows = batches()
        # One batch is looked at before any is written: most first frames settle everything.
        first = next(rows, None)
        _record_types(schema, first, fields, undecided)
        if not undecided:
            head = [(number, rows)] if first is None else [(number, chain([first], rows))]
            break
        written += 1
        if first is not None:
            first = _decode_views(first)
        with pa.ipc.new_stream(waiting, schema if first is None else first.schema) as sink:
            if first is not None:
                sink.write_batch(first)
                for batch in rows:
                    _record_types(schema, batch, fields, undecided)
                    sink.write_batch(_decode_views(batch))
    schema = pa.schema([fields[name].with_type(_widest_type(fields[name].type)) for name in names])

    def all_batches() -> Batches:
        with waiting:
            waiting.seek(0)
            for place in range(written):
                for batch in _read_spooled(waiting):
                    yield align_to_schema(batch, schema, place + 1)
        for place, rows in head:
            for batch in rows:
                yield align_to_schema(batch, schema, place)
        for place, (found, batches) in numbered:
            check_same_names(found, names, place)
            for batch in batches():
                yield align_to_schema(batch, schema, place)

    weakref.finalize(all_batches, waiting.close)  # where nobody reads the rows
    return schema, all_batches


def infer_schema(
    frames: Iterable[tuple[pa.Schema, Callable[[list[str]], Batches]]],
) -> pa.Schema:
    """The schema of frames that can be read again, as `read_frames` would find it.

    Args:
        frames: Each frame's schema, and a function that yields the rows of some of its columns;
            at least one frame. Only columns that no earlier frame settled are read.

    Raises:
        FrameError: Frames of other columns than the first.
    """
    fields: dict[str, pa.Field] = {}
    undecided: set[str] = set()
    for number, (schema, batches) in enumerate(frames, start=1):
        if not fields:
            fields = {field.name: field for field in schema}
            undecided = set(fields)
            names = schema.names
        check_same_names(schema, names, number)
        _record_types(schema, None, fields, undecided)
        if not undecided:
            continue
        # The first batch settles most columns; for the others the frame is begun anew.
        for rows in (islice(batches(sorted(undecided)), 1), _read_if_any(batches, undecided)):
            for batch in rows:
                _record_types(batch.schema, batch, fields, undecided)
                if not undecided:
                    break
    return pa.schema([fields[name].with_type(_widest_type(fields[name].type)) for name in names])


def _read_if_any(batches: Callable[[list[str]], Batches], names: set[str]) -> Batches:
    if names:
        yield from batches(sorted(names))


def _decode_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows as they can wait in a file: a view would bring all data that others point to."""
    columns = [
        casts.decoded(column) if casts.is_view(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _read_spooled(file: Any) -> Batches:
    with pa.ipc.open_stream(file) as source:
        yield from source


def _record_types(
    schema: pa.Schema, batch: pa.RecordBatch | None, fields: dict[str, pa.Field], names: set[str]
) -> None:
    """Note the type of every column that has its first value in this batch."""
    for name in list(names):
        place = schema.get_field_index(name)
        if batch is not None and casts.nulls(batch.column(place)) < batch.num_rows:
            names.discard(name)
            fields[name] = schema.field(place)
        elif pa.types.is_null(fields[name].type):
            fields[name] = schema.field(place)


def _widest_type(kind: pa.DataType) -> pa.DataType:
    """The widest type of the same Celonis type: later frames may be wider than the first."""
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind) and kind.unit in ("s", "ms"):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit in ("s", "ms"):
        return pa.duration("us")
    if casts.is_view(kind):  # which no pyarrow before 21 makes of other texts
        return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    return kind


def check_same_names(schema: pa.Schema, expected: list[str], number: int) -> None:
    names = schema.names
    if sorted(names) != sorted(expected):
        missing = [name for name in expected if name not in names]
        extra = [name for name in names if name not in expected]
        raise FrameError(
            f"Frame {number} of the iterator has other columns than the first: missing {missing}, "
            f"new {extra}. All frames of one push need the same columns."
        )


def align_to_schema(batch: pa.RecordBatch, schema: pa.Schema, number: int) -> pa.RecordBatch:
    """The batch with the columns, order and types of the schema, or an error."""
    names = batch.schema.names
    arrays = []
    for field in schema:
        array = batch.column(names.index(field.name))
        if array.type != field.type:
            array = _cast_column(array, field, number)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast_column(array: Any, field: pa.Field, number: int) -> Any:
    if casts.nulls(array) == len(array):
        return pa.nulls(len(array), field.type)
    try:
        if _type_family(array.type) != _type_family(field.type):
            raise pa.ArrowInvalid("of another sort")
        plain = casts.decoded(array)
        if pa.types.is_dictionary(field.type):
            return plain.cast(field.type.value_type).dictionary_encode().cast(field.type)
        return plain.cast(field.type)
    except pa.ArrowException as error:
        raise ColumnTypeError(
            f"Column {field.name!r} is {array.type} in frame {number} of the iterator and "
            f"{field.type} before, and its values do not fit: give all frames the same type.",
            column=field.name,
        ) from error


def _type_family(kind: pa.DataType) -> str:
    """What is brought together: whole and broken numbers, texts, times with a zone, and so on.

    Decimals and floats are not: one would be rounded to the other.
    """
    plain = casts.storage_type(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return str(kind)
    if pa.types.is_timestamp(plain):
        return "timestamp" if plain.tz is None else "timestamp with zone"
    for sort, tests in _TYPE_FAMILIES.items():
        if any(test(plain) for test in tests):
            return sort
    return str(plain)


_TYPE_FAMILIES = {
    "number": (pa.types.is_integer, pa.types.is_floating),
    "decimal": (pa.types.is_decimal,),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "binary": (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    ),
    "date": (pa.types.is_date,),
    "time": (pa.types.is_time,),
    "duration": (pa.types.is_duration,),
}
