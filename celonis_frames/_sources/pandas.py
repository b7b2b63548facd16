"""pandas DataFrames as Arrow batches, slice by slice and without importing pandas."""

from __future__ import annotations

import decimal
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import (
    BATCH_ROWS,
    arrow_bytes,
    rows_per_batch,
    target_batch_bytes,
)
from celonis_frames._arrow.casts import ConversionError
from celonis_frames._arrow.extension_types import NestedObjects
from celonis_frames._arrow.text_sizes import longest_texts
from celonis_frames._sources.foreign_errors import translate_errors
from celonis_frames._sources.local_times import objects_without_zone
from celonis_frames._sources.pandas_objects import (
    decimals_error,
    object_type,
    surrogate_error,
    unchanged,
    values_error,
    with_surrogates,
)
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames.exceptions import CelonisFramesError, ColumnNameError, ColumnTypeError

_UNSUPPORTED_KINDS = "cV"
"""NumPy kinds that Arrow has no type for: complex numbers and records."""

_SAMPLE_OBJECTS = 256
"""Objects of a batch that are measured to estimate how many fit one."""
_DEFAULT_OBJECT_BYTES = 24
"""Arrow bytes assumed for objects other than strings, bytes and collections."""


@dataclass(frozen=True)
class _Column:
    """One column: its values, their Arrow type, and how a slice is prepared for Arrow."""

    name: str
    series: Any
    type: pa.DataType
    prepare: Callable[[Any], Any]
    unit: str = "row"  # what the values are, in messages
    surrogates: bool = False  # see `ReadOptions`

    @property
    def expensive(self) -> bool:
        """Whether the values are Python objects, which are converted one by one."""
        dtype = self.series.dtype
        return (
            dtype.kind == "O"
            and type(dtype).__name__ != "ArrowDtype"
            and getattr(dtype, "storage", "python") == "python"
            and not isinstance(dtype, sys.modules["pandas"].CategoricalDtype)
        )

    def slice(self, start: int, stop: int) -> pa.Array:
        """The values of some rows.

        Raises:
            ColumnTypeError: A value does not fit; the message names the first one's row.
        """
        try:
            return self._converted(start, stop)
        except UnicodeEncodeError as error:
            where = f" in {self.unit} {self._first_failing(start, stop):,}"
            raise surrogate_error(self.name, where) from error
        except ConversionError as error:
            raise values_error(self.name, error, self._first_failing(start, stop)) from error
        except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise
            raise ColumnTypeError(
                f"Column {self.name!r} has a value in {self.unit} "
                f"{self._first_failing(start, stop):,} that does not fit its type {self.type}: "
                "convert the column in the frame.",
                column=self.name,
            ) from error
        except (CelonisFramesError, MemoryError):
            raise
        except Exception as error:  # each library has its own
            raise _unreadable(self.name, self.series.dtype, error) from error

    def _converted(self, start: int, stop: int) -> pa.Array:
        whole = start == 0 and stop == len(self.series)
        array = self.prepare(self.series if whole else self.series.iloc[start:stop])
        if not isinstance(array, pa.Array):
            try:
                array = pa.array(array, type=self.type, from_pandas=True)
            except UnicodeEncodeError:
                if not self.surrogates:
                    raise
                array = with_surrogates(array, self.type)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array

    def _first_failing(self, start: int, stop: int) -> int:
        """The first of some rows that cannot be converted, of which one is."""
        while stop - start > 1:
            middle = (start + stop) // 2
            try:
                self._converted(start, middle)
            except Exception:  # the same as that of all rows
                stop = middle
            else:
                start = middle
        return start


def read_pandas(frame: Any, options: ReadOptions) -> Source:
    """A DataFrame's rows as Arrow batches.

    The types of object columns are found over all rows; the values are converted slice by slice.

    Raises:
        ColumnNameError: A name is no string, or two columns have the same name.
        ColumnTypeError: A column mixes types, or its type has no Arrow counterpart.
    """
    series, notes = _named_series(frame, options)
    column_notes: dict[str, str] = {}
    if options.local:
        series, column_notes = objects_without_zone(series)
    columns = [_convert_series(name, values, options) for name, values in series]
    schema = pa.schema([pa.field(column.name, column.type) for column in columns])
    rows = len(frame)
    fixed_bytes = sum(_value_bytes(column) for column in columns if not column.expensive)
    expensive = [column for column in columns if column.expensive]
    target = target_batch_bytes(in_memory=not expensive)

    kind, width = "pandas DataFrame", len(columns)

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        with translate_errors(kind):
            while start < rows:
                stop = start + rows_per_batch(rows - start, fixed_bytes, target, columns=width)
                # The Arrow size of objects is only known after the conversion: it is estimated.
                objects = sum(_object_bytes(column, start, stop) for column in expensive)
                row_bytes = fixed_bytes + objects
                stop = start + rows_per_batch(rows - start, row_bytes, target, columns=width)
                yield pa.RecordBatch.from_arrays(
                    [column.slice(start, stop) for column in columns], schema=schema
                )
                start = stop

    def some_columns(names: Iterable[str]) -> Iterator[pa.RecordBatch]:
        chosen = {column.name: column for column in columns if column.name in names}
        for start in range(0, rows, BATCH_ROWS):
            stop = min(start + BATCH_ROWS, rows)
            arrays = [column.slice(start, stop) for column in chosen.values()]
            yield pa.RecordBatch.from_arrays(arrays, list(chosen))

    def longest(enough: Mapping[str, int]) -> Mapping[str, int]:
        return longest_texts(some_columns(enough), enough)

    return Source(
        kind, schema, rows, True, True, batches, notes, column_notes,
        expensive=bool(expensive), longest_texts=None if expensive else longest,
    )  # fmt: skip


def _named_series(
    frame: Any, options: ReadOptions
) -> tuple[list[tuple[str, Any]], tuple[str, ...]]:
    """The columns to send with their names, levels of the index first, and warnings."""
    labels, index = list(frame.columns), options.index
    if frame.columns.nlevels > 1:
        raise ColumnNameError(
            f"The columns have {frame.columns.nlevels} levels (MultiIndex): join them to one name "
            "each, for example df.columns = ['_'.join(map(str, c)) for c in df.columns]."
        )
    levels, notes = _index_levels(frame, index)
    columns = [values for _, values in frame.items()]  # a column by its place costs far more
    found: list[tuple[Any, Callable[[], Any]]] = [
        *levels,
        *((label, functools.partial(columns.__getitem__, n)) for n, label in enumerate(labels)),
    ]
    if options.choose is not None:
        chosen = options.choose([name for name, _ in found if isinstance(name, str)])
        found, notes = [pair for pair in found if pair[0] in chosen], ()
    seen: set[str] = set()
    for position, (name, _) in enumerate(found, start=-len(levels)):
        if not isinstance(name, str):
            raise ColumnNameError(
                f"Column {position} is named {name!r} ({type(name).__name__}), but names must be "
                "strings: rename it, for example with df.rename(columns=str)."
            )
        if name in seen:
            raise ColumnNameError(
                f"Two columns are named {name!r}{' (one is the index)' if index else ''}: rename "
                "one.",
                column=name,
            )
        seen.add(name)
    return [(name, values()) for name, values in found], notes


def _index_levels(
    frame: Any, index: bool | None
) -> tuple[list[tuple[Any, Callable[[], Any]]], tuple[str, ...]]:
    """The levels of the index that are sent, and a warning if it is not."""
    names = list(frame.index.names)
    unnamed = all(name is None for name in names)
    if index or (index is None and not unnamed):
        levels: list[tuple[Any, Callable[[], Any]]] = []
        for level, name in enumerate(names):
            default = "index" if len(names) == 1 else f"level_{level}"
            shown = default if name is None else str(name)
            levels.append((shown, functools.partial(_level, frame.index, level)))
        return levels, ()
    if index is None and frame.index.dtype.kind not in "iu":
        note = (
            f"The unnamed index ({frame.index.dtype}) is not sent: name it or pass index=True to send "
            "it, index=False to silence this warning."
        )
        return [], (note,)
    return [], ()


def _level(index: Any, level: int) -> Any:
    return sys.modules["pandas"].Series(index.get_level_values(level))


def _convert_series(name: str, series: Any, options: ReadOptions) -> _Column:
    """How a column is converted; whatever a library raises is translated."""
    try:
        return _choose_conversion(name, series, options)
    except (CelonisFramesError, MemoryError):
        raise
    except decimal.InvalidOperation as error:
        raise decimals_error(name) from error
    except Exception as error:  # each library has its own
        raise _unreadable(name, series.dtype, error) from error


def _unreadable(name: str, dtype: Any, error: Exception) -> ColumnTypeError:
    return ColumnTypeError(
        f"Column {name!r} ({dtype}) cannot be read ({type(error).__name__}): convert it in the "
        "frame.",
        column=name,
    )


def _choose_conversion(name: str, series: Any, options: ReadOptions) -> _Column:
    pandas = sys.modules["pandas"]
    dtype = series.dtype
    if isinstance(dtype, pandas.SparseDtype):
        dense = dtype.subtype
        if pandas.api.types.is_object_dtype(dense):
            return _choose_conversion(name, series.sparse.to_dense(), options)
        kind = _arrow_type(name, dense)
        return _Column(name, series, kind, lambda part: part.astype(dense))
    if isinstance(dtype, pandas.PeriodDtype | pandas.IntervalDtype):
        return _Column(name, series, pa.string(), lambda part: part.astype("string"))
    if isinstance(dtype, pandas.CategoricalDtype):
        return _convert_category(name, series, options)
    if pandas.api.types.is_object_dtype(dtype):
        found = _Column(name, series, *object_type(name, series, options.encode))
    else:
        found = _Column(name, series, _arrow_type(name, dtype), unchanged)
    return replace(found, surrogates=options.surrogates)


def _convert_category(name: str, series: Any, options: ReadOptions) -> _Column:
    """A categorical column as an Arrow dictionary: each category is converted once, not per row."""
    pandas = sys.modules["pandas"]
    categories = pandas.Series(series.cat.categories)
    try:
        column = _choose_conversion(name, categories, replace(options, surrogates=False))
        column = replace(column, unit="category")
        dictionary = column.slice(0, len(categories))
    except ColumnTypeError:
        # A category that no row has is no reason to reject the column.
        used = series.cat.remove_unused_categories()
        if len(used.cat.categories) == len(categories):
            raise
        return _convert_category(name, used, options)

    def prepare(part: Any) -> Any:
        codes = pa.array(part.array.codes, mask=part.array.codes < 0)
        if isinstance(dictionary.type, NestedObjects):
            return dictionary.take(codes)
        # pandas has checked that every code has a category.
        return pa.DictionaryArray.from_arrays(codes, dictionary, safe=False)

    return _Column(name, series, prepare(series.iloc[:0]).type, prepare)


@functools.lru_cache(maxsize=256)
def _arrow_type_of(dtype: Any) -> pa.DataType:
    return pa.array(sys.modules["pandas"].Series([], dtype=dtype), from_pandas=True).type


def _arrow_type(name: str, dtype: Any) -> pa.DataType:
    try:
        if getattr(dtype, "kind", "") in _UNSUPPORTED_KINDS:
            raise TypeError
        return _arrow_type_of(dtype)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ColumnTypeError(
            f"Column {name!r} is {dtype}, for which Arrow has no type: convert it in the frame.",
            column=name,
        ) from error


def _value_bytes(column: _Column) -> float:
    """Approximate Arrow bytes of a value of a column that holds no Python objects."""
    kind = column.type
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        if pa.types.is_dictionary(kind):
            return 4
        return float(max(32.0, arrow_bytes(column.series.array) / max(len(column.series), 1)))


def _object_bytes(column: _Column, start: int, stop: int) -> float:
    """Arrow bytes of one object in some rows, estimated from a sample."""
    values = column.series.array[start : stop : max(1, (stop - start) // _SAMPLE_OBJECTS)]
    try:
        return sum(_bytes_of(value) for value in values) / max(len(values), 1)
    except RecursionError:  # the conversion will say so
        return _DEFAULT_OBJECT_BYTES


def _bytes_of(value: Any) -> int:
    if isinstance(value, str | bytes):
        return 8 + len(value)
    if isinstance(value, list | tuple | dict | set):
        return 8 + sum(_bytes_of(part) for part in value)
    return _DEFAULT_OBJECT_BYTES
