"""The exit statuses, and which one each error has."""

from __future__ import annotations

from enum import IntEnum

from celonis_frames import exceptions as e


class ExitStatus(IntEnum):
    """What a script can tell from the end of a command."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    FRAME = 3
    RETRY = 4
    KEY = 5
    JOB_FAILED = 6
    UNKNOWN = 7
    RELOAD_FAILED = 8
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = {
    ExitStatus.DONE: "done",
    ExitStatus.UNEXPECTED: "an unexpected error",
    ExitStatus.USAGE: "an argument or setting is wrong, or names what is not there",
    ExitStatus.FRAME: "the frame, or the plan, is rejected; nothing was executed",
    ExitStatus.RETRY: "nothing was executed: try again",
    ExitStatus.KEY: "the key is wrong, or lacks a permission",
    ExitStatus.JOB_FAILED: "the job failed",
    ExitStatus.UNKNOWN: "it still runs, or how it ended is unknown: look before you push again",
    ExitStatus.RELOAD_FAILED: "the rows are in the table; the data model was not loaded",
    ExitStatus.INTERRUPTED: "interrupted by Ctrl-C",
    ExitStatus.TERMINATED: "ended by SIGTERM (129: by SIGHUP)",
}
"""For the help and the documentation."""

_OF_CLASS: dict[type[BaseException], ExitStatus] = {
    e.CelonisFramesError: ExitStatus.UNEXPECTED,
    e.ConfigError: ExitStatus.USAGE,
    ImportError: ExitStatus.USAGE,
    e.FrameError: ExitStatus.FRAME,
    e.ApiError: ExitStatus.UNEXPECTED,
    e.ApiConnectionError: ExitStatus.RETRY,
    e.ApiTimeoutError: ExitStatus.RETRY,
    e.BadRequest: ExitStatus.FRAME,
    e.AuthenticationError: ExitStatus.KEY,
    e.PermissionDenied: ExitStatus.KEY,
    e.NotFound: ExitStatus.USAGE,
    e.Conflict: ExitStatus.RETRY,
    e.RateLimited: ExitStatus.RETRY,
    e.ServerError: ExitStatus.RETRY,
    e.JobError: ExitStatus.UNKNOWN,
    e.JobFailed: ExitStatus.JOB_FAILED,
    e.JobTimeout: ExitStatus.RETRY,
    e.ReloadFailed: ExitStatus.RELOAD_FAILED,
    KeyboardInterrupt: ExitStatus.INTERRUPTED,
}
"""The status of a class and of those below it that have none of their own."""


def exit_status(error: BaseException) -> ExitStatus:
    """The exit status for an error: that of its class.

    But if it is unknown what the server did, that comes first, except for a load: the rows are in
    the table, however it ends. And an error of a frame that comes from a parameter, which names
    what the frame does not have, is one of the arguments.
    """
    if not isinstance(error, e.ReloadFailed) and not getattr(error, "outcome_known", True):
        return ExitStatus.UNKNOWN
    if getattr(error, "parameter", None) is not None:
        return ExitStatus.USAGE
    return next((_OF_CLASS[one] for one in type(error).__mro__ if one in _OF_CLASS),
                ExitStatus.UNEXPECTED)  # fmt: skip
