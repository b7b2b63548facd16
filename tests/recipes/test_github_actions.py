"""The workflows of the recipe: linted, and their steps executed as a runner does."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from processes import Processes

CONTEXTS = re.compile(r"\$\{\{ (vars|secrets|github)\.(\w+) \}\}")


def _steps(workflow: Path) -> list[dict[str, Any]]:
    (job,) = yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()
    steps: list[dict[str, Any]] = job["steps"]
    return steps


def _execute(
    workflow: Path, values: dict[str, str], processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the commands of a workflow in this folder, with the values of its contexts."""
    steps = _steps(workflow)
    actions = [step.pop("uses").split("@")[0] for step in steps[:2]]
    assert actions == ["actions/checkout", "actions/setup-python"]  # what the test has done
    for step in steps[2:]:
        with monkeypatch.context() as patch:
            for name, value in step.get("env", {}).items():
                patch.setenv(name, CONTEXTS.sub(lambda found: values[found[2]], value))
            processes.run("bash", "-e", "-o", "pipefail", "-c", step["run"])


@pytest.mark.parametrize("name", ["github_push.yml", "github_test.yml"])
def test_the_workflow_is_valid_and_safe(name: str, recipes: Path, processes: Processes) -> None:
    """By GitHub's schema, and by zizmor's audits: permissions, pins, secrets."""
    path = str(recipes / name)
    processes.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    processes.run("zizmor", "--offline", "--persona", "pedantic", path)


def test_the_workflow_pushes_once_however_often_it_is_run(
    recipes: Path, celonis: Any, python: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is run again has the same run_id, and sends nothing."""
    shutil.copy(recipes / "pipeline.py", python)
    pl.DataFrame({"EVENT_ID": [1, 2]}).write_parquet(python / "events.parquet")
    client, secret = celonis.oauth_client
    monkeypatch.delenv("CELONIS_API_TOKEN")
    values = {
        "CELONIS_URL": celonis.url, "OAUTH_CLIENT_ID": client, "OAUTH_CLIENT_SECRET": secret,
        "CELONIS_POOL": os.environ["CELONIS_POOL"], "CELONIS_STAGING": str(python / "staging"),
        "DATA": "events.parquet", "run_id": "12345",
        "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
    }  # fmt: skip
    for run_id, rows in (("12345", 2), ("12345", 2), ("12346", 4)):
        _execute(recipes / "github_push.yml", values | {"run_id": run_id}, processes, monkeypatch)
        assert celonis.table("Purchasing", "EVENTS").num_rows == rows


def test_the_workflow_tests_the_pipeline(
    recipes: Path, python: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the fixture of the package, in an environment that has only what it installs."""
    for name in ("pipeline.py", "test_pipeline.py"):
        shutil.copy(recipes / name, python)
    _execute(recipes / "github_test.yml", {}, processes, monkeypatch)
