"""The recipe of Prefect, run by Prefect."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import requests
from processes import Processes, answers, free_port


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prefect server, to which the environment leads; Prefect reads that once."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    settings = {
        "PREFECT_HOME": str(folder), "PREFECT_API_URL": url, "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }  # fmt: skip
    program = Path(sys.executable).with_name("prefect")
    with pytest.MonkeyPatch.context() as patch, Processes(folder) as processes:
        for name, value in settings.items():
            patch.setenv(name, value)
        processes.start(str(program), "server", "start", "--port", str(port))
        processes.wait_for(lambda: answers(f"{url}/health"))
        yield url


def test_a_flow_that_is_killed_pushes_its_rows_once(
    api: str, recipes: Path, celonis: Any, processes: Processes
) -> None:
    """Retried as it is by Prefect's command, it follows the job of the first try."""
    celonis.faults.slow_jobs(running=3)
    processes.start("python", str(recipes / "prefect_flow.py"))
    deployment = f"{api}/deployments/name/events/events"
    processes.wait_for(lambda: requests.get(deployment, timeout=5).ok)
    output = processes.run("prefect", "deployment", "run", "events/events")
    (run,) = re.findall(r"UUID: (\S+)", output)

    def state() -> str:
        flow_run = requests.get(f"{api}/flow_runs/{run}", timeout=5).json()
        return str(flow_run["state_type"])

    processes.kill_the_pusher(celonis, failed=lambda: state() in ("FAILED", "CRASHED"))
    processes.wait_for(lambda: state() == "CRASHED")
    processes.run("prefect", "flow-run", "retry", run)
    processes.wait_for(lambda: state() not in ("CRASHED", "SCHEDULED", "PENDING", "RUNNING"))
    assert state() == "COMPLETED", processes.logs()
    assert [job["status"] for job in celonis.jobs] == ["DONE"]
    assert celonis.table("Purchasing", "EVENTS").column("EVENT_ID").to_pylist() == [1, 2, 3]


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("retried", ["task", "flow"])
def test_a_retry_sends_its_rows_once(retried: str, celonis: Any) -> None:
    """Of the task, or of the whole flow: the job was executed, and its end not seen."""
    from prefect import flow  # noqa: PLC0415  # once the environment leads to the server
    from prefect_flow import push_to_celonis  # noqa: PLC0415

    task_retries, flow_retries = (4, 0) if retried == "task" else (0, 4)
    celonis.faults.answer("job", 401, times=3)
    push = push_to_celonis.with_options(retries=task_retries, retry_delay_seconds=0)

    @flow(retries=flow_retries)
    def nightly(staging: str) -> list[dict[str, Any]]:
        frame = pl.DataFrame({"N": [1, 2]})
        return [push(frame, "Purchasing", table, staging=staging) for table in ("A", "B")]

    staging = os.environ["CELONIS_STAGING"]
    first = nightly(staging)
    assert [(one["table"], one["rows"]) for one in first] == [("A", 2), ("B", 2)]
    nightly(staging)  # another run
    assert (
        celonis.table("Purchasing", "A").num_rows == celonis.table("Purchasing", "B").num_rows == 4
    )
    assert len(celonis.jobs) == 4
