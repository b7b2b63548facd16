"""An access token in a file that another program renews."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from celonis_frames._auth.keys import token_problem
from celonis_frames._auth.oauth2 import DATA_PUSH
from celonis_frames._http.auth import Auth, Credentials, PostForm
from celonis_frames._secrets import Secret
from celonis_frames.exceptions import ConfigError

MAX_FILE_BYTES = 64 * 1024
"""Largest token file that is read; tokens have some kilobytes."""


@dataclass(frozen=True)
class TokenFile(Auth):
    """An access token in a file that another program renews.

    It holds the token and nothing else; it is read again whenever it has changed, and once after a
    401. If it cannot be read or holds no token, the first request raises ConfigError.
    """

    path: Path

    kind = "the access token in the file of OAUTH_ACCESS_TOKEN_PATH (sent as Bearer)"
    advice = (
        "The file was read again and has no newer one: check that the program that writes it runs."
    )
    permission = f"The token also needs the scope {DATA_PUSH}."

    def credentials(self, post: PostForm, clock: Callable[[], float]) -> Credentials:
        """The file, watched for one connection."""
        del post, clock
        return _WatchedFile(self.path)


class _WatchedFile(Credentials):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version: tuple[int, int, int] | None = None
        self._token: Secret | None = None

    def authorization(self) -> str:
        with self._lock:
            self._reload()
            return self._header()

    def renew(self, rejected: str) -> bool:
        rejected_header = Secret(rejected)
        del rejected
        with self._lock:
            self._version = None
            self._reload()
            return self._header() != rejected_header.reveal()

    def _header(self) -> str:
        return f"Bearer {'' if self._token is None else self._token.reveal()}"

    def _reload(self) -> None:
        failure = ""
        try:
            stat = self._path.stat()
            version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if version == self._version:
                return
            if stat.st_size > MAX_FILE_BYTES:
                raise ConfigError(
                    f"OAUTH_ACCESS_TOKEN_PATH: {self._path} has {stat.st_size:,} bytes, more than "
                    "any access token. It must name a file with an access token and nothing else."
                )
            with self._path.open("rb") as file:
                found = Secret(file.read(MAX_FILE_BYTES).decode("utf-8", "replace").strip())
        except OSError as error:
            failure = error.strerror or type(error).__name__
        if failure:
            raise ConfigError(
                f"OAUTH_ACCESS_TOKEN_PATH: {self._path} cannot be read ({failure}). It must name a "
                "file with an access token."
            )
        if not found.reveal() and self._token is not None:
            return  # the writer has emptied the file: the old token is valid for now
        problem = token_problem(found.reveal(), f"The file {self._path}")
        if problem is not None:
            raise ConfigError(problem)
        self._version, self._token = version, found
