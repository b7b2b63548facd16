"""Commands in the documentation: run, with what they print."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from unittest import mock

from celonis_frames._cli.main import main

_PROMPT = "$ "
_ID = re.compile(r"\b[\da-f]{8}\b(?!-)")


class _Terminal(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def transcript(shown: str) -> str:
    """A block of commands with what they print now.

    A command begins with ``$`` and goes on in the next line after a backslash. What is not
    ``celonis-frames`` or ``export`` is run by the shell. Ids of jobs that the block shows mean
    those that are printed now in their place.
    """
    lines, parts, ids = shown.splitlines(), list[str](), dict[str, str]()
    position = 0
    while position < len(lines):
        command = [lines[position]]
        assert command[0].startswith(_PROMPT), f"no command: {command[0]}"
        while command[-1].endswith("\\"):
            position += 1
            command.append(lines[position])
        position += 1
        before = position
        while position < len(lines) and not lines[position].startswith(_PROMPT):
            position += 1
        text = "\n".join(command).removeprefix(_PROMPT).replace("\\\n", " ")
        for shown_id, printed_id in ids.items():
            text = text.replace(shown_id, printed_id)
        printed = _printed(text)
        old = "\n".join(lines[before:position])
        ids |= dict(zip(_ID.findall(old), _ID.findall(printed), strict=False))
        parts += ["\n".join(command) + "\n", printed]
    return "".join(parts)


def _printed(command: str) -> str:
    words = shlex.split(command)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        os.environ[name] = value
        return ""
    if words[0] != "celonis-frames":
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602  # our pages
        return done.stdout
    screen = _Terminal()
    with (
        mock.patch.dict(os.environ, COLUMNS="80", TQDM_DISABLE="1"),
        contextlib.redirect_stdout(screen),
        contextlib.redirect_stderr(screen),
    ):
        status = main(words[1:])
    kept = "".join(_kept(line) for line in screen.getvalue().splitlines(keepends=True))
    return kept + (f"(exit status {status})\n" if status else "")


def _kept(line: str) -> str:
    """What stays of a line: a progress bar, which slow commands show, erases itself."""
    return line.rpartition("\x1b[K")[2].rpartition("\r")[2]
