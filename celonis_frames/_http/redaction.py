"""Text from servers, made fit for messages: secrets masked, one line, short."""

from __future__ import annotations

import functools
import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["plain", "redact"]

MASK = "********"
MIN_SECRET = 6
MAX_TEXT = 500
"""Characters of a server's text in a message."""


def redact(content: bytes, secrets: Iterable[str]) -> bytes:
    """The content with ``********`` for each secret, also where it is escaped.

    Gateways echo headers into their pages: as they are, or escaped for HTML, JSON or addresses.

    Args:
        content: What the server sent.
        secrets: What must not be seen. Those of fewer than six characters pass: they would be
            found everywhere, and no key is so short.
    """
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            content = re.sub(b"".join(map(_escaped, secret.encode())), MASK.encode(), content)
    return content


def _coded(char: bytes) -> bytes:
    """A pattern for a character as it is, or escaped for an address or JSON."""
    return rb"(?:%%(?:25){0,4}%02x|\\{1,8}u00%02x|%b)" % (ord(char), ord(char), re.escape(char))


_AND = _coded(b"&") + b"(?:amp%b){0,4}" % _coded(b";")
"""How an entity of HTML begins."""
_BACKSLASH = b"(?:%b|%b#(?:0{0,4}92|x0{0,4}5c);)" % (_coded(b"\\"), _AND)


@functools.cache
def _escaped(byte: int) -> bytes:
    """A pattern for one byte of a secret, in every form in which it may come back.

    Escaped once or several times over: a header in Python's quotes, inside JSON, inside a page.
    Repetitions are bounded, for the text is a stranger's.
    """
    char = bytes([byte])
    if char.isalnum():
        return char
    if char == b"\\":
        return b"(?i:%b{1,16})" % _BACKSLASH
    named = html.escape(char.decode("latin-1")).encode("latin-1")
    entity = b"%b(?:0{0,4}%d|x0{0,4}%02x)" % (_coded(b"#"), byte, byte)
    if named[:1] == b"&" and named[1:2] not in (b"", b"#"):
        entity = b"(?:%b|%b)" % (entity, named[1:-1])
    forms = (_coded(char), b"%b%b%b" % (_AND, entity, _coded(b";")))
    return b"(?i:%b{0,16}+(?:%b))" % (_BACKSLASH, b"|".join((*forms, b"u00%02x" % byte)))


def plain(text: bytes | str, limit: int = MAX_TEXT) -> str:
    """A server's text, fit for a message: one line, printable, short."""
    if isinstance(text, bytes):
        text = text[: limit * 32].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 8]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
