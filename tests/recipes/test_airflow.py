"""The recipe of Airflow, run by Airflow."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from processes import Processes, answers, free_port

SETTINGS = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    "CORE__PARALLELISM": "2",
    "API__WORKERS": "1",
}


@pytest.fixture
def home(recipes: Path, celonis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of Airflow with the DAG of the docs, and an OAuth client as the connection."""
    (tmp_path / "dags").mkdir()
    for name in ("airflow_operator.py", "airflow_dag.py"):
        shutil.copy(recipes / name, tmp_path / "dags")
    port = free_port()
    client, secret = celonis.oauth_client
    settings = {
        **{f"AIRFLOW__{name}": value for name, value in SETTINGS.items()},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW_CONN_CELONIS_DEFAULT": json.dumps(
            {"conn_type": "generic", "host": celonis.url, "login": client, "password": secret}
        ),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "airflow"


def _query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of Airflow's database; none while it is made."""
    try:
        with sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True) as database:
            return database.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []


def test_a_dag_run_whose_task_is_killed_pushes_its_rows_once(
    home: Path, celonis: Any, processes: Processes
) -> None:
    """The scheduler runs the task again; its second try follows the job of the first."""
    celonis.faults.slow_jobs(running=3)
    ended = "SELECT state FROM dag_run WHERE state IN ('success', 'failed')"
    processes.run("airflow", "db", "migrate")
    processes.start("airflow", "api-server")  # the tasks call it, so it is up before the scheduler
    processes.wait_for(lambda: answers(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]))
    for program in ("scheduler", "dag-processor"):
        processes.start("airflow", program)
    processes.kill_the_pusher(celonis, failed=lambda: _query(home, ended))
    (state,) = processes.wait_for(lambda: _query(home, ended))[0]
    assert state == "success", processes.logs()
    tries = "SELECT try_number FROM task_instance WHERE task_id = 'push'"
    assert _query(home, tries) >= [(2,)]
    assert [job["status"] for job in celonis.jobs] == ["DONE"]
    assert celonis.table("Purchasing", "EVENTS").column("EVENT_ID").to_pylist() == [1, 2, 3]
    ((status,),) = _query(home, "SELECT value FROM xcom WHERE task_id = 'push'")
    assert json.loads(status)["rows"] == 3


DAG = """
import os
import sys
from datetime import UTC, datetime

import polars as pl
from airflow.sdk import dag
from airflow_operator import CelonisPushOperator


@dag(schedule=None, start_date=datetime(2026, 11, 1, tzinfo=UTC), default_args={"retries": 3})
def others():
    where = {"data_pool": os.environ["CELONIS_POOL"], "staging": os.environ["CELONIS_STAGING"]}
    CelonisPushOperator.partial(
        task_id="mapped",
        python_callable=lambda context: pl.DataFrame({"MAP": [context["ti"].map_index]}),
        **where,
    ).expand(table=["A", "B"])
    rejected = pl.DataFrame({"LISTS": [[1]]})
    CelonisPushOperator(
        task_id="rejected", python_callable=lambda _: rejected, table="C", **where
    )


found = others()
if __name__ == "__main__":
    run = found.test(logical_date=datetime(2026, 11, 28, tzinfo=UTC))
    print(run.state)
"""


def test_tasks_that_are_mapped_and_a_frame_that_is_rejected(
    home: Path, celonis: Any, processes: Processes, tmp_path: Path
) -> None:
    """Each mapped task has a push of its own; a rejected frame fails at once, by dag.test()."""
    program = tmp_path / "dags" / "others.py"
    program.write_text(DAG)
    processes.run("airflow", "db", "migrate")
    output = processes.run("python", str(program), cwd=program.parent)
    assert "failed" in output.splitlines()[-1]
    for index, table in enumerate("AB"):
        assert celonis.table("Purchasing", table).to_pylist() == [{"MAP": index}]
    query = "SELECT state, try_number FROM task_instance WHERE task_id = 'rejected'"
    ((state, tries),) = _query(home, query)
    assert (state, tries) == ("failed", 1), output
    assert len(celonis.jobs) == 2
