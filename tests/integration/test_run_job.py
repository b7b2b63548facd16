"""Data jobs are executed."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

from celonis_frames import ApiKey, Celonis, DataJobStatus, exceptions

COUNT = "INSERT INTO RUNS SELECT count(*) + 1 FROM RUNS"


@pytest.fixture
def pool(server: Any, table: str) -> Iterator[str]:
    """A pool of its own, whose data job Nightly adds a row to the table RUNS."""
    name = f"Pool of {table}"
    server.add_data_job(name, "Set up", "CREATE TABLE RUNS (N BIGINT)")
    server.add_data_job(name, "Nightly", COUNT)
    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        celonis.run_job(name, "Set up")
    yield name
    server.faults.clear()


def runs(server: Any, pool: str) -> int:
    """How often the job has run."""
    return int(server.table(pool, "RUNS").num_rows)


def test_an_execution(connection: Celonis, server: Any, pool: str) -> None:
    """The job has run once when the call returns; the status says so."""
    status = connection.run_job(pool, "nightly")
    assert runs(server, pool) == 1
    assert (status.state, status.ok, status.done) == ("SUCCESS", True, True)
    assert (status.name, status.mode, status.message) == ("Nightly", "FULL", "")
    status.raise_for_status()
    assert connection.run_job(status.pool_id, status.job_id, mode="delta").mode == "DELTA"
    assert runs(server, pool) == 2


def test_the_jobs_of_a_pool(connection: Celonis, pool: str) -> None:
    """Each has its id, name and the state of its last execution."""
    found = {job.name: job.state for job in connection.data_jobs(pool)}
    assert found == {"Set up": "SUCCESS", "Nightly": "NEW"}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"job": "Nightlee"}, exceptions.NotFound, "Did you mean 'Nightly'"),
        ({"job": ""}, exceptions.ConfigError, "job='' must be an id or a name"),
        ({"mode": "ALL"}, exceptions.ConfigError, "use FULL or DELTA"),
        ({"wait": 1}, exceptions.ConfigError, "wait=1 must be True or False"),
        ({"timeout": -1}, exceptions.ConfigError, "timeout=-1 must be a number of seconds"),
    ],
)
def test_wrong_arguments(
    connection: Celonis, server: Any, pool: str, given: Any, error: Any, words: str
) -> None:
    """They are errors that say what is allowed, and nothing is executed."""
    call = {"job": "Nightly"} | given
    with pytest.raises(error, match=re.escape(words)):
        connection.run_job(pool, call.pop("job"), **call)
    assert runs(server, pool) == 0


def test_a_failed_job(connection: Celonis, server: Any, pool: str) -> None:
    """JobFailed has the job's id, its state, and what the server says."""
    server.faults.fail_data_jobs("disk full")
    with pytest.raises(exceptions.JobFailed, match="'Nightly' ended in FAIL: disk full") as caught:
        connection.run_job(pool, "Nightly")
    assert caught.value.state == "FAIL"
    assert runs(server, pool) == 0


def test_an_earlier_execution_is_not_taken_for_this_one(
    connection: Celonis, server: Any, pool: str
) -> None:
    """A job that failed before is not reported as failed, nor one that succeeded as done."""
    server.faults.fail_data_jobs("disk full")
    with pytest.raises(exceptions.JobFailed):
        connection.run_job(pool, "Nightly")
    server.faults.slow_data_jobs(queued=0.1, running=0.1)
    status = connection.run_job(pool, "Nightly", wait=False)
    assert status.state in ("REQUESTED", "QUEUED", "RUNNING")
    assert not status.done
    assert status.wait().ok
    first = status.execution_id
    assert connection.run_job(pool, "Nightly").execution_id != first


def test_a_running_job_is_waited_for(connection: Celonis, server: Any, pool: str) -> None:
    """Whether its execution was there before, or came first: then ours is made."""
    server.faults.slow_data_jobs(running=0.2)
    connection.run_job(pool, "Nightly", wait=False)
    assert connection.run_job(pool, "Nightly").ok
    assert runs(server, pool) == 2
    server.faults.busy_data_jobs(0.2)
    assert connection.run_job(pool, "Nightly").ok
    assert runs(server, pool) == 4


def test_the_time_is_up(connection: Celonis, server: Any, pool: str) -> None:
    """JobTimeout says whether the execution goes on or was not begun."""
    server.faults.slow_data_jobs(running=4.0)
    with pytest.raises(exceptions.JobTimeout, match="goes on in Celonis"):
        connection.run_job(pool, "Nightly", timeout=1.5)
    with pytest.raises(exceptions.JobTimeout, match="was not executed: another execution"):
        connection.run_job(pool, "Nightly", timeout=1.0)
    server.faults.clear()
    assert connection.run_job(pool, "Nightly").ok
    assert runs(server, pool) == 2


def test_a_lost_answer_executes_nothing_twice(connection: Celonis, server: Any, pool: str) -> None:
    """The id of the last execution shows that it began; if it did not, the error says so."""
    server.faults.drop("run_data_job", when="after")
    status = connection.run_job(pool, "Nightly")
    assert status.ok
    assert "the response to the call was lost" in status.warnings[0]
    assert runs(server, pool) == 1
    server.faults.answer("run_data_job", 500)
    with pytest.raises(exceptions.ServerError) as caught:
        connection.run_job(pool, "Nightly")
    assert "before you run it again" in " ".join(caught.value.__notes__)
    assert runs(server, pool) == 1


def test_older_servers(server: Any, pool: str) -> None:
    """Where the newer spelling is unknown, the older one is used."""
    fault = server.faults.answer("run_data_job", 404, times=None)
    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        assert celonis.run_job(pool, "Nightly").ok
    assert fault.hits == 1
    assert runs(server, pool) == 1


def test_the_status_by_itself(connection: Celonis, pool: str) -> None:
    """As text, as HTML, as JSON, and in another process, without the connection."""
    status = connection.run_job(pool, "Nightly")
    assert re.fullmatch(
        r"<DataJobStatus SUCCESS · data job Nightly \(FULL\) · [\d.]+ s>", repr(status)
    )
    assert f"data job <code>{status.job_id}</code>" in status._repr_html_()
    facts = json.loads(json.dumps(status.to_dict()))
    assert set(facts) == {
        name for name in dir(DataJobStatus) if isinstance(getattr(DataJobStatus, name), property)
    }
    back = pickle.loads(pickle.dumps(status))  # noqa: S301  # pickled here
    assert back.to_dict() == status.to_dict()
