"""Messages of the library in the words of the command line: its options and its commands.

The library's messages name parameters and functions, as `mode="REPLACE"` and `celonis.job(…)`. Who
types commands reads `--mode REPLACE` and `celonis-frames job …`. JSON keeps the library's words.
"""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import fields

from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload

_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ARGUMENTS = rf"\(((?:{_STRING}|[^()'\"])*)\)"
_SENTENCES = (
    (r"(?:, or call celonis_frames\.connect\(.*\))(?=\.$|\.\s)", ""),
    (r"(?:connect\(…, ingestion=IngestionKeys\(…\)\), or set)", "set"),
    (r"(?:connect\(…, verify=)('[^']*')\)", r"set REQUESTS_CA_BUNDLE=\1"),
    (r"(?:: its ReloadStatus waits for it with \.wait\(\))", ""),
    (
        r"\brow (\d[\d,]*), counted from 0",
        lambda found: (
            f"row {int(found[1].replace(',', '')) + 1:,}, counted from 1 without the header"
        ),
    ),
    (r"(?:needs wait=True)\b", "cannot be used with --no-wait"),
    (
        r"(?:Wait for it with status\.wait\(\), then call)",
        "Once celonis-frames job shows DONE, use",
    ),
    (
        rf"(?:\b([Ww])ait) for (it|each) with celonis\.job{_ARGUMENTS}\.wait\(\), or stop it with "
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

_FLAGS = {
    one.name: one.metadata["cli"].get("flag", f"--{one.name.replace('_', '-')}")
    for kind in (PushOptions, Upload)
    for one in fields(kind)
    if one.metadata.get("cli") is not None and one.name != "wait"
}
_OPTION = re.compile(
    # Not in a quoted name, a URL, or behind --read-option.
    rf"(?<![\w'\"/?&.-])(?<!-option )({'|'.join(_FLAGS)}|upload)="
    rf"({_STRING}|\{{[^{{}}]*\}}|-?\w+(?:\.\w+)*)?"
)
_PAIR = re.compile(rf"(?:({_STRING})): ({_STRING}|\w+)")


def in_cli_words(text: str) -> str:
    """A message of the library, for who types commands."""
    for pattern, words in _SENTENCES:
        text = re.sub(pattern, words, text)
    return _OPTION.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2] or ""
    if value.startswith("{"):
        pairs = [(_plain(one[1]), _plain(one[2])) for one in _PAIR.finditer(value)]
        if name == "upload" and pairs and all(key in _FLAGS for key, _ in pairs):
            return " ".join(f"{_FLAGS[key]} {shlex.quote(given)}" for key, given in pairs)
        if name in _FLAGS and pairs:
            flag = _FLAGS[name]
            return " ".join(f"{flag} {shlex.quote(f'{key}={given}')}" for key, given in pairs)
        return found[0]
    if name not in _FLAGS:
        return found[0]
    return f"{_FLAGS[name]} {shlex.quote(_plain(value))}" if value else _FLAGS[name]


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
