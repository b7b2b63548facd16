"""PushStatus.result: what wait=False leaves out, made up for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from push_under_id import FRAME, Push, push_under_id

from celonis_frames import Celonis, exceptions


@pytest.fixture
def push(client: Celonis, tmp_path: Path) -> Push:
    """A function that pushes under one id."""
    return push_under_id(client, tmp_path)


def test_the_result_of_a_push_that_was_not_waited_for(
    own: Any, client: Celonis, push: Push
) -> None:
    """The status itself, completed as push(wait=True) returns it."""
    client.push(FRAME, "P", "T")
    own.faults.slow_jobs(running=0.3)
    status = push(wait=False, verify="rows")
    assert "not waited for" in status.warnings[-1]
    total = status.timings["total"]
    assert status.result(timeout=60) is status
    assert (status.state, status.rows, status.warnings) == ("DONE", 3, ())
    assert status.timings["total"] > total
    assert status.timings["wait"] > 0
    assert status.result() is status
    assert status.timings["prepare"] > 0  # what comes before the frame is checked


def test_the_result_of_a_job_that_failed(own: Any, push: Push) -> None:
    """It raises what push raises, each time."""
    own.faults.fail_jobs("disk full")
    status = push(wait=False)
    for _ in range(2):
        with pytest.raises(exceptions.JobFailed, match="disk full"):
            status.result()


def test_the_result_of_a_job_that_takes_too_long(own: Any, push: Push) -> None:
    """It goes on, and its result can be waited for once more."""
    own.faults.slow_jobs(running=1.5)
    status = push(wait=False)
    with pytest.raises(exceptions.JobTimeout):
        status.result(timeout=0.1)
    assert status.result().ok


def test_a_timeout_is_no_failed_poll(
    own: Any, client: Celonis, push: Push, caplog: pytest.LogCaptureFixture
) -> None:
    """The log does not say that a state could not be read if only the time was up."""
    own.add_data_model("P", "M", ["T"])
    own.faults.slow_jobs(running=3.0)
    status = push(wait=False)
    with pytest.raises(exceptions.JobTimeout, match="still RUNNING") as late:
        status.result(timeout=1.2)
    assert not late.value.outcome_known
    assert not pickle.loads(pickle.dumps(late.value)).outcome_known  # noqa: S301  # our own
    own.faults.slow_loads(3.0)
    with pytest.raises(exceptions.ReloadTimeout, match="still RUNNING") as unloaded:
        client.reload("P", "M", timeout=1.2)
    assert not unloaded.value.outcome_known
    with pytest.raises(exceptions.JobTimeout, match="nothing was executed") as early:
        client.push(FRAME, "P", "T", timeout=0.000_001)
    assert early.value.outcome_known
    assert "could not be read" not in caplog.text


def test_the_result_counts_rows(own: Any, client: Celonis, push: Push) -> None:
    """verify="rows" finds what another client has added before the job's end was looked at."""
    client.push(FRAME, "P", "T")
    own.faults.slow_jobs(running=0.5)
    status = push(wait=False, verify="rows")
    own.faults.slow_jobs()
    client.push(FRAME, "P", "T")
    with pytest.raises(exceptions.JobError, match="has 9 rows instead of 6"):
        status.result()


def test_the_result_of_a_status_that_was_pickled(own: Any, push: Push) -> None:
    """Without a connection it can only say what is known."""
    own.faults.slow_jobs(running=0.3)
    status = push(wait=False)
    copied = pickle.loads(pickle.dumps(status))  # noqa: S301  # ours
    with pytest.raises(exceptions.ConfigError, match="no connection"):
        copied.result()
    done = pickle.loads(pickle.dumps(status.result()))  # noqa: S301  # ours
    assert done.result().rows == 3


def test_results_of_several_tables(own: Any, client: Celonis) -> None:
    """Of push_many too, with wait=False and without."""
    client.push_many({"T": FRAME, "U": FRAME}, "P")
    own.faults.slow_jobs(running=0.2)
    for wait in (True, False):
        statuses = client.push_many({"T": FRAME, "U": FRAME}, "P", wait=wait, verify="rows")
        for status in statuses.values():
            assert status.result().ok
            assert status.warnings == ()
