"""Make a server's text fit for messages: secrets masked, one line, short."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable

MASK = "********"
MIN_SECRET = 6
"""Characters of the shortest secret that is masked: shorter ones would match everywhere."""
MAX_QUOTED = 500
"""Characters of a server's text that are quoted in a message."""


def redact(content: bytes, secrets: Iterable[str]) -> bytes:
    r"""Replace each secret by ``********``, also if it is escaped.

    Gateways echo headers into their pages: as they are, or escaped once or twice for HTML, JSON or
    URLs. Libraries differ in what they escape (some write ``=`` as ``\u003d`` in JSON), hence a
    pattern for each character instead of a few forms of the whole secret.
    """
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            content = re.sub(b"".join(map(_pattern, secret.encode())), MASK.encode(), content)
    return content


@functools.cache
def _pattern(byte: int) -> bytes:
    """A pattern for one byte of a secret: as it is, or escaped once or twice."""
    char = bytes([byte])
    if char.isalnum():
        return char
    name = re.escape(html.escape(chr(byte)).strip("&;").encode() if byte < 128 else char)
    number = rb"(?:#|%%23)(?:0*%d|x0*%02x)" % (byte, byte)
    entity = rb"(?:&|%%26)(?:amp;)?(?:%b|%b)(?:;|%%3b)" % (name, number)
    forms = rb"%b|u00%02x|%%(?:25)?%02x|%b" % (re.escape(char), byte, byte, entity)
    return rb"(?i:(?:\\|%%5c){0,3}(?:%b))" % forms


def plain(text: bytes | str, limit: int = MAX_QUOTED) -> str:
    """A server's text as one short, printable line."""
    if isinstance(text, bytes):
        text = text[: limit * 32].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 8]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
