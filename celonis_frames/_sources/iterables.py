"""Frames that come one after the other: their common columns, and rows brought to one type.

A column's type is that of the first frame with a value in it: an empty first frame, or a column
that begins with nulls, decides nothing. Frames that come before the types are known wait in a file,
so that the memory stays bounded.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames.exceptions import ColumnTypeError, FrameError

Batches = Iterator[pa.RecordBatch]

WAIT_BYTES = 16_000_000
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
    waiting = tempfile.SpooledTemporaryFile(WAIT_BYTES)  # noqa: SIM115  # closed once it is read
    numbered = enumerate(frames, start=1)
    known: dict[str, pa.Field] = {}
    open_names: set[str] = set()
    number, written = 0, 0
    head: list[tuple[int, Batches]] = []
    for number, (schema, batches) in numbered:
        if not known:
            known = {field.name: field for field in schema}
            open_names = set(known)
            names = schema.names
        same_names(schema, names, number)
        rows = batches()
        # One batch is looked at before any is written: most first frames settle everything.
        first = next(rows, None)
        _settle(schema, first, known, open_names)
        if not open_names:
            head = [(number, rows)] if first is None else [(number, _again(first, rows))]
            break
        written += 1
        if first is not None:
            first = _without_views(first)
        with pa.ipc.new_stream(waiting, schema if first is None else first.schema) as sink:
            if first is not None:
                sink.write_batch(first)
                for batch in rows:
                    _settle(schema, batch, known, open_names)
                    sink.write_batch(_without_views(batch))
    schema = pa.schema([known[name].with_type(_wide(known[name].type)) for name in names])

    def all_batches() -> Batches:
        with waiting:
            waiting.seek(0)
            for place in range(written):
                for batch in _read_back(waiting):
                    yield aligned(batch, schema, place + 1)
        for place, rows in head:
            for batch in rows:
                yield aligned(batch, schema, place)
        for place, (found, batches) in numbered:
            same_names(found, names, place)
            for batch in batches():
                yield aligned(batch, schema, place)

    weakref.finalize(all_batches, waiting.close)  # where nobody reads the rows
    return schema, all_batches


def common_schema(
    frames: Iterable[tuple[pa.Schema, Callable[[list[str]], Batches]]],
) -> pa.Schema:
    """The schema of frames that can be read again, as `read_frames` would find it.

    Args:
        frames: Each frame's schema, and a function that yields the rows of some of its columns;
            at least one frame. Only columns that no earlier frame settled are read.

    Raises:
        FrameError: Frames of other columns than the first.
    """
    known: dict[str, pa.Field] = {}
    open_names: set[str] = set()
    for number, (schema, batches) in enumerate(frames, start=1):
        if not known:
            known = {field.name: field for field in schema}
            open_names = set(known)
            names = schema.names
        same_names(schema, names, number)
        _settle(schema, None, known, open_names)
        if not open_names:
            continue
        # The first batch settles most columns; for the others the frame is begun anew.
        for rows in (islice(batches(sorted(open_names)), 1), _lazily(batches, open_names)):
            for batch in rows:
                _settle(batch.schema, batch, known, open_names)
                if not open_names:
                    break
    return pa.schema([known[name].with_type(_wide(known[name].type)) for name in names])


def _lazily(batches: Callable[[list[str]], Batches], names: set[str]) -> Batches:
    if names:
        yield from batches(sorted(names))


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows as they can wait in a file: a view would bring all data that others point to."""
    columns = [
        casts.decoded(column) if casts.is_view(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _read_back(file: Any) -> Batches:
    with pa.ipc.open_stream(file) as source:
        yield from source


def _again(first: pa.RecordBatch, rest: Batches) -> Batches:
    yield first
    yield from rest


def _settle(
    schema: pa.Schema, batch: pa.RecordBatch | None, known: dict[str, pa.Field], names: set[str]
) -> None:
    """Note the type of every column that has its first value in this batch."""
    for name in list(names):
        place = schema.get_field_index(name)
        if batch is not None and casts.nulls(batch.column(place)) < batch.num_rows:
            names.discard(name)
            known[name] = schema.field(place)
        elif pa.types.is_null(known[name].type):
            known[name] = schema.field(place)


def _wide(kind: pa.DataType) -> pa.DataType:
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


def same_names(schema: pa.Schema, expected: list[str], number: int) -> None:
    names = schema.names
    if sorted(names) != sorted(expected):
        missing = [name for name in expected if name not in names]
        extra = [name for name in names if name not in expected]
        raise FrameError(
            f"Frame {number} of the iterator has other columns than the first: missing {missing}, "
            f"new {extra}. All frames of one push need the same columns."
        )


def aligned(batch: pa.RecordBatch, schema: pa.Schema, number: int) -> pa.RecordBatch:
    """The batch with the columns, order and types of the schema, or an error."""
    names = batch.schema.names
    arrays = []
    for field in schema:
        array = batch.column(names.index(field.name))
        if array.type != field.type:
            array = _cast(array, field, number)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(array: Any, field: pa.Field, number: int) -> Any:
    if casts.nulls(array) == len(array):
        return pa.nulls(len(array), field.type)
    try:
        if _sort(array.type) != _sort(field.type):
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


def _sort(kind: pa.DataType) -> str:
    """What is brought together: whole and broken numbers, texts, times with a zone, and so on.

    Decimals and floats are not: one would be rounded to the other.
    """
    plain = casts.storage_type(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return str(kind)
    if pa.types.is_timestamp(plain):
        return "timestamp" if plain.tz is None else "timestamp with zone"
    for sort, tests in _SORTS.items():
        if any(test(plain) for test in tests):
            return sort
    return str(plain)


_SORTS = {
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
