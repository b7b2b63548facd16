"""fsspec: its errors become this library's, its URLs are shown without secrets.

A filesystem raises what its library raises (botocore, aiohttp, ftplib), and its URL may hold a
password. What leaves this module is an error of this library with a URL that can be shown.
"""

from __future__ import annotations

import contextlib
import difflib
import ftplib
import hashlib
import os
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from fsspec.implementations.local import LocalFileSystem

from celonis_frames._ca_bundle import https_options
from celonis_frames.exceptions import CelonisFramesError, ConfigError, FrameError

BLOCK_BYTES = 1_048_576
"""Bytes of a block when files are read or kept in memory: larger ones are no faster."""

MASK = "********"

_CHAINED = re.compile(r"::(?=[A-Za-z][\w+.-]*://)")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_KEY_ID = re.compile(r"A[KS]IA[A-Z0-9]{12,}")
"""The id of an access key of AWS, as it stands where a bucket should."""
_SECRET_OPTION = re.compile(r"pass|secret|key|token|user|cred|sas|auth|conn", re.IGNORECASE)
_MIN_SECRET = 4
"""Characters of the shortest secret that is masked in a message: shorter ones are in any word."""
_MAX_QUOTED = 500
"""Characters of a foreign message that are quoted."""
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def mask_url(url: object) -> str:
    """A URL without user, password and query."""
    # A chain such as simplecache::s3://… holds several URLs.
    return "::".join(map(_mask_one, _CHAINED.split(str(url))))


def _mask_one(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        if url.startswith("data:"):
            return "data:…"
        # A URL without its scheme, user:password@host/path.
        return re.sub(r"^[^/@:]*:[^/@]*@", "", url)
    before, _, after = rest.rpartition("@")
    if ":" in before:
        rest = after  # the password may hold "/", "@" or "?" unescaped
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if not host.startswith("[") and host.partition(":")[2].strip("0123456789"):
        host = MASK  # not a port but a password: the "@" was forgotten
    host = _KEY_ID.sub(MASK, host)
    masked = f"{scheme}://{host}{slash}{path}".partition("?")[0]
    return masked.partition("#")[0] if scheme.lower().startswith("http") else masked


def secrets_of(filesystem: Any, url: str = "") -> frozenset[str]:
    """The users, passwords, keys and tokens of a filesystem's options and of a URL."""
    found = set(_secrets(getattr(filesystem, "storage_options", None) or {}, secret=False))
    for part in _CHAINED.split(url) if mask_url(url) != url else ():
        rest = part.partition("://")[2]
        login, query = rest.rpartition("@")[0], rest.partition("?")[2]
        pieces = (login, query, *login.split(":", 1))
        found.update(piece for piece in pieces if len(piece) >= _MIN_SECRET)
    return frozenset(found)


def _secrets(value: Any, *, secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets(inner, secret=secret or bool(_SECRET_OPTION.search(str(name))))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner, secret=secret)
    elif secret and isinstance(value, str) and len(value) >= _MIN_SECRET:
        yield value


def check_spelling(url: str, kind: type[CelonisFramesError], option: str = "") -> None:
    """Raise an error of this kind for a URL or path that is spelled as another system spells it.

    `option` goes before the URL in the message, such as ``staging=``. fsspec takes ``s3:/bucket``
    for a folder named ``s3:`` in the working directory.
    """
    if not url.strip():
        raise kind(f"{option}{url!r} is empty: give the path or URL of a file or folder.")
    for part in _CHAINED.split(url):
        protocol, mark, _ = part.rpartition("::")[2].partition("://")
        if mark and protocol not in {*fsspec.available_protocols(), *fsspec.registry}:
            near = difflib.get_close_matches(protocol.lower(), fsspec.available_protocols(), n=1)
            hint = f" Did you mean {near[0]}://?" if near else ""
            raise kind(f"{option}{mask_url(url)!r}: fsspec knows no protocol {protocol!r}.{hint}")
    # What is there by this name is meant.
    if "://" not in url and not os.path.exists(url):  # noqa: PTH110  # it never raises
        what = _spelled_elsewhere(url)
        if what is not None:
            raise kind(f"{option}{mask_url(url)!r} is {what}.")


def _spelled_elsewhere(path: str) -> str | None:
    """What a path is on another system, and how to spell it here."""
    scheme, mark, rest = path.partition(":")
    scheme, rest = scheme.lower(), rest.lstrip("/")
    if os.name != "nt" and _WINDOWS_PATH.match(path):
        right = path.replace("\\", "/")
        if mark:
            right = f"/mnt/{scheme}{right[2:]}"
        return f"a path of Windows, which this system has not: write {right!r} if it is there"
    if mark and scheme == "dbfs":
        return f"a path of Spark on Databricks: write '/dbfs/{rest}' for the same file"
    if mark and scheme in fsspec.available_protocols() and scheme not in _LOCAL:
        return f"no URL: write {mask_url(f'{scheme}://{rest}')!r}"
    return None


_LOCAL = {"data", "file", "local"}
"""Protocols after which fsspec does not ask for two slashes."""


def open_filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of a staging URL, and the path there.

    Raises:
        ConfigError: There is no such filesystem, or it cannot be reached.
    """
    check_spelling(url, ConfigError, "staging=")
    shown = mask_url(url)
    with translate_filesystem_errors(
        f"staging={shown!r} cannot be used",
        secrets=secrets_of(None, url),
        quotes_url=shown != str(url),
    ):
        filesystem, path = fsspec.core.url_to_fs(url, **https_options(url))
    return filesystem, str(path)


def clone_filesystem(filesystem: Any) -> Any:
    """The same filesystem with connections of its own, for another thread."""
    return type(filesystem)(
        *filesystem.storage_args, **filesystem.storage_options, skip_instance_cache=True
    )


def filesystem_for_thread(filesystem: Any) -> Any:
    """The filesystem for one more thread: a clone, unless it is local."""
    return filesystem if isinstance(filesystem, LocalFileSystem) else clone_filesystem(filesystem)


class _ArrowHandler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """Opens files for pyarrow, which would first ask the server whether each is a file."""

    def open_input_file(self, path: str) -> Any:
        """The file, for random access."""
        return pa.PythonFile(self.fs.open(path, "rb"), mode="r")


def arrow_filesystem(filesystem: Any) -> Any:
    """The filesystem as pyarrow's datasets take it."""
    if isinstance(filesystem, LocalFileSystem):
        return pafs.LocalFileSystem()  # reads without Python
    return pafs.PyFileSystem(_ArrowHandler(filesystem))


def display_url(filesystem: Any, path: str) -> str:
    """The masked URL of a path, or the path itself on a local filesystem."""
    if isinstance(filesystem, LocalFileSystem):
        return path
    scheme, _, rest = mask_url(filesystem.unstrip_protocol(path)).partition("://")
    options = getattr(filesystem, "storage_options", None) or {}
    # Those of FTP, SFTP, WebDAV and others do not name their host.
    host = options.get("host") or urlsplit(str(options.get("base_url") or "")).hostname
    return f"{scheme}://{host}{rest}" if host and rest.startswith("/") else f"{scheme}://{rest}"


@contextlib.contextmanager
def translate_filesystem_errors(
    message: str,
    advice: str = "",
    *,
    kind: type[CelonisFramesError] = ConfigError,
    secrets: Collection[str] = (),
    quotes_url: bool = False,
) -> Iterator[None]:
    """Translates any error of a filesystem into one of this library.

    `message` says what failed, and where; the filesystem's own message follows, then `advice`: the
    consequence, and what to do. `secrets` are masked. If the error `quotes_url`, one that must not
    be shown, its text is left out: a parser quotes a piece of a password as the port.
    """
    try:
        yield
    except (CelonisFramesError, MemoryError):
        raise
    except Exception as error:  # each filesystem has its own
        cause = None if quotes_url else _safe_cause(error, secrets)
        said = _describe_without_url(error, secrets) if quotes_url else _describe(error, secrets)
        text = f"{message}: {said}" + (f". {advice}" if advice else "")
        raise kind(text) from cause


def _describe(error: BaseException, secrets: Collection[str] = ()) -> str:
    text = " ".join(_mask_text(str(error), secrets).split()).rstrip(".")[:_MAX_QUOTED]
    if not (isinstance(error, OSError | ImportError | ValueError) and text):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"the login was rejected ({text})" if _is_login_error(error) else text


def _mask_text(text: str, secrets: Collection[str]) -> str:
    text = _URL.sub(lambda found: mask_url(found[0]), text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _describe_without_url(error: BaseException, secrets: Collection[str]) -> str:
    """A description that cannot quote a part of a URL."""
    if isinstance(error, ImportError):
        return str(error)  # names the library to install
    name = type(error).__name__
    if _is_login_error(error):
        return f"the login was rejected ({name})"
    if isinstance(error, OSError) and error.strerror:
        return _mask_text(error.strerror, secrets)
    return f"its host cannot be parsed ({name})" if isinstance(error, ValueError) else name


_LOGIN_ERRORS = {
    "AuthenticationException",  # paramiko
    "ClientAuthenticationError",  # Azure
    "DefaultCredentialsError", "RefreshError",  # Google
    "NoCredentialsError", "PartialCredentialsError",  # botocore
}  # fmt: skip
_LOGIN_CODES = {
    "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}  # fmt: skip
"""Of S3."""
_UNAUTHORIZED = 401


def _is_login_error(error: BaseException) -> bool:
    """Whether a server rejected user, password or key, by the error's type or status."""
    return any(map(_rejects_login, _links(error)))


def _rejects_login(error: BaseException) -> bool:
    if {kind.__name__ for kind in type(error).__mro__} & _LOGIN_ERRORS:
        return True
    if isinstance(error, ftplib.error_perm):
        return str(error).startswith("530")  # the status of FTP
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        details = response.get("Error")
        return isinstance(details, Mapping) and details.get("Code") in _LOGIN_CODES
    statuses = [getattr(source, name, None) for source in (error, response)
                for name in ("status", "status_code", "code")]  # fmt: skip
    return _UNAUTHORIZED in statuses


def _links(error: BaseException) -> list[BaseException]:
    """The error and those behind it."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def _safe_cause(error: BaseException, secrets: Collection[str] = ()) -> BaseException | None:
    """The error, or None if its traceback, with those behind it, would show a secret."""
    texts = [str(link) for link in _links(error)]
    return None if any(_mask_text(text, secrets) != text for text in texts) else error


def write_atomically(filesystem: Any, path: str, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it.

    If `durable`, it returns only when the content would survive a power failure.
    """
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, data)  # an object appears whole
        return
    new = Path(path).with_name(f"new-{uuid.uuid4().hex}")
    try:
        with new.open("wb") as file:
            file.write(data)
            if durable:
                sync_file(file)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    if durable:
        sync_folder(new.parent)


def sync_file(file: Any) -> None:
    """Wait until a local file's content is on disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: str | Path) -> None:
    """Wait until the names in a local folder are on disk, if the system can do that."""
    with contextlib.suppress(OSError):  # Windows opens no folders; some cannot be read
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_verified_blocks(filesystem: Any, path: str, sha256: str, changed: str) -> Iterator[bytes]:
    """A file's bytes in blocks; the last one only if the whole file has the digest.

    Raises:
        FrameError: The file has another digest; `changed` is its message.
    """
    digest, held = hashlib.sha256(), b""
    with filesystem.open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if held:
                yield held
            held = block
    if digest.hexdigest() != sha256:
        raise FrameError(changed)
    yield held
