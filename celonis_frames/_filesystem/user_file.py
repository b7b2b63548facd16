"""JSON files of this user, which several processes may read and change at the same time.

A file is an object with a ``version`` and one section, a dict by name. It is for its owner only,
and written in one step: a reader sees what was there before, or all that is there now. Writers take
turns by a lock file beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from celonis_frames._filesystem.files import write_atomically
from celonis_frames.exceptions import ConfigError

MAX_FILE_BYTES = 1_000_000
"""Largest file that is read: an entry takes some hundred bytes."""
VERSION = 1

_LOCK_SECONDS = 10.0
"""How long a writer waits for another one, which needs milliseconds."""


class OtherVersionError(ValueError):
    """A file that another version of this library wrote."""


class UserFile:
    """A file with one section of entries.

    Args:
        path: Where it is, or would be.
        section: Name of its section.
        secret: Whether nobody but its owner may be able to read it.
    """

    def __init__(self, path: Path, section: str, *, secret: bool = False) -> None:
        self.path, self.section, self._secret = path, section, secret

    def read(self) -> dict[str, Any]:
        """The content of the file; raises what `read_user_file` raises."""
        return read_user_file(self.path, self.section, secret=self._secret)

    def entries(self) -> dict[str, Any]:
        """The entries of its section; none if there is no file.

        Raises:
            ConfigError: The file cannot be read, or is no such file.
        """
        problem = ""
        try:
            found: dict[str, Any] = self.read()[self.section]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            problem = self._unreadable(error)
        else:
            return found
        raise ConfigError(problem)

    @contextlib.contextmanager
    def changing(
        self, on_broken: Callable[[Exception], None] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The content, to be changed in the block; then it is written. Other writers wait.

        `on_broken` is called if the file is broken, which is then written anew; without it that is
        an error.

        Raises:
            ConfigError: The file is broken, cannot be read or written, or a newer version of this
                library wrote it.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415  # slow to import
        from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

        path = self.path
        with contextlib.ExitStack() as stack:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = FileLock(path.with_suffix(".lock"), timeout=_LOCK_SECONDS, mode=0o600)
                stack.enter_context(lock)
                document = self._read_to_change(on_broken)
            except (OSError, Timeout) as error:
                raise _not_written(path, error) from error
            yield document
            content = json.dumps(document, indent=1, sort_keys=True).encode()
            failure: OSError | None = None
            try:
                write_atomically(LocalFileSystem(), str(path), content, durable=True)
            except OSError as error:
                failure = error.with_traceback(None)
            del document, content  # a traceback may show locals
            if failure is not None:
                raise _not_written(path, failure)

    def _read_to_change(self, on_broken: Callable[[Exception], None] | None) -> dict[str, Any]:
        try:
            return self.read()
        except OtherVersionError as error:
            raise ConfigError(
                f"{self.path} cannot be changed: {error}. Upgrade celonis_frames, or delete the "
                "file."
            ) from error
        except FileNotFoundError:
            pass
        except ValueError as error:
            if on_broken is None:
                raise ConfigError(self._unreadable(error)) from None
            on_broken(error)
        return {"version": VERSION, self.section: {}}

    def _unreadable(self, error: Exception) -> str:
        """The message for a file that cannot be used."""
        problem = (isinstance(error, OSError) and error.strerror) or str(error)
        return f"{self.path} cannot be read: {problem}. Correct it, or delete it."


def read_user_file(path: Path, section: str, *, secret: bool = False) -> dict[str, Any]:
    """The content of a file, which has a section of that name.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file.
        ConfigError: It holds secrets, and others may read it.
    """
    with path.open("rb") as file:
        if secret:
            _check_owner(path, os.fstat(file.fileno()))
        content = file.read(MAX_FILE_BYTES + 1)
    found = _parsed(content, section)
    del content  # a traceback may show locals
    if isinstance(found, ValueError):
        raise found
    return found


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Reject a file that others may read, as ssh does."""
    if os.name != "posix":
        return  # the folders of a user are theirs by default
    if status.st_uid != os.geteuid():
        raise ConfigError(f"{path} holds secrets, but belongs to another user.")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{path} holds secrets, but others may use it (its mode is {mode:o}). Run chmod 600 "
            f"'{path}'; if somebody may have read it, replace the keys in it."
        )


def _parsed(content: bytes, section: str) -> dict[str, Any] | ValueError:
    """The object in a file, or the error to raise, which is not chained to one with the content."""
    if len(content) > MAX_FILE_BYTES:
        return ValueError(f"it has more than {MAX_FILE_BYTES:,} bytes")
    document = None
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(content)
    if not isinstance(document, dict) or not isinstance(document.get(section), dict):
        return ValueError("it is not a file of celonis_frames")
    if document.get("version") != VERSION:
        return OtherVersionError("another version of celonis_frames wrote it")
    return document


def _not_written(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error}.")
