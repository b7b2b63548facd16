"""The connection of a write, in the processes of Spark's driver that begin and commit it.

These get no object of the user's process. The key is in the environment of the driver, or in a file
of variables, and neither an option nor a setting of Spark, which all who see the application see.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from celonis_frames._auth.environment import NAMES, read_from
from celonis_frames._client import Celonis
from celonis_frames._spark.write_options import HOW_TO_AUTHENTICATE, WriteOptions
from celonis_frames.exceptions import ConfigError

MAX_FILE_BYTES = 64 * 1024
"""Largest file of variables that is read; a key has some hundred bytes."""


@contextlib.contextmanager
def connection_of(write: WriteOptions) -> Iterator[Celonis]:
    """The connection of a write, closed with the block.

    Raises:
        ConfigError: There is none in the environment, or the file cannot be used.
    """
    with contextlib.ExitStack() as stack:
        if write.credentials is not None:
            stack.enter_context(read_from(read_variables(Path(write.credentials))))
        try:
            client = Celonis.from_env()
        except ConfigError as error:
            raise ConfigError(
                f"{error.message} This process was started by Spark's driver, which passes on the "
                "environment that it was started with: variables that are set later, and "
                f"connect(), do not reach it. {HOW_TO_AUTHENTICATE}"
            ) from error
        with client:
            yield client


def read_variables(path: Path) -> dict[str, str]:
    """The variables of a file with one NAME=VALUE a line; no message shows a value.

    Raises:
        ConfigError: It cannot be read, others may read it, or a line is none of this form.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"The file of credentials {path} cannot be read on {socket.gethostname()}: "
            f"{error.strerror or type(error).__name__}. It must be on the driver's machine."
        ) from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:  # elsewhere modes say nothing of others
        raise ConfigError(
            f"The file of credentials {path} may be read or written by others than its owner: run "
            f"chmod 600 {path}."
        )
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"The file of credentials {path} has more than {MAX_FILE_BYTES:,} bytes.")
    return _parsed(content.decode("utf-8", "replace"), path)


def _parsed(text: str, path: Path) -> dict[str, str]:
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        written = line.strip().removeprefix("export ").strip()
        if not written or written.startswith("#"):
            continue
        name, mark, value = written.partition("=")
        if not mark or name.strip() not in NAMES:
            # Neither is shown: the line may be a key.
            raise ConfigError(
                f"Line {number} of the file of credentials {path} is not NAME=VALUE with one of "
                f"{', '.join(NAMES)}."
            )
        variables[name.strip()] = _unquoted(value.strip())
    return variables


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
