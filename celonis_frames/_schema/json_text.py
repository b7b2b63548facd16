"""Lists, structs and maps as JSON text, one document a value.

The one place where values are looked at row by row in Python: Arrow writes no JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from celonis_frames._arrow.casts import ConversionError


def json_text(array: Any, *, binary: str, infinity: str) -> Any:
    """Each value as one line of JSON.

    Decimals, dates, times and UUIDs become text as ISO 8601 or Python writes them, durations
    seconds; NaN, for which JSON has no sign, becomes null. A map is a list of pairs, since its keys
    need not be text.

    Args:
        array: Any nested array.
        binary: What bytes become: ``"error"``, ``"hex"`` or ``"base64"``.
        infinity: What infinities become: ``"error"`` or ``"null"``.

    Raises:
        Unfit: A value that JSON cannot hold, or that the caller did not ask for.
    """
    default = _json_default(binary)

    def text(value: Any) -> str:
        try:
            return json.dumps(value, default=default, ensure_ascii=False, allow_nan=False)
        except ValueError:
            return json.dumps(
                _replace_nonfinite(value, infinity), default=default, ensure_ascii=False
            )

    values = array.to_pylist()
    return pa.array([None if v is None else text(v) for v in values], pa.large_string())


def _json_default(binary: str) -> Callable[[Any], Any]:
    def default(value: Any) -> Any:
        if isinstance(value, bytes):
            if binary == "error":
                raise ConversionError(
                    'of which some hold bytes: say binary="hex" or binary="base64" to send them '
                    "as text"
                )
            return value.hex() if binary == "hex" else b64encode(value).decode()
        if isinstance(value, dt.date | dt.time):
            return value.isoformat()
        if isinstance(value, dt.timedelta):
            return value.total_seconds()
        if isinstance(value, Decimal):
            return format(value, "f")
        if isinstance(value, UUID):
            return str(value)
        raise ConversionError(
            f"of which some hold {type(value).__name__} objects, which JSON cannot hold"
        )

    return default


def _replace_nonfinite(value: Any, infinity: str) -> Any:
    """The value with null in the place of NaN and, where asked for, of infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        if math.isinf(value) and infinity == "error":
            raise ConversionError(
                'of which some hold infinities: say infinity="null" to send them as null'
            )
        return None
    if isinstance(value, dict):
        return {key: _replace_nonfinite(inner, infinity) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_nonfinite(inner, infinity) for inner in value]
    return value
