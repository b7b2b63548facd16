"""polars DataFrames and LazyFrames as Arrow batches, without importing polars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import (
    BATCH_BYTES,
    BATCH_ROWS,
    MAX_OVERSIZE,
    coalesce_small,
    rows_per_batch,
    target_batch_bytes,
    wide_target,
)
from celonis_frames._arrow.extension_types import WideInteger, views_fit
from celonis_frames._arrow.text_sizes import longest_texts
from celonis_frames._sources.alignment import match_batches
from celonis_frames._sources.foreign_errors import translate_errors
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames.exceptions import ColumnTypeError

_WIDE = frozenset({"Int128", "UInt128"})
"""Types of integers that Arrow lacks."""


def read_polars(frame: Any, options: ReadOptions) -> Source:
    """A DataFrame's rows as Arrow batches; a column of Python objects is an error."""
    if options.choose is not None:
        frame = _select(frame, options.choose(frame.columns))
    batches: Callable[[], Iterator[pa.RecordBatch]]
    if frame.height <= BATCH_ROWS and frame.estimated_size() <= BATCH_BYTES:
        exported = _to_arrow(frame.rechunk())
        batches = partial(iter, exported.to_batches() if frame.height else [])
    else:
        exported = _to_arrow(frame.head(0))
        batches = partial(_slices, _Cuts(frame))
    return Source(
        "polars DataFrame", exported.schema, frame.height, True, True, batches, sized=True,
        longest_texts=partial(_longest_texts, frame),
    )  # fmt: skip


class _Cuts:
    """Where a large frame is cut into slices of a useful size; measured once, by polars."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._places: tuple[tuple[int, int], ...] | None = None  # first row and rows of each

    def slices(self) -> Iterator[Any]:
        """The slices, in order."""
        if self._places is not None:
            yield from (self._frame.slice(start, rows) for start, rows in self._places)
            return
        frame, start, places = self._frame, 0, list[tuple[int, int]]()
        width = frame.estimated_size() / max(frame.height, 1)
        target = wide_target(target_batch_bytes(in_memory=True), frame.width)
        rows = rows_per_batch(BATCH_ROWS, width, target, columns=frame.width)
        for part in frame.iter_slices(rows):
            for piece in _split(part, target):
                places.append((start, piece.height))
                start += piece.height
                yield piece
        self._places = tuple(places)


def _slices(cuts: _Cuts) -> Iterator[pa.RecordBatch]:
    """A large frame in batches."""
    with translate_errors("polars DataFrame"):
        parts = (_to_arrow(piece).to_batches() for piece in cuts.slices())
        yield from coalesce_small(chain.from_iterable(parts))


def _longest_texts(frame: Any, enough: Mapping[str, int]) -> Mapping[str, int]:
    """As `longest_texts`, by polars' own functions, which use all cores."""
    pl = sys.modules["polars"]
    found: dict[str, int] = {}
    kinds = frame.schema  # polars makes it anew each time
    categories = [name for name in enough if kinds[name] != pl.String]
    for part in _select(frame, categories).iter_slices(BATCH_ROWS) if categories else ():
        for name, length in longest_texts(iter(_to_arrow(part).to_batches()), enough).items():
            found[name] = max(length, found.get(name, 0))
    texts = _select(frame, [name for name in enough if kinds[name] == pl.String])
    found |= _greatest(texts, pl.all().str.len_bytes())
    long = [name for name in texts.columns if found.get(name, 0) > enough[name]]
    found |= _greatest(_select(frame, long), pl.all().str.len_chars())
    return {name: found.get(name, 0) for name in enough}


def _greatest(frame: Any, numbers: Any) -> dict[str, int]:
    """The greatest of the `numbers` of each column, slice by slice: few are in memory at a time."""
    found: dict[str, int] = {}
    for part in frame.iter_slices(BATCH_ROWS) if frame.width else ():
        for name, number in part.select(numbers.max()).row(0, named=True).items():
            found[name] = max(number or 0, found.get(name, 0))
    return found


def _select(frame: Any, names: Sequence[str]) -> Any:
    """The frame with some of its columns."""
    # By place: polars, or some versions of it, take names such as ^A$ for patterns.
    selectors = sys.modules["polars"].selectors
    places = {name: place for place, name in enumerate(frame.collect_schema().names())}
    return frame.select(selectors.by_index(*(places[name] for name in names)) if names else [])


def _split(part: Any, target: int) -> Iterator[Any]:
    """The rows in slices that are not too large, by the size that polars estimates."""
    parts = max(part.estimated_size() / target, part.height / BATCH_ROWS)
    if parts <= MAX_OVERSIZE or part.height <= 1:
        yield part
        return
    for piece in part.iter_slices(max(1, int(part.height / parts))):
        yield from _split(piece, target)


def read_lazy(frame: Any, options: ReadOptions) -> Source:
    """A LazyFrame's rows as Arrow batches.

    Each reading runs the query again on the streaming engine, with back-pressure; the result is
    never collected as a whole.
    """
    if options.choose is not None:
        frame = _select(frame, options.choose(frame.collect_schema().names()))
    schema = _to_arrow(frame.collect_schema().to_frame()).schema
    columns = len(schema)
    row_bytes = sum(map(_least_bytes, schema.types))
    rows = rows_per_batch(BATCH_ROWS, row_bytes, columns=columns)
    target = wide_target(BATCH_BYTES, columns)

    def parts() -> Iterator[pa.RecordBatch]:
        for part in frame.collect_batches(chunk_size=rows, maintain_order=True, engine="streaming"):
            for piece in _split(part, target):
                yield from _to_arrow(piece).to_batches()

    kind = "polars LazyFrame"

    def batches() -> Iterator[pa.RecordBatch]:
        with translate_errors(kind):
            yield from coalesce_small(match_batches(parts(), schema, kind))

    return Source(kind, schema, None, True, False, batches, sized=True)


def _least_bytes(kind: pa.DataType) -> float:
    """Arrow bytes of a value, of a string or a list those of its view."""
    try:
        return float(kind.bit_width) / 8
    except ValueError:
        return 16.0


def _to_arrow(frame: Any) -> pa.Table:
    pl = sys.modules["polars"]
    schema, wide = frame.schema, {}
    for name, dtype in schema.items():
        if dtype == pl.Object:
            raise ColumnTypeError(
                f"Column {name!r} has Python objects (polars Object), which Celonis cannot store: "
                "convert it to another polars type first.",
                column=name,
            )
        narrow = _without_wide(dtype)
        if narrow != dtype:
            wide[name] = narrow
    if wide:
        frame = frame.with_columns(
            [frame.get_column(name).cast(narrow) for name, narrow in wide.items()]
        )
    table = _export(frame, wide)
    for name in wide:
        place = table.schema.get_field_index(name)
        column = table.column(place)
        kind = _arrow_type_of(schema[name], column.type)
        digits = [_with_type(chunk, kind) for chunk in column.chunks]
        table = table.set_column(place, name, pa.chunked_array(digits, kind))
    return table


def _with_type(array: Any, kind: pa.DataType) -> Any:
    if isinstance(kind, WideInteger):
        return pa.ExtensionArray.from_storage(kind, array.cast(kind.storage_type))
    return array.cast(kind)


def _without_wide(dtype: Any) -> Any:
    """The type with strings in place of integers that Arrow lacks."""
    pl = sys.modules["polars"]
    if dtype.base_type().__name__ in _WIDE:
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_without_wide(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pl.Array(_without_wide(dtype.inner), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _without_wide(field.dtype) for field in dtype.fields})
    return dtype


def _arrow_type_of(dtype: Any, exported: pa.DataType) -> pa.DataType:
    """The exported type with `WideInteger` where polars has integers that Arrow lacks."""
    pl = sys.modules["polars"]
    if dtype.base_type().__name__ in _WIDE:
        return WideInteger()
    if isinstance(dtype, pl.Struct):
        pairs = zip(dtype.fields, exported, strict=True)
        return pa.struct([f.with_type(_arrow_type_of(own.dtype, f.type)) for own, f in pairs])
    if isinstance(dtype, pl.List):
        return pa.large_list(_arrow_type_of(dtype.inner, exported.value_type))
    if isinstance(dtype, pl.Array):
        return pa.list_(_arrow_type_of(dtype.inner, exported.value_type), exported.list_size)
    return exported


def _export(frame: Any, wide: Container[str]) -> pa.Table:
    """The frame in Arrow, its strings as the views that polars holds if pyarrow can write these.

    So no string is copied. The digits of `wide` integers are no strings in this sense.
    """
    pl = sys.modules["polars"]
    if not views_fit():
        # Of a clone: polars locks the frame that it exports, while pyarrow gives up the GIL, and
        # waits for this lock with the GIL. Two threads with one frame would wait for each other.
        return frame.clone().to_arrow(compat_level=pl.CompatLevel.oldest())
    # Not by `select`, which takes names such as ^A$ for patterns.
    texts, others = dict[str, Any](), dict[str, Any]()
    for column in frame.get_columns():
        is_text = column.dtype == pl.String and column.name not in wide
        (texts if is_text else others)[column.name] = column
    columns: dict[str, Any] = {}
    for part, level in ((texts, pl.CompatLevel.newest()), (others, pl.CompatLevel.oldest())):
        if part:
            # Without their names, of which polars changes an empty one.
            table = pl.DataFrame(list(part.values())).to_arrow(compat_level=level)
            columns.update(zip(part, table.columns, strict=True))
    return pa.Table.from_arrays(list(map(columns.__getitem__, frame.columns)), frame.columns)
