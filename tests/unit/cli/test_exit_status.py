"""The exit status of each error, as the documentation lists them."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from celonis_frames import exceptions
from celonis_frames._cli.exit_status import MEANINGS, ExitStatus, exit_status

EXPECTED = {
    "CelonisFramesError": 1,
    "ConfigError": 2,
    "FrameError": 3,
    "ColumnNameError": 3,
    "ColumnTypeError": 3,
    "KeyColumnError": 3,
    "TruncationError": 3,
    "ApiError": 1,
    "ApiConnectionError": 4,
    "ApiTimeoutError": 4,
    "ApiStatusError": 1,
    "BadRequest": 3,
    "AuthenticationError": 5,
    "PermissionDenied": 5,
    "NotFound": 2,
    "Conflict": 4,
    "RateLimited": 4,
    "ServerError": 4,
    "JobError": 7,
    "JobFailed": 6,
    "JobTimeout": 7,
    "UploadUncertain": 7,
    "ReloadFailed": 8,
    "ReloadTimeout": 8,
}


def _error(name: str) -> BaseException:
    kind: Any = getattr(exceptions, name)
    needed = {"status_code": 418, "job_id": "1", "status": SimpleNamespace()}
    taken = inspect.signature(kind).parameters
    return kind("x", **{one: value for one, value in needed.items() if one in taken})


def test_every_class_of_the_error_tree_has_one_status() -> None:
    """No class is without a status that was thought about."""
    assert set(EXPECTED) == set(exceptions.__all__)
    assert {name: int(exit_status(_error(name))) for name in EXPECTED} == EXPECTED


@pytest.mark.parametrize("name", ["ApiConnectionError", "PermissionDenied", "NotFound", "ApiError"])
def test_an_error_after_which_the_outcome_is_unknown(name: str) -> None:
    """Whatever failed then, the command must not be repeated before somebody has looked."""
    error: Any = _error(name)
    assert error.outcome_known
    error.outcome_known = False
    assert exit_status(error) is ExitStatus.UNKNOWN


def test_a_timeout_before_which_nothing_was_executed() -> None:
    """It may be tried again, unlike one whose job goes on."""
    known = exceptions.JobTimeout("x", job_id="", outcome_known=True)
    assert exit_status(known) is ExitStatus.RETRY
    assert exit_status(copy.copy(known)) is ExitStatus.RETRY  # as pickle rebuilds it


@pytest.mark.parametrize("name", ["FrameError", "ColumnNameError", "KeyColumnError"])
def test_a_parameter_that_names_what_the_frame_does_not_have(name: str) -> None:
    """It is a wrong argument, not a wrong frame."""
    error = getattr(exceptions, name)("x", parameter="keys")
    assert exit_status(error) is ExitStatus.USAGE


@pytest.mark.parametrize(
    ("error", "status"), [(ImportError("x"), 2), (KeyboardInterrupt(), 130), (ValueError("x"), 1)]
)
def test_errors_that_are_not_of_the_library(error: BaseException, status: int) -> None:
    """A missing library is a setting; others are unexpected."""
    assert exit_status(error) == status


def test_the_documentation_lists_each_status() -> None:
    """With the same meaning as the help."""
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
    for status in ExitStatus:
        assert f"| {status:d} | {MEANINGS[status]} |" in page
