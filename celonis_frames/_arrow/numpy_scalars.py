"""NumPy scalars as Python or pandas objects of the same value, without importing either library.

Arrow rejects some of them, rounds long doubles, and does not combine widths.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

from celonis_frames._arrow.casts import ConversionError

_DAYS, _FINE = ("Y", "M", "W", "D"), ("ps", "fs", "as")
"""Units of dates, and units that pandas reads as other times."""

_FLOAT_BYTES = 8


def is_numpy(value: Any) -> bool:
    """Whether the value is a scalar or an array of NumPy."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic | numpy.ndarray)


def from_numpy(value: Any) -> Any:
    """A scalar as an object of Python or pandas; an array as a list.

    Raises:
        ConversionError: There is none that holds the value: of a long double, a complex number, a
            record, a time finer than nanoseconds or outside the years of pandas.
    """
    dtype = value.dtype
    if dtype.kind not in "biufmMOUS" or (dtype.kind == "f" and dtype.itemsize > _FLOAT_BYTES):
        raise _no_object(dtype)
    if hasattr(value, "shape") and value.shape:
        # NumPy's own `tolist` makes integers of times.
        return list(value) if dtype.kind in "mM" else value.tolist()
    return _time(value) if dtype.kind in "mM" else value.item()


def _time(value: Any) -> Any:
    pandas: Any = sys.modules["pandas"]
    unit = sys.modules["numpy"].datetime_data(value.dtype)[0]
    if pandas.isna(value):
        return None
    if unit in _FINE:
        raise _no_object(value.dtype)
    if value.dtype.kind == "M" and unit in _DAYS:
        day = value.astype("datetime64[D]").item()
        if not isinstance(day, dt.date):  # an integer
            raise _no_object(value.dtype)
        return day
    try:
        return pandas.Timedelta(value) if value.dtype.kind == "m" else pandas.Timestamp(value)
    except ValueError as error:
        raise _no_object(value.dtype) from error


def _no_object(dtype: Any) -> ConversionError:
    return ConversionError(
        f"that contain NumPy values of type {dtype}, which only NumPy holds exactly",
        "convert them in the frame, for example to float64, datetime64[ns] or strings",
    )
