"""Every error of celonis_frames, as one tree.

Three questions lead to the right branch: is it my frame, the wire, or the job?

::

    CelonisFramesError
    ├── ConfigError                  what to connect to, or how, is missing or wrong
    ├── FrameError                   the frame cannot be sent as it is; nothing was sent
    │   ├── ColumnNameError          a column's name
    │   ├── ColumnTypeError          a column's type, or values its type cannot carry
    │   ├── KeyColumnError           a key column: missing, named twice, or with nulls
    │   └── TruncationError          a text too long for any Celonis column
    ├── ApiError                     the wire
    │   ├── ApiConnectionError       no connection, or it broke
    │   ├── ApiTimeoutError          no answer in time
    │   └── ApiStatusError           an answer, but a refusal or an unreadable one
    │       ├── BadRequest           400
    │       ├── AuthenticationError  401
    │       ├── PermissionDenied     403
    │       ├── NotFound             404
    │       ├── Conflict             409
    │       ├── RateLimited          429
    │       └── ServerError          5xx
    └── JobError                     the data push job
        ├── JobFailed                it ended in ERROR or CANCELED
        ├── JobTimeout               it did not end in time
        └── UploadUncertain          what arrived cannot be settled
"""

from __future__ import annotations

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
    "ServerError",
    "TruncationError",
    "UploadUncertain",
]


class CelonisFramesError(Exception):
    """The root: catch it to catch everything this library raises on its own."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        # The subclasses' keyword-only arguments would be lost on the way from another process.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[CelonisFramesError], args: tuple[object, ...], state: dict[str, object]
) -> CelonisFramesError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(CelonisFramesError):
    """What to connect to, or a parameter, is missing or wrong. Nothing was sent."""


class FrameError(CelonisFramesError):
    """The frame cannot be sent as it is. Nothing was executed; the table is untouched.

    Attributes:
        column: Name of the column concerned, or None when it is the frame as a whole.
    """

    def __init__(self, message: str, *, column: str | None = None) -> None:
        super().__init__(message)
        self.column = column


class ColumnNameError(FrameError):
    """A column's name is empty, too long, reserved, or equal to another's but for case."""


class ColumnTypeError(FrameError):
    """A column has a type, or values, that no Celonis column type can carry exactly."""


class KeyColumnError(FrameError):
    """A key column is missing, named twice, or holds nulls."""


class TruncationError(FrameError):
    """A text is longer than Celonis can store, and would be cut.

    Attributes:
        longest: Length of the longest text of the column, in characters.
        rows: Number of rows whose text is too long.
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
        url: Its address, without credentials.
        job_id: Id of the job concerned, or None.
        sent: Whether all of the call had been sent, so that the server may have carried it out.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        url: str = "",
        job_id: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.method = method
        self.url = url
        self.job_id = job_id


class ApiConnectionError(ApiError):
    """No connection to the server could be made, or it broke before the answer was whole."""


class ApiTimeoutError(ApiError):
    """The server did not accept the connection, or did not answer, in time."""


class ApiStatusError(ApiError):
    """The server answered, but with a refusal or with something that cannot be read.

    Attributes:
        status_code: The HTTP status.
        body: The server's text, shortened and without control characters.
        error_codes: Celonis error codes named in the answer, such as
            ``"DUPLICATE_COLUMN_DETECTED"``.
        retry_after: Seconds the server asks to wait (429 and 503), or None when it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: str = "",
        error_codes: tuple[str, ...] = (),
        retry_after: float | None = None,
        method: str = "",
        url: str = "",
        job_id: str | None = None,
    ) -> None:
        super().__init__(message, method=method, url=url, job_id=job_id)
        self.status_code = status_code
        self.body = body
        self.error_codes = error_codes
        self.retry_after = retry_after


class BadRequest(ApiStatusError):
    """400: the server refuses what was sent, and says which field or file."""


class AuthenticationError(ApiStatusError):
    """401: the key is missing, unknown, or of the other kind."""


class PermissionDenied(ApiStatusError):
    """403: the key is known, but may not do this."""


class NotFound(ApiStatusError):
    """404: no such pool, data connection, table or job, or no right to see it."""


class Conflict(ApiStatusError):
    """409: another submission is in the way at this moment."""


class RateLimited(ApiStatusError):
    """429: too many submissions. `retry_after` says when to come back, where the server does."""


class ServerError(ApiStatusError):
    """5xx: the server, or a gateway before it, failed."""


class JobError(CelonisFramesError):
    """A data push job went wrong.

    Attributes:
        job_id: Id of the job.
        logs: The job's log lines, as the server wrote them.
    """

    def __init__(self, message: str, *, job_id: str, logs: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.logs = logs


class JobFailed(JobError):
    """The job ended in ERROR or CANCELED; the table is as it was.

    Attributes:
        state: The job's final state.
    """

    def __init__(
        self, message: str, *, job_id: str, logs: tuple[str, ...] = (), state: str = "ERROR"
    ) -> None:
        super().__init__(message, job_id=job_id, logs=logs)
        self.state = state


class JobTimeout(JobError):
    """The job had not ended when the time was up; it goes on at the server.

    One that was still being filled is cancelled instead. Of a table that `push_many` had not begun
    by then, `job_id` is empty. The message says which it is.
    """


class UploadUncertain(JobError):
    """Not every chunk can be proved to have arrived exactly once; the job was not executed."""
