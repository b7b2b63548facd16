"""pandas frames as Arrow batches, without importing pandas and without copying the frame whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import nbytes, rows_per_batch, wished
from celonis_frames._sources.pandas_objects import object_type, surrogate_error
from celonis_frames.exceptions import ColumnNameError, ColumnTypeError

Batches = Callable[[], Iterator[pa.RecordBatch]]

_UNSUPPORTED_KINDS = "cV"

_SAMPLE_OBJECTS = 256
"""Objects of a batch that are looked at to tell how many fit one."""
_DEFAULT_OBJECT_BYTES = 24
"""Arrow bytes that any other object is taken for."""


@dataclass(frozen=True)
class _Column:
    """One column: its values, the Arrow type of all of them, and how a slice is prepared."""

    name: str
    series: Any
    type: pa.DataType
    prepare: Callable[[Any], Any]

    @property
    def expensive(self) -> bool:
        """Whether its values are Python objects, which are converted one by one."""
        dtype = self.series.dtype
        return (
            dtype.kind == "O"
            and type(dtype).__name__ != "ArrowDtype"
            and (
                getattr(dtype, "storage", "python") == "python"
                and not isinstance(dtype, sys.modules["pandas"].CategoricalDtype)
            )
        )

    def slice(self, start: int, stop: int) -> pa.Array:
        try:
            array = self.prepare(self.series.iloc[start:stop])
            if not isinstance(array, pa.Array):
                array = pa.array(array, type=self.type, from_pandas=True)
        except UnicodeEncodeError as error:
            raise surrogate_error(self.name, f" between rows {start} and {stop}") from error
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise ColumnTypeError(
                f"Column {self.name!r} has a value between rows {start} and {stop} that does not "
                f"fit its type {self.type}: convert the column first.",
                column=self.name,
            ) from error
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


@dataclass(frozen=True)
class PandasRows:
    """A DataFrame's rows.

    Attributes:
        schema: Their Arrow schema.
        batches: Yields them, each time it is called.
        notes: What the user should know.
        expensive: Whether converting them takes much of Python's time.
    """

    schema: pa.Schema
    batches: Batches
    notes: tuple[str, ...]
    expensive: bool


def read_pandas(frame: Any, *, index: bool | None) -> PandasRows:
    """A DataFrame's rows as Arrow batches.

    The types of object columns are found over all rows; the values are converted slice by slice.

    Args:
        frame: A pandas DataFrame.
        index: None keeps a named index as columns and drops an unnamed one; True and False force.

    Raises:
        ColumnNameError: A name is not text, or two columns have the same.
        ColumnTypeError: A column mixes types or has one without an Arrow counterpart.
    """
    series, notes = _named_series(frame, index)
    columns = [_convert_series(name, values) for name, values in series]
    schema = pa.schema([pa.field(column.name, column.type) for column in columns])
    rows = len(frame)
    fixed_bytes = sum(_value_bytes(column) for column in columns if not column.expensive)
    expensive = [column for column in columns if column.expensive]
    target = wished(in_memory=not expensive)

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        while start < rows:
            stop = start + rows_per_batch(rows - start, fixed_bytes, target)
            # Objects take their memory in Arrow only when they are converted: ask before.
            width = fixed_bytes + sum(_object_bytes(column, start, stop) for column in expensive)
            stop = start + rows_per_batch(rows - start, width, target)
            yield pa.RecordBatch.from_arrays(
                [column.slice(start, stop) for column in columns], schema=schema
            )
            start = stop

    return PandasRows(schema, batches, notes, any(column.expensive for column in columns))


def _named_series(frame: Any, index: bool | None) -> tuple[list[tuple[str, Any]], tuple[str, ...]]:
    pandas = sys.modules["pandas"]
    labels = list(frame.columns)
    if frame.columns.nlevels > 1:
        raise ColumnNameError(
            f"The columns have {frame.columns.nlevels} levels (MultiIndex): join them to one text "
            "each, for example df.columns = ['_'.join(map(str, c)) for c in df.columns]."
        )
    for position, label in enumerate(labels):
        if not isinstance(label, str):
            raise ColumnNameError(
                f"Column {position} is named {label!r} ({type(label).__name__}), but names must be "
                "text: rename it, for example df.rename(columns=str)."
            )
    found: list[tuple[str, Any]] = []
    notes: tuple[str, ...] = ()
    names = list(frame.index.names)
    unnamed = all(name is None for name in names)
    if index or (index is None and not unnamed):
        for level, name in enumerate(names):
            default = "index" if len(names) == 1 else f"level_{level}"
            values = pandas.Series(frame.index.get_level_values(level))
            found.append((default if name is None else str(name), values))
    elif index is None and frame.index.dtype.kind not in "iu":
        notes = (
            f"The unnamed index ({frame.index.dtype}) was not sent: name it or say index=True to "
            "send it, index=False to silence this.",
        )
    found += [(label, frame.iloc[:, position]) for position, label in enumerate(labels)]
    seen: set[str] = set()
    for name, _ in found:
        if name in seen:
            raise ColumnNameError(
                f"Two columns are named {name!r}{' (one is the index)' if index else ''}: rename "
                "one.",
                column=name,
            )
        seen.add(name)
    return found, notes


def _convert_series(name: str, series: Any) -> _Column:
    pandas = sys.modules["pandas"]
    dtype = series.dtype
    if isinstance(dtype, pandas.SparseDtype):
        dense = dtype.subtype
        if pandas.api.types.is_object_dtype(dense):
            return _convert_series(name, series.sparse.to_dense())
        kind = _arrow_type(name, series.iloc[:0].sparse.to_dense())
        return _Column(name, series, kind, lambda part: part.astype(dense))
    if isinstance(dtype, pandas.PeriodDtype | pandas.IntervalDtype):
        return _Column(name, series, pa.string(), lambda part: part.astype("string"))
    if isinstance(dtype, pandas.CategoricalDtype):
        return _convert_category(name, series)
    if pandas.api.types.is_object_dtype(dtype):
        return _Column(name, series, *object_type(name, series))
    return _Column(name, series, _arrow_type(name, series.iloc[:0]), _unchanged)


def _convert_category(name: str, series: Any) -> _Column:
    """Categories become a dictionary: whatever they are, they are converted once, not per row."""
    pandas = sys.modules["pandas"]
    categories = pandas.Series(series.cat.categories)
    try:
        dictionary = _convert_series(name, categories).slice(0, len(categories))
    except ColumnTypeError:
        # A category that no row has is no reason to refuse the column.
        used = series.cat.remove_unused_categories()
        if len(used.cat.categories) == len(categories):
            raise
        return _convert_category(name, used)

    def prepare(part: Any) -> Any:
        codes = part.array.codes
        # pandas has seen to it that no code is beyond the categories.
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes < 0), dictionary, safe=False
        )

    return _Column(name, series, prepare(series.iloc[:0]).type, prepare)


def _arrow_type(name: str, empty: Any) -> pa.DataType:
    try:
        if getattr(empty.dtype, "kind", "") in _UNSUPPORTED_KINDS:
            raise TypeError
        return pa.array(empty, from_pandas=True).type
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ColumnTypeError(
            f"Column {name!r} is {empty.dtype}, for which Arrow has no type: convert it first.",
            column=name,
        ) from error


def _unchanged(part: Any) -> Any:
    return part


def _value_bytes(column: _Column) -> float:
    """Arrow bytes of a value of a column that is no column of objects, roughly."""
    kind = column.type
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        if pa.types.is_dictionary(kind):
            return 4
        return float(max(32.0, nbytes(column.series.array) / max(len(column.series), 1)))


def _object_bytes(column: _Column, start: int, stop: int) -> float:
    """Arrow bytes of one of these objects, from some of them."""
    values = column.series.array[start : stop : max(1, (stop - start) // _SAMPLE_OBJECTS)]
    return sum(_bytes_of(value) for value in values) / max(len(values), 1)


def _bytes_of(value: Any) -> int:
    if isinstance(value, str | bytes):
        return 8 + len(value)
    if isinstance(value, list | tuple | dict | set):
        return 8 + sum(_bytes_of(part) for part in value)
    return _DEFAULT_OBJECT_BYTES
