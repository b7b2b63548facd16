"""The errors of celonis_frames, as one tree.

The branches are the connection's settings, the frame, the API and the job.

::

    CelonisFramesError
    ├── ConfigError                  a setting or parameter is missing or wrong
    ├── FrameError                   the frame cannot be sent as it is; nothing was executed
    │   ├── ColumnNameError          a column's name
    │   ├── ColumnTypeError          a column's type, or values that it cannot store
    │   ├── KeyColumnError           a key column: missing, named twice, or with nulls
    │   └── TruncationError          a string longer than its column, or than any column can be
    ├── ApiError                     a call to the API failed
    │   ├── ApiConnectionError       no connection, or it broke
    │   ├── ApiTimeoutError          no response in time
    │   └── ApiStatusError           an error response, or an unreadable one
    │       ├── BadRequest           400
    │       ├── AuthenticationError  401
    │       ├── PermissionDenied     403
    │       ├── NotFound             404
    │       ├── Conflict             409
    │       ├── RateLimited          429
    │       └── ServerError          5xx
    ├── JobError                     the data push job, or a data job
    │   ├── JobFailed                it ended in ERROR or CANCELED
    │   ├── JobTimeout               it did not end in time
    │   └── UploadUncertain          it is unknown which chunks arrived
    └── ReloadFailed                 the data model was not loaded
        └── ReloadTimeout            its load did not end in time
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiStatusError",
    "ApiTimeoutError",
    "AuthenticationError",
    "BadRequest",
    "CelonisFramesError",
    "ColumnNameError",
    "ColumnTypeError",
    "ConfigError",
    "Conflict",
    "FrameError",
    "JobError",
    "JobFailed",
    "JobTimeout",
    "KeyColumnError",
    "NotFound",
    "PermissionDenied",
    "RateLimited",
    "ReloadFailed",
    "ReloadTimeout",
    "ServerError",
    "TruncationError",
    "UploadUncertain",
]


class CelonisFramesError(Exception):
    """The base of all errors that this library defines.

    Attributes:
        outcome_known: Whether it is known what the server did. False if a job, a load or an
            execution was or may have been started, or objects were stored, and how it ended is not
            known: look at it before you push again.
    """

    outcome_known: bool = True

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class without its keyword-only arguments.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[CelonisFramesError], args: tuple[object, ...], state: dict[str, object]
) -> CelonisFramesError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(CelonisFramesError):
    """A setting or parameter is missing or wrong. Nothing was executed."""


class FrameError(CelonisFramesError):
    """The frame cannot be sent as it is. Nothing was executed; the table is untouched.

    Attributes:
        column: Name of the column concerned, or None if it is the whole frame.
        parameter: Name of the parameter that is wrong for this frame, such as ``"keys"`` if it
            names a column that is not there; None if the frame itself is.
    """

    def __init__(
        self, message: str, *, column: str | None = None, parameter: str | None = None
    ) -> None:
        super().__init__(message)
        self.column = column
        self.parameter = parameter


class ColumnNameError(FrameError):
    """A column's name is empty, too long, reserved, or differs from another's by case only."""


class ColumnTypeError(FrameError):
    """A column has a type, or values, that no Celonis column type can store exactly."""


class KeyColumnError(FrameError):
    """A key column is missing, named twice, or contains nulls."""


class TruncationError(FrameError):
    """A string is longer than its column, or than any column can be, and would be cut.

    Attributes:
        longest: Length of the longest string in the column, in characters.
        rows: Number of rows whose string is too long.
    """

    def __init__(
        self, message: str, *, column: str | None = None, longest: int = 0, rows: int = 0
    ) -> None:
        super().__init__(message, column=column)
        self.longest = longest
        self.rows = rows


class ApiError(CelonisFramesError):
    """A call to the API failed.

    Attributes:
        method: HTTP method of the call.
        url: URL of the call, without credentials.
        job_id: Id of the job concerned, or None.
        sent: Whether the whole request was sent, so that the server may have carried it out.
        reason: Why there is no response of the server: ``"dns"`` (no such host), ``"refused"``,
            ``"certificate"`` (not trusted), ``"tls"``, ``"proxy"``, ``"timeout"`` or ``"broken"``;
            None if there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        url: str = "",
        job_id: str | None = None,
        sent: bool = True,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.reason = reason
        self.method = method
        self.url = url
        self.job_id = job_id


class ApiConnectionError(ApiError):
    """The connection failed, or broke before the response was complete."""


class ApiTimeoutError(ApiError):
    """The server did not accept the connection, or did not respond, in time."""


class ApiStatusError(ApiError):
    """The server returned an error, or a response that cannot be read.

    Attributes:
        status_code: The HTTP status.
        body: The server's text, shortened and without control characters.
        error_codes: Celonis error codes in the response, such as
            ``"DUPLICATE_COLUMN_DETECTED"``.
        retry_after: Seconds the server asks to wait (429 and 503), or None if it does not say.
        request_id: The id that the server, or a gateway in front of it, gave the request, from the
            headers of its response; None if there is none.
        support_id: The id that Celonis' support asks for, from the response; None if there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: str = "",
        error_codes: tuple[str, ...] = (),
        retry_after: float | None = None,
        request_id: str | None = None,
        support_id: str | None = None,
        method: str = "",
        url: str = "",
        job_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, method=method, url=url, job_id=job_id, reason=reason)
        self.status_code = status_code
        self.body = body
        self.error_codes = error_codes
        self.retry_after = retry_after
        self.request_id = request_id
        self.support_id = support_id


class BadRequest(ApiStatusError):
    """400: the server rejected the request; its text says which field or file."""


class AuthenticationError(ApiStatusError):
    """401: the key is missing, unknown, or of the wrong kind."""


class PermissionDenied(ApiStatusError):
    """403: the key is valid, but lacks a permission."""


class NotFound(ApiStatusError):
    """404: no such pool, data connection, data model, table or job, or the key may not see it."""


class Conflict(ApiStatusError):
    """409: another submission is in progress."""


class RateLimited(ApiStatusError):
    """429: too many submissions. `retry_after` says when to retry, if the server does."""


class ServerError(ApiStatusError):
    """5xx: the server, or a gateway in front of it, failed."""


class JobError(CelonisFramesError):
    """A data push job, or a data job that `run_job` executed, went wrong.

    Attributes:
        job_id: Id of the job.
        logs: The job's log lines from the server; none for a data job.
    """

    def __init__(
        self,
        message: str,
        *,
        job_id: str,
        logs: tuple[str, ...] = (),
        outcome_known: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.logs = logs
        if outcome_known is not None:
            self.outcome_known = outcome_known


class JobFailed(JobError):
    """The job ended in ERROR or CANCELED; the table is unchanged.

    A data job ended in FAIL, CANCEL or SKIPPED; what it did before that may stay.

    Attributes:
        state: The job's final state.
    """

    def __init__(
        self, message: str, *, job_id: str, logs: tuple[str, ...] = (), state: str = "ERROR"
    ) -> None:
        super().__init__(message, job_id=job_id, logs=logs)
        self.state = state


class JobTimeout(JobError):
    """The job did not end in time; it continues on the server.

    A job whose upload was not complete is cancelled instead. If `push_many` had not started a table
    by then, its `job_id` is empty. The message says which it is, and `outcome_known` is True if
    nothing was executed.
    """

    outcome_known = False


class UploadUncertain(JobError):
    """It cannot be verified that every chunk arrived exactly once.

    The job was not executed, unless the message says that it may have been: then check the table
    before you push again. `outcome_known` is then False.
    """

    outcome_known = False


class ReloadFailed(CelonisFramesError):
    """A data model was not loaded, or not known to be.

    Its load ended in ERROR, LOST_CONNECTION or CANCELED, or could not be begun. The tables of the
    pool are not affected.

    Attributes:
        status: The `ReloadStatus`.
    """

    def __init__(self, message: str, *, status: Any, outcome_known: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.outcome_known = outcome_known


class ReloadTimeout(ReloadFailed):
    """The load of a data model did not end in time; it goes on in Celonis.

    If another load was in the way until then, ours was not begun. The message says which it is.
    """
