"""Python dicts and lists as JSON: the same rules as `json_text`, for objects of pandas columns.

Arrow would give all dicts of a column the same keys, and all times the same zone. Most values are
written by Python's own encoder; what it does not write exactly is written here piece by piece, such
as bytes as keys and durations with all their digits.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from base64 import b64encode
from collections.abc import Callable, Iterable
from itertools import chain, islice
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa

from celonis_frames._arrow.casts import ConversionError
from celonis_frames._arrow.numpy_scalars import from_numpy, is_numpy
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.json_text import BYTES_ERROR, INFINITY_ERROR

_CONVERT = "convert them in the frame"
_CONTAINERS, _ATOMS = (dict, list, tuple), frozenset({str, int, float, bool, type(None)})

_BLOCK_ROWS = 64
"""Objects that are written in one call: more are no faster."""
_MAX_EXPONENT = 20_000
"""A decimal with a larger exponent has more digits than a column has characters."""


class _Piecewise(Exception):  # never leaves this module
    """A value that Python's encoder does not write exactly."""


class _Number(str):
    """A number with more digits than a float has."""

    __slots__ = ()


def object_encoder(options: ConversionOptions) -> Callable[[Iterable[Any]], list[str]]:
    """A function that returns each object as one line of JSON.

    It raises `ConversionError` if JSON cannot hold an object, or the options reject it.
    """
    writer = _Writer(options)
    encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, default=writer.for_encoder
    ).encode

    def dump_block(block: list[Any]) -> list[str]:
        # Calling the encoder takes as long as a small dict: it gets many rows at once, with a
        # string between them that occurs nowhere else.
        try:
            finite = list(map(writer.finite, block)) if writer.met_nan else block
            for value in finite:
                _check_keys(value)
            rows = chain.from_iterable((value, writer.border) for value in finite)
            texts = encode(list(rows))[1:].split(f', "{writer.border}"')
        except (_Piecewise, ValueError, RecursionError):
            return list(map(dump, block))
        del texts[-1]
        return [texts[0], *(text[2:] for text in texts[1:])]

    def dump(value: Any) -> str:
        try:
            return writer.text(value)
        except RecursionError as error:
            what = "that are nested too deeply, or contain themselves"
            raise ConversionError(what, _CONVERT) from error

    def dump_all(values: Iterable[Any]) -> list[str]:
        rest, texts = iter(values), list[str]()
        while block := list(islice(rest, _BLOCK_ROWS)):
            texts += dump_block(block)
        return texts

    return dump_all


def _check_keys(value: Any) -> None:
    """Raise `_Piecewise` if a dict has keys that are no strings: the encoder would convert them."""
    if isinstance(value, dict):
        try:
            "".join(value)
        except TypeError:
            raise _Piecewise from None
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for inner in value:
        # Most are of these types, of which none needs a check.
        if type(inner) not in _ATOMS and isinstance(inner, _CONTAINERS):
            _check_keys(inner)


class _Writer:
    """Writes objects as JSON piece by piece."""

    def __init__(self, options: ConversionOptions) -> None:
        self._binary, self._infinity = options.binary, options.infinity
        self.met_nan = False  # then others follow
        self.border = uuid4().hex

    def text(self, value: Any) -> str:
        """The value as JSON."""
        if isinstance(value, dict):
            items = {self._key(key): self.text(inner) for key, inner in value.items()}
            if len(items) < len(value):
                raise ConversionError("that contain a key as str and as bytes", _CONVERT)
            return f"{{{', '.join(f'{key}: {inner}' for key, inner in items.items())}}}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.text, value))}]"
        plain = value if _is_plain(value) else self._convert(value)
        if isinstance(plain, _Number):
            return str(plain)
        if isinstance(plain, str):
            return encode_basestring(plain)
        if isinstance(plain, bool) or plain is None:
            return {True: "true", False: "false", None: "null"}[plain]
        if isinstance(plain, int):
            return _digits(plain)
        if isinstance(plain, float):
            return float.__repr__(plain) if self._is_finite(plain) else "null"
        return self.text(plain)

    def finite(self, value: Any) -> Any:
        """The value with null in place of Python's NaN and infinities."""
        kind = type(value)
        if kind is float:
            return value if self._is_finite(value) else None
        if kind is dict:
            return {key: self.finite(inner) for key, inner in value.items()}
        return [self.finite(inner) for inner in value] if kind is list else value

    def for_encoder(self, value: Any) -> Any:
        """The value as something that Python's encoder writes exactly."""
        plain = self._convert(value)
        if isinstance(plain, _Number):
            raise _Piecewise
        _check_keys(plain)
        return plain

    def _key(self, key: Any) -> str:
        if isinstance(key, bytes):
            key = key.decode()
        if not isinstance(key, str):
            raise ConversionError(
                f"that contain a dict with a key of type {type(key).__name__}",
                "convert the keys to str in the frame, since JSON has no others",
            )
        return encode_basestring(key)

    def _is_finite(self, value: Any) -> bool:
        if math.isfinite(value):
            return True
        self.met_nan = True
        if math.isinf(value) and self._infinity != "null":
            raise ConversionError(*INFINITY_ERROR)
        return False

    def _convert(self, value: Any) -> Any:
        """The value as an object that JSON has; `ConversionError` if there is none."""
        if type(value).__name__ in ("NaTType", "NAType"):
            return None
        for kinds, convert in _CONVERSIONS:
            if isinstance(value, kinds):
                return convert(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(bytes(value))
        if isinstance(value, decimal.Decimal):
            return self._decimal(value)
        if is_numpy(value):
            return from_numpy(value)
        name = type(value).__name__
        raise ConversionError(f"that contain {name} objects, which JSON cannot hold", _CONVERT)

    def _bytes(self, value: bytes) -> str:
        if self._binary == "error":
            raise ConversionError(*BYTES_ERROR)
        return value.hex() if self._binary == "hex" else b64encode(value).decode()

    def _decimal(self, value: decimal.Decimal) -> str | None:
        if value.is_nan() or not (value.is_finite() or self._is_finite(float(value))):
            return None
        if abs(value.adjusted()) > _MAX_EXPONENT:
            raise ConversionError("that contain decimals with huge exponents", _CONVERT)
        return format(value, "f")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python's limit of digits
        return format(decimal.Decimal(int(value)), "f")


def _moment(value: dt.datetime | dt.time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise ConversionError(
            "that contain times with a zone but no date, so that their offset is not known",
            "give them a fixed offset, or none",
        )
    return _date(value) if isinstance(value, dt.datetime) else value.isoformat()


def _date(value: dt.date) -> str:
    if not dt.MINYEAR <= value.year <= dt.MAXYEAR:  # pandas has more years
        raise ConversionError("that contain dates outside the years 1 to 9999", "replace them")
    return value.isoformat()


def _duration(value: dt.timedelta) -> _Number:
    micros = (value.days * 86_400 + value.seconds) * 10**6 + value.microseconds
    nanos = micros * 1000 + getattr(value, "nanoseconds", 0)
    whole, rest = divmod(abs(nanos), 10**9)
    fraction = f"{rest:09d}".rstrip("0") or "0"
    return _Number(f"{'-' if nanos < 0 else ''}{whole}.{fraction}")


_CONVERSIONS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (dt.datetime, _moment), (dt.date, _date), (dt.time, _moment), (dt.timedelta, _duration),
    (UUID, str), (pa.Scalar, lambda value: value.as_py()),
)  # fmt: skip
