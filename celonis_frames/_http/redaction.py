"""Make a server's text fit for messages: secrets masked, one line, short."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable

from celonis_frames._secrets import MASK

MIN_SECRET = 6
"""Characters of the shortest secret that is masked: shorter ones would match everywhere."""
MIN_RUN = 4
"""Letters and digits in a row that are rare enough to search for."""
MAX_ESCAPED = 40
"""Longest form of one escaped character, in bytes."""
_RUNS = re.compile(rb"[A-Za-z0-9]+")
MAX_QUOTED = 500
"""Characters of a server's text that are quoted in a message."""


def redact(content: bytes, secrets: Iterable[str]) -> bytes:
    r"""Replace each secret by ``********``, also if it is escaped.

    Gateways echo headers into their pages: as they are, or escaped once or twice for HTML, JSON or
    URLs. Libraries differ in what they escape (some write ``=`` as ``\u003d`` in JSON), hence a
    pattern for each character instead of a few forms of the whole secret.

    Time is linear in the content: it is searched for letters and digits, which are never escaped.
    """
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            encoded = secret.encode()
            if max(_RUNS.findall(encoded), key=len, default=b"") in content:
                content = _replace(content, encoded)
    return content


def _replace(content: bytes, secret: bytes) -> bytes:
    runs = list(_RUNS.finditer(secret))
    # The first run that is long, so that little of the secret stands before it.
    run = next((run for run in runs if len(run[0]) >= MIN_RUN), None)
    start = (run or max(runs, key=lambda run: len(run[0]))).start() if runs else 0
    head, parts, done = re.compile(_pattern(secret[:start]) + rb"\Z"), list[bytes](), 0
    for match in re.finditer(_pattern(secret[start:]), content):
        # What stands before the run is found by looking back from it.
        before = head.search(content, max(done, match.start() - MAX_ESCAPED * start), match.start())
        parts += [content[done : before.start() if before else match.start()], MASK.encode()]
        done = match.end()
    return b"".join([*parts, content[done:]]) if parts else content


def _pattern(secret: bytes) -> bytes:
    """A pattern for (a part of) a secret: as it is, or escaped once or twice."""
    return b"".join(
        _backslashes(len(run[0])) if run[0].startswith(b"\\") else _byte(run[0][0])
        for run in re.finditer(rb"\\+|.", secret, re.DOTALL)
    )


def _backslashes(number: int) -> bytes:
    # As a group: one by one they could be matched in exponentially many ways. The last three may
    # belong to the next character.
    return (
        rb"(?i:\\|%%(?:25)?5c|u005c|(?:&|%%26)(?:amp;)?(?:#|%%23)(?:0{0,5}92|x0{0,5}5c|bsol)(?:;|%%3b)){%d,%d}+"
        % (number, 4 * number + 3)
    )


@functools.cache
def _byte(byte: int) -> bytes:
    """A pattern for one byte of a secret: as it is, or escaped once or twice."""
    char = bytes([byte])
    if char.isalnum():
        return char
    name = re.escape(html.escape(chr(byte)).strip("&;").encode() if byte < 128 else char)
    number = rb"(?:#|%%23)(?:0{0,5}%d|x0{0,5}%02x)" % (byte, byte)
    entity = rb"(?:&|%%26)(?:amp;)?(?:%b|%b)(?:;|%%3b)" % (name, number)
    forms = rb"%b|u00%02x|%%(?:25)?%02x|%b" % (re.escape(char), byte, byte, entity)
    return rb"(?i:(?:\\|%%5c){0,3}(?:%b))" % forms


def plain(text: bytes | str, limit: int = MAX_QUOTED) -> str:
    """A server's text as one short, printable line."""
    if isinstance(text, bytes):
        text = text[: limit * 32].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 8]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
