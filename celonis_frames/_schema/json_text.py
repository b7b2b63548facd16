"""Lists, structs and maps as JSON.

Arrow writes no JSON, so the values are converted row by row in Python.
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
from celonis_frames._schema.conversion_options import Binary, ConversionOptions, Infinity


def json_text(array: Any, options: ConversionOptions) -> Any:
    """Each value as one line of JSON.

    Dates and times become strings in ISO 8601, decimals and UUIDs strings as Python writes them,
    durations seconds, NaN null (JSON has none). A map becomes a list of pairs, since its keys need
    not be strings. The options decide about bytes and infinities.

    Raises:
        ConversionError: A value that JSON cannot hold, or that the options reject.
    """
    default = _json_default(options.binary)

    def dump(value: Any) -> str:
        try:
            return json.dumps(value, default=default, ensure_ascii=False, allow_nan=False)
        except ValueError:
            finite = _replace_nonfinite(value, options.infinity)
            return json.dumps(finite, default=default, ensure_ascii=False)

    values = array.to_pylist()
    return pa.array([None if v is None else dump(v) for v in values], pa.large_string())


def _json_default(binary: Binary) -> Callable[[Any], Any]:
    def default(value: Any) -> Any:
        if isinstance(value, bytes):
            if binary == "error":
                raise ConversionError(
                    'that contain bytes: push with binary="hex" or binary="base64" to send them '
                    "as strings"
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
            f"that contain {type(value).__name__} objects, which JSON cannot hold: convert them "
            "in the frame"
        )

    return default


def _replace_nonfinite(value: Any, infinity: Infinity) -> Any:
    """The value with null in place of NaN and, with ``infinity="null"``, of infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        if math.isinf(value) and infinity == "error":
            raise ConversionError(
                'that contain infinities: push with infinity="null" to send them as null'
            )
        return None
    if isinstance(value, dict):
        return {key: _replace_nonfinite(inner, infinity) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_nonfinite(inner, infinity) for inner in value]
    return value
