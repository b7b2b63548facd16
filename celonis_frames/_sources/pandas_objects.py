"""The Arrow type of a pandas column of Python objects: one type for all rows, or an error.

Arrow silently combines what it can: a date with a datetime, a Timestamp with nanoseconds with one
without, a string with bytes. Each of these loses something, so all rows are checked first, in
Python loops over the values, since Arrow and NumPy cannot see into Python objects.
"""

from __future__ import annotations

import datetime as dt
import decimal
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames.exceptions import ColumnTypeError

Prepare = Callable[[Any], Any]

_INFERRED_TYPES = {
    "boolean": pa.bool_(), "bytes": pa.binary(), "date": pa.date32(), "empty": pa.null(),
    "string": pa.string(), "time": pa.time64("us"),
}  # fmt: skip
"""Arrow types by what `pandas.api.types.infer_dtype` returns for all rows."""


def object_type(name: str, series: Any) -> tuple[pa.DataType, Prepare]:
    """The Arrow type of an object column, found over all rows, and how a slice is prepared.

    Raises:
        ColumnTypeError: Several types, or a type that has no Arrow counterpart. The message names
            the first row that differs and both types, but no value.
    """
    label = sys.modules["pandas"].api.types.infer_dtype(series, skipna=True)
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
        _check_one_type_inside(name, series)
    try:
        if isinstance(first, set | frozenset):
            raise TypeError  # Arrow would make it a list, in arbitrary order
        kind = pa.array(series, from_pandas=True).type
    except UnicodeEncodeError as error:
        raise surrogate_error(name, "") from error
    except OverflowError:
        return WideInteger(), _to_wide_integers
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _no_type_error(name, label, first) from error
    if label in ("datetime", "timedelta") and any(map(_has_nanoseconds, series)):
        # Arrow chooses microseconds, the unit of Python's own times, and would cut nanoseconds.
        kind = pa.timestamp("ns", kind.tz) if label == "datetime" else pa.duration("ns")
    return kind, unchanged


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


def _check_one_type_inside(name: str, series: Any) -> None:
    """The same check for every place inside lists and dicts."""
    types: dict[tuple[str, ...], str] = {}
    for row, value in _non_null(series):
        for place, inner in _nested_values(value, ()):
            found = _type_name(inner)
            expected = types.setdefault(place, found)
            problem = ""
            if found != expected:
                problem = f"{expected} at first, {found} in row {row}"
            elif found == "time with zone" or _has_nanoseconds(inner):
                problem = f"in row {row} a {found}{' with nanoseconds' * _has_nanoseconds(inner)}"
            if problem:
                raise ColumnTypeError(
                    f"Column {name!r} has values inside its {_type_name(value)}s that cannot be "
                    f"sent as they are: {problem}. Give them one type, or convert them to JSON "
                    "in the frame.",
                    column=name,
                )


def _nested_values(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  # NaN
        return
    type_name = _type_name(value)
    yield place, value
    if type_name == "dict":
        for key, inner in value.items():
            yield from _nested_values(inner, (*place, str(key)))
    elif type_name == "list":
        for inner in value:
            yield from _nested_values(inner, (*place, "[]"))


def _non_null(series: Any) -> Iterator[tuple[int, Any]]:
    missing = series.isna().to_numpy()
    return ((row, value) for row, value in enumerate(series) if not missing[row])


def _has_nanoseconds(value: Any) -> bool:
    return bool(getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0))


def _no_type_error(name: str, label: str, first: Any) -> ColumnTypeError:
    if label == "decimal":
        return ColumnTypeError(
            f"Column {name!r} has decimals without a fixed number of digits (infinities, or more "
            "than 76 digits): convert them to float or str first.",
            column=name,
        )
    return ColumnTypeError(
        f"Column {name!r} has {type(first).__name__} objects, which Arrow cannot convert: "
        "convert them to strings, numbers or times first.",
        column=name,
    )


def unchanged(part: Any) -> Any:
    """Prepares nothing."""
    return part


def _to_strings(part: Any) -> Any:
    return part.map(str, na_action="ignore")


def _to_wide_integers(part: Any) -> Any:
    digits = pa.array(_to_strings(part), pa.large_string(), from_pandas=True)
    return pa.ExtensionArray.from_storage(WideInteger(), digits)
