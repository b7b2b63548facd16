"""Sizes and counts as people write and read them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from celonis_frames.exceptions import ConfigError

MIN_UNITLESS_BYTES = 10_000
"""Smallest size without a unit; below it a unit is required, since 256 most likely means MB."""

MAX_SHOWN = 80
"""Characters of a string that a message shows whole."""
MAX_LISTED = 50
"""Names that a message lists."""
_ASCII_SIGNS = str.maketrans(
    {"·": "-", "…": "...", "✓": "OK", "✗": "!", "—": "-", "→": "->", "↑": "sent", "↓": "received"}
)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}  # fmt: skip


def format_bytes(size: float) -> str:
    """A size such as ``81.2 MB``, in decimal units."""
    for unit in ("B", "kB", "MB"):
        if size < 999.95:  # what rounds to 1000 belongs to the next unit
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def format_seconds(seconds: float) -> str:
    """A time such as ``12 ms``, ``3.4 s`` or ``2 min 05 s``."""
    if seconds < 0.9995:  # what rounds to 1000 ms is a second
        return f"{seconds * 1000:,.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min"


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verb(count: int, plural: str, singular: str | None = None) -> str:
    """The form of a verb that agrees with a count: ``end`` or ``ends``, ``have`` or ``has``."""
    return plural if count != 1 else singular or f"{plural}s"


def type_name(value: object) -> str:
    """The name of a value's type, with its library: ``pandas DataFrame``."""
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    return kind.__name__ if module == "builtins" else f"{module} {kind.__name__}"


def with_article(noun: str) -> str:
    """The noun with its article: ``a str``, ``an int``."""
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"


def shown(value: object) -> str:
    """A wrong argument for a message: as it is if it is short and plain, else ``<its type>``.

    What was given may be a frame or cut out of one, and no message shows a cell.
    """
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        short = len(value) <= MAX_SHOWN and value.isprintable()
        return repr(value) if short else f"<string of {len(value):,} characters>"
    if isinstance(value, list | tuple | set | frozenset):
        kinds = sorted({type_name(item) for item in value})
        return f"<{type_name(value)} of {', '.join(kinds)}>" if kinds else repr(value)
    return f"<class {value.__name__}>" if isinstance(value, type) else f"<{type_name(value)}>"


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """A question with the names closest to a wrong one, after a space; empty if none is close."""
    spelled = {other.lower(): other for other in names}
    close = get_close_matches(str(name).lower(), spelled, n=3)
    found = " or ".join(repr(spelled[one]) for one in close)
    return f" Did you mean {found}?" if found else ""


def listed(names: Sequence[str]) -> str:
    """Names for a message; of very many the first ones."""
    if len(names) <= MAX_LISTED:
        return repr(list(names))
    return f"{repr(list(names[:MAX_LISTED]))[:-1]}, …] ({len(names):,} in all)"


def alternatives(words: Sequence[str]) -> str:
    """Words of which one is to be chosen: ``a, b or c``."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


def encodable(text: str, encoding: str | None) -> str:
    """The text with whatever the encoding lacks replaced: our signs by ASCII, the rest escaped."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        text = text.translate(_ASCII_SIGNS)
        with contextlib.suppress(LookupError):  # an encoding that Python does not know
            return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def parse_bytes(name: str, size: object, *, maximum: int) -> int:
    """A size in bytes, from a number or a string such as ``"256 MB"``; `name` is for errors.

    Raises:
        ConfigError: Not a size, not between 1 and `maximum`, or a small number without a unit.
    """
    number, unit = -1.0, ""
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B?)\s*", size, re.IGNORECASE)
        if match and match[2].upper() in _UNITS:
            unit = match[2].upper()
            number = float(match[1]) * _UNITS[unit]
    elif isinstance(size, int) and not isinstance(size, bool):
        number = size
    if not 1 <= number <= maximum:
        raise ConfigError(
            f"{name}={shown(size)} must be a number of bytes or a string such as '256 MB', from 1 "
            f"to {maximum:,} ({maximum / 10**9:g} GB)."
        )
    if not unit and number < MIN_UNITLESS_BYTES:
        raise ConfigError(
            f"{name}={size!r} means {number:,.0f} bytes, which is hardly intended: write "
            f"'{number:g} MB' for megabytes, or '{number:g} B' for bytes."
        )
    return int(number)
