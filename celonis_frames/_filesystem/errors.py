"""Errors of filesystems, of whatever library, become this library's, without secrets."""

from __future__ import annotations

import contextlib
import ftplib
from collections.abc import Collection, Iterator, Mapping

from celonis_frames._filesystem.drivers import install_line
from celonis_frames._filesystem.masking import mask_text
from celonis_frames.exceptions import CelonisFramesError, ConfigError

_MAX_QUOTED = 500
"""Characters of a foreign message that are quoted."""


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
    be shown, its text is left out: a parser quotes a piece of a password as the port. The error for
    a driver that is missing stays an ImportError, with the line that installs it.
    """
    try:
        yield
    except (CelonisFramesError, MemoryError):
        raise
    except ImportError as error:
        cause = None if quotes_url else _safe_cause(error, secrets)
        raise ImportError(f"{message}{_missing_driver(error, secrets)}") from cause
    except Exception as error:  # each filesystem has its own
        cause = None if quotes_url else _safe_cause(error, secrets)
        said = _describe_without_url(error, secrets) if quotes_url else _describe(error, secrets)
        text = f"{message}: {said}" + (f". {advice}" if advice else "")
        raise kind(text) from cause


def _describe(error: BaseException, secrets: Collection[str] = ()) -> str:
    text = " ".join(mask_text(str(error), secrets).split()).rstrip(".")[:_MAX_QUOTED]
    if not (isinstance(error, OSError | ValueError) and text):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"the login was rejected ({text})" if _is_login_error(error) else text


def _describe_without_url(error: BaseException, secrets: Collection[str]) -> str:
    """A description that cannot quote a part of a URL."""
    name = type(error).__name__
    if _is_login_error(error):
        return f"the login was rejected ({name})"
    if isinstance(error, OSError) and error.strerror:
        return mask_text(error.strerror, secrets)
    return f"its host cannot be parsed ({name})" if isinstance(error, ValueError) else name


def _missing_driver(error: ImportError, secrets: Collection[str]) -> str:
    text = mask_text(str(error), secrets)
    line = install_line(text)
    return f", since its driver is missing: {line}" if line else f": {text}"


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
    return None if any(mask_text(text, secrets) != text for text in texts) else error
