"""Messages of the library in the words of the command line: its options and its commands.

The library's messages name parameters and functions, as `mode="REPLACE"` and `celonis.job(…)`. Who
types commands reads `--mode REPLACE` and `celonis-frames job …`. JSON keeps the library's words.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from dataclasses import fields

from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload

_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ARGUMENTS = rf"\(((?:{_STRING}|[^()'\"])*)\)"
_CALL = rf"\((?:{_STRING}|[^()'\"]|\([^()]*\))*\)"
_SENTENCES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (rf", or call celonis_frames\.connect{_CALL}", ""),
    (r"\bcelonis_frames\.connect\(\"local\"\)", "set CELONIS_URL=local"),
    (r", or allow more time: connect\(…, timeouts=Timeouts\(read=…\)\)", ""),
    (
        r"\bpush the frame that .{,80}? returns, or send the file with celonis-frames push"
        r"(?: (--format \w+))?",
        lambda found: f"give {found[1]}" if found[1] else "leave out --format",
    ),
    (r"connect\(…, ingestion=IngestionKeys\(…\)\), or set", "set"),
    (r"connect\(…, verify=('[^']*')\)", r"set REQUESTS_CA_BUNDLE=\1"),
    (r": its ReloadStatus waits for it with \.wait\(\)", ""),
    (
        r"\brow (\d[\d,]*), counted from 0",
        lambda found: (
            f"row {int(found[1].replace(',', '')) + 1:,}, counted from 1 without the header"
        ),
    ),
    (r"needs wait=True\b", "cannot be used with --no-wait"),
    (
        r"Wait for it with status\.wait\(\), then call",
        "Once celonis-frames job shows DONE, use",
    ),
    (
        rf"\b([Ww])ait for (it|each) with celonis\.job{_ARGUMENTS}\.wait\(\), or stop it with "
        r"\.cancel\(\)",
        lambda found: (
            f"{'L' if found[1] == 'W' else 'l'}ook at {found[2]} with {_command('job', found[3])}, "
            f"or stop it with {_command('cancel', found[3])}"
        ),
    ),
    (rf"\bcelonis\.job{_ARGUMENTS}\.cancel\(\)", lambda found: _command("cancel", found[1])),
    (
        rf"\bcelonis(?:_frames)?\.(jobs?|reload|data_jobs|resume){_ARGUMENTS}",
        lambda found: _command(found[1], found[2]),
    ),
)
"""What has no option or command of the same form, and what replaces it."""
_PLACES = {"pool": "POOL", "id": "JOB", "model": "MODEL", "…": "STAGING"}
"""The arguments of a command, by what stands for them in a message."""

_ARGUMENTS_OF = {
    one.name: one.metadata["cli"]
    for kind in (PushOptions, Upload)
    for one in fields(kind)
    if one.metadata.get("cli") is not None and one.name != "wait"
}
_FLAGS = {
    name: argument.get("flag", f"--{name.replace('_', '-')}")
    for name, argument in _ARGUMENTS_OF.items()
}
_PAIR = rf"(?:{_STRING}): (?:{_STRING}|\w+|…)"
_OPTION = (
    # Not in a URL, or behind --read-option. A value of another form leaves all as it is.
    rf"(?<![\w'\"/?&.-])(?<!-option )({'|'.join(_FLAGS)}|upload)="
    rf"(?:({_STRING}|\{{{_PAIR}(?:, {_PAIR})*\}}|\[(?:{_STRING})(?:, (?:{_STRING}))*\]"
    r"|-?\w+(?:\.\w+)*)(?![\w(\[{'\"])|(?=[\s,.;:)]|$))"
)


def in_cli_words(text: str) -> str:
    """A message of the library, for who types commands.

    What it quotes, such as names, stays as it is, but for the values of options.
    """
    return _ANY.sub(_translated, text)


def _translated(found: re.Match[str]) -> str:
    pattern, words = _RULES[int((found.lastgroup or "")[1:])]
    own = re.compile(pattern).match(found.string, found.start())
    if own is None:
        return found[0]
    return own.expand(words) if isinstance(words, str) else words(own)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    flag = _FLAGS.get(name)
    if value is None:
        return flag or found[0]
    strings = [_plain(one) for one in re.findall(rf"{_STRING}|\w+|…", value)]
    given = None
    if value.startswith("{"):
        pairs = list(zip(strings[::2], strings[1::2], strict=True))
        if name == "upload" and all(key in _FLAGS for key, _ in pairs):
            return " ".join(
                _FLAGS[key] if one == "…" else f"{_FLAGS[key]} {shlex.quote(one)}"
                for key, one in pairs
            )
        given = [f"{key}={one}" for key, one in pairs]
    elif value.startswith("["):
        given = strings
        if name == "keys" and not any("," in one for one in strings):
            return f"{flag} {shlex.quote(','.join(strings))}"
    elif value not in ("None", "True", "False"):
        return f"{flag} {shlex.quote(_plain(value))}" if flag else found[0]
    if given is None or _ARGUMENTS_OF.get(name, {}).get("action") != "append":
        return found[0]
    return " ".join(f"{flag} {shlex.quote(one)}" for one in given)


def _command(name: str, arguments: str) -> str:
    words = [one.strip() for one in re.findall(rf"{_STRING}|[^,'\"]+", arguments)]
    words = [_PLACES.get(one) or shlex.quote(_plain(one)) for one in words if one]
    return " ".join(["celonis-frames", name.replace("_", "-"), *words])


def _plain(value: str) -> str:
    """A string as it is, without its quotes."""
    if value[:1] not in "'\"" or not value:
        return value
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value


_RULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (rf"(?<!\w)(?:{_STRING})", lambda found: found[0]),
    *_SENTENCES,
    (_OPTION, _option),
)
_ANY = re.compile("|".join(f"(?P<r{n}>{pattern})" for n, (pattern, _) in enumerate(_RULES)))
