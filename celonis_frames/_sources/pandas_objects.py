"""The Arrow type of a pandas column of Python objects: one type for all rows, or an error.

Arrow silently combines what it can: a date with a datetime, a Timestamp with nanoseconds with one
without, a string with bytes. Each of these loses something, so all rows are checked first, in
Python loops over the values, since Arrow and NumPy cannot see into Python objects.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.casts import ConversionError
from celonis_frames._arrow.extension_types import NestedObjects, WideInteger
from celonis_frames._arrow.numpy_scalars import from_numpy, is_numpy
from celonis_frames.exceptions import ColumnTypeError

Prepare = Callable[[Any], Any]
Encode = Callable[[Iterable[Any]], list[str]]

_INFERRED_TYPES = {
    "boolean": pa.bool_(), "bytes": pa.binary(), "date": pa.date32(), "empty": pa.null(),
    "string": pa.string(), "time": pa.time64("us"),
}  # fmt: skip
"""Arrow types by what `pandas.api.types.infer_dtype` returns for all rows."""


_WITHOUT_NUMPY = frozenset({
    "boolean", "bytes", "date", "decimal", "empty", "interval", "period", "string", "time"
})  # fmt: skip
"""What `infer_dtype` returns for columns without scalars of NumPy that need a conversion."""

_SECONDS = pa.decimal128(38, 9)
"""Durations that are too long for 64-bit microseconds."""


def object_type(
    name: str, series: Any, encode: Encode | None = None
) -> tuple[pa.DataType, Prepare]:
    """The Arrow type of an object column, found over all rows, and how a slice is prepared.

    `encode` returns dicts or lists as JSON; without it there are no rows to prepare.

    Raises:
        ColumnTypeError: Several types, or a type that has no Arrow counterpart. The message names
            the first row that differs and both types, but no value.
    """
    label = sys.modules["pandas"].api.types.infer_dtype(series, skipna=True)
    if label not in _WITHOUT_NUMPY and any(map(_is_numpy_scalar, series)):
        kind, prepare = object_type(name, _without_numpy(name, series), encode)
        return kind, lambda part: prepare(_without_numpy(name, part))
    if label in ("mixed-integer", "mixed-integer-float", "mixed", "date", "datetime", "time"):
        _check_one_type(name, series)
    if label in _INFERRED_TYPES:
        return _INFERRED_TYPES[label], unchanged
    first = next(iter(series.dropna()), None)
    if first is None:
        return pa.null(), unchanged
    texts = label in ("period", "interval") or _type_name(first) in ("Period", "Interval")
    if texts or isinstance(first, uuid.UUID):
        return pa.string(), _to_strings
    if _type_name(first) in ("dict", "list"):
        return NestedObjects(), functools.partial(_to_json, encode=encode)
    return _simple_type(name, label, series, first)


def _simple_type(name: str, label: str, series: Any, first: Any) -> tuple[pa.DataType, Prepare]:
    """The type of numbers, times and what else Arrow can infer."""
    try:
        if isinstance(first, set | frozenset):
            raise TypeError  # Arrow would make it a list, in arbitrary order
        kind = pa.array(series, from_pandas=True).type
    except UnicodeEncodeError as error:
        raise surrogate_error(name, "") from error
    except OverflowError:
        return WideInteger(), _to_wide_integers
    except (pa.ArrowException, TypeError, ValueError, ArithmeticError) as error:
        if label == "timedelta":  # longer than Arrow's unit can be
            return _SECONDS, _to_seconds
        if label == "datetime" and first.tzinfo is not None:  # a zone that Arrow lacks
            fine = any(map(_has_nanoseconds, series))
            return pa.timestamp("ns" if fine else "us", "UTC"), _to_utc
        raise _no_type_error(name, label, first) from error
    if label in ("datetime", "timedelta") and any(map(_has_nanoseconds, series)):
        # Arrow chooses microseconds, the unit of Python's own times, and would cut nanoseconds.
        kind = pa.timestamp("ns", kind.tz) if label == "datetime" else pa.duration("ns")
    return kind, unchanged


def values_error(name: str, error: ConversionError, row: int) -> ColumnTypeError:
    """The error for values that cannot be converted, from this row on."""
    return ColumnTypeError(
        f"Column {name!r} has values {error.what} (first in row {row:,}, counted from 0): "
        f"{error.advice}.",
        column=name,
    )


def surrogate_error(name: str, where: str) -> ColumnTypeError:
    """The error for a string that UTF-8 cannot store; `where` names its rows, or is empty."""
    return ColumnTypeError(
        f"Column {name!r} has a string with a lone surrogate (half a character){where}, which "
        "UTF-8 cannot store: clean it, for example with .str.encode('utf-8', 'replace')"
        ".str.decode('utf-8').",
        column=name,
    )


def _type_name(value: Any) -> str:
    """Name of the type of a value; types with the same name can share a column."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, dt.datetime):
        return "datetime without zone" if value.tzinfo is None else "datetime with zone"
    if isinstance(value, dt.time):
        return "time" if value.tzinfo is None else "time with zone"
    for type_name, kinds in _PYTHON_TYPES:
        if isinstance(value, kinds):
            return type_name
    # NumPy scalars have a kind; other objects are known by their class only.
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind and hasattr(value, "__len__"):
        return "list"
    return _NUMPY_TYPES.get(kind, type(value).__name__)


_PYTHON_TYPES: tuple[tuple[str, Any], ...] = (
    ("str", str), ("int", int), ("float", float), ("date", dt.date), ("timedelta", dt.timedelta),
    ("Decimal", decimal.Decimal), ("bytes", (bytes, bytearray, memoryview)), ("dict", dict),
    ("list", (list, tuple)), ("UUID", uuid.UUID),
)  # fmt: skip
_NUMPY_TYPES = {
    "i": "int", "u": "int", "f": "float", "b": "bool", "M": "datetime64", "m": "timedelta64",
}  # fmt: skip


def _check_one_type(name: str, series: Any) -> None:
    expected = None
    for row, value in _non_null(series):
        found = _type_name(value)
        if found == "time with zone":
            raise ColumnTypeError(
                f"Column {name!r} has a time of day with a zone in row {row}, and Celonis stores "
                "no zone: remove it with .replace(tzinfo=None), or convert it to a string.",
                column=name,
            )
        expected = expected or found
        if found != expected:
            raise ColumnTypeError(
                f"Column {name!r} mixes types: {expected} at first, {found} from row {row} on. "
                f"Convert it to one type, for example df[{name!r}].astype('string').",
                column=name,
            )


def _non_null(series: Any) -> Iterator[tuple[int, Any]]:
    missing = series.isna().to_numpy()
    return ((row, value) for row, value in enumerate(series) if not missing[row])


def _has_nanoseconds(value: Any) -> bool:
    return bool(getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0))


def decimals_error(name: str) -> ColumnTypeError:
    """The error for decimals that Arrow cannot hold."""
    return ColumnTypeError(
        f"Column {name!r} has decimals without a fixed number of digits (infinities, signaling "
        "NaN, or more than 76 digits): convert them to float or str first.",
        column=name,
    )


def _no_type_error(name: str, label: str, first: Any) -> ColumnTypeError:
    if label == "decimal":
        return decimals_error(name)
    return ColumnTypeError(
        f"Column {name!r} has {type(first).__name__} objects, which Arrow cannot convert: "
        "convert them to strings, numbers or times first.",
        column=name,
    )


def unchanged(part: Any) -> Any:
    """Prepares nothing."""
    return part


def with_surrogates(strings: Any, kind: pa.DataType) -> Any:
    """Strings as UTF-8 that is not valid where they have lone surrogates."""
    missing = strings.isna().to_numpy()
    raw = [
        None if null else value.encode("utf-8", "surrogatepass")
        for value, null in zip(strings, missing, strict=True)
    ]
    return pa.array(raw, pa.large_binary() if kind == pa.large_string() else pa.binary()).view(kind)


def _to_strings(part: Any) -> Any:
    return part.map(str, na_action="ignore")


def _to_json(part: Any, encode: Encode | None) -> Any:
    """Dicts and lists as JSON."""
    if encode is None:  # such columns are rejected: only their type counts
        return pa.nulls(len(part), NestedObjects())
    missing = part.isna().to_numpy()
    found = iter(encode(part[~missing]))
    texts = [None if null else next(found) for null in missing]
    return pa.ExtensionArray.from_storage(NestedObjects(), pa.array(texts, pa.large_string()))


def _to_utc(part: Any) -> Any:
    missing = part.isna().to_numpy()
    return [
        None if null else value.astimezone(dt.UTC)
        for value, null in zip(part, missing, strict=True)
    ]


def _to_seconds(part: Any) -> Any:
    """Durations in seconds, as decimals with all digits."""
    missing = part.isna().to_numpy()
    return [None if null else _seconds(value) for value, null in zip(part, missing, strict=True)]


def _seconds(value: Any) -> decimal.Decimal:
    micros = (value.days * 86_400 + value.seconds) * 10**6 + value.microseconds
    nanos = micros * 1000 + getattr(value, "nanoseconds", 0)
    return decimal.Decimal(nanos).scaleb(-9, decimal.Context(prec=38))


def _is_numpy_scalar(value: Any) -> bool:
    return is_numpy(value) and not value.shape


def _without_numpy(name: str, series: Any) -> Any:
    """The objects with Python's or pandas' own in place of NumPy's scalars."""
    pandas = sys.modules["pandas"]

    def plain(row: int, value: Any) -> Any:
        if not _is_numpy_scalar(value):
            return value
        try:
            found = from_numpy(value)
        except ConversionError as error:
            raise values_error(name, error, row) from error
        is_day = isinstance(found, dt.date) and not isinstance(found, dt.datetime)
        return pandas.Timestamp(found) if is_day else found

    values = [plain(row, value) for row, value in enumerate(series)]
    return pandas.Series(values, index=series.index, dtype=object)


def _to_wide_integers(part: Any) -> Any:
    digits = pa.array(_to_strings(part), pa.large_string(), from_pandas=True)
    return pa.ExtensionArray.from_storage(WideInteger(), digits)
