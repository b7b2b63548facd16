"""The items of a JSON array, one by one while its text arrives.

How it works: the text of the response is decoded as it comes. Each part is searched for whole items
from where the last one ended; only the rest, an item whose end has not come yet, is kept. A rest is
searched again when it has doubled, so that the time is linear also for a very long item.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from celonis_frames._http.redaction import redact

MAX_ITEM_BYTES = 64 * 1024 * 1024
"""Longest item."""
MAX_LIST_BYTES = 4 * 1024**3
"""Longest list: 100,000 jobs with the columns of wide tables and their logs are shorter."""
START_BYTES = 8 * 1024
"""Beginning of the text that is kept for messages."""
_MARK_BYTES = 4
"""Bytes that show the encoding."""

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")
_OTHERS = re.compile(r'[{"\-\dtfn]')
"""How JSON begins that is no array."""


class ItemReader:
    """Calls `on_item` with each item of an array, whose text is given by `feed`.

    Secrets are masked in the items, and in `start`, the beginning of the text.

    Attributes:
        problem: What is wrong with the text, in words; None if nothing is.
        size: Bytes of the text so far.
    """

    def __init__(self, on_item: Callable[[Any], object], secrets: Sequence[str] = ()) -> None:
        self._on_item, self._secrets = on_item, secrets
        self.problem: str | None = None
        self.size = 0
        self._first = self._unread = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._rest: list[str] = []
        self._characters = self._enough = 0
        self._next: Literal["array", "first item", "item", "end"] = "array"

    @property
    def start(self) -> bytes:
        """The beginning of the text."""
        return redact(self._first, self._secrets)

    def feed(self, part: bytes, *, last: bool = False) -> bool:
        """Read the next part of the text; returns whether more is needed."""
        self.size += len(part)
        if len(self._first) < START_BYTES:
            self._first += part[:START_BYTES]
        try:
            self._decode(part, last=last)
            if last or self._characters >= self._enough:
                self._read(last=last)
        except (ValueError, RecursionError):
            self.problem = self.problem or "the response is not JSON"
        if self._characters > MAX_ITEM_BYTES:
            self.problem = f"one of its items is longer than {MAX_ITEM_BYTES:,} characters"
        elif self.size > MAX_LIST_BYTES:
            self.problem = f"the response is longer than {MAX_LIST_BYTES:,} bytes"
        return self.problem is None and not last

    def _decode(self, part: bytes, *, last: bool) -> None:
        if self._decoder is None:
            part = self._unread + part
            if len(part) < _MARK_BYTES and not last:
                self._unread = part
                return
            encoding = json.detect_encoding(part)
            self._decoder = codecs.getincrementaldecoder(encoding)()
        text = self._decoder.decode(part, final=last)
        self._rest.append(text)
        self._characters += len(text)

    def _read(self, *, last: bool) -> None:
        text, at = "".join(self._rest), 0
        while (at := _skip(text, at)) < len(text):
            end = self._read_next(text, at, last=last)
            if end is None:
                break
            at = end
        if last and (self._next != "end" or at < len(text)):
            raise ValueError
        self._rest = [text[at:]]
        self._characters = len(text) - at
        # Without any progress it is searched again when there is twice as much.
        self._enough = 0 if at else 2 * self._characters

    def _read_next(self, text: str, at: int, *, last: bool) -> int | None:
        """Read what begins here; returns where it ends, or None if more is needed for it."""
        if self._next == "array":
            if text[at] != "[":
                self.problem = "the response is not a list" if _OTHERS.match(text, at) else None
                raise ValueError
            self._next = "first item"
            return at + 1
        if self._next == "first item" and text[at] == "]":
            self._next = "end"
            return at + 1
        if self._next == "end":
            raise ValueError
        try:
            item, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError:
            if last:
                raise
            return None
        following = _skip(text, end)
        # A number may go on in the next part.
        if following == len(text) or text[following] not in ",]":
            return None
        self._on_item(self._masked(item, text, at, end))
        self._next = "end" if text[following] == "]" else "item"
        return following + 1

    def _masked(self, item: Any, text: str, at: int, end: int) -> Any:
        """The item without secrets, and without halves of surrogate pairs."""
        source = text[at:end].encode()
        masked = redact(source, self._secrets)
        if masked != source:
            item = json.loads(masked)
        return whole(item) if has_surrogates(masked) else item


def has_surrogates(content: bytes) -> bool:
    """Whether strings of a JSON text may have halves of surrogate pairs."""
    return b"\\ud" in content or b"\\uD" in content


def whole(value: Any) -> Any:
    """The value without halves of surrogate pairs, which could not be written anywhere."""
    halves = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return json.loads(halves.decode("utf-16", "replace"))


def _skip(text: str, at: int) -> int:
    """The position of the next character that is no white space."""
    match = _BLANKS.match(text, at)
    return at if match is None else match.end()
