"""The images of the recipe: linted, and their instructions executed without a daemon.

An image of Python is an environment here, a folder of the container a folder of the test. Commands
that make users and folders are left out.
"""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import dockerfile
import polars as pl
import pytest
import yaml
from processes import Processes, free_port

from celonis_frames import __version__, local

LEFT_OUT = ("useradd", "install")
FILES = ("Dockerfile", "local.Dockerfile")


def _build(file: Path, folder: Path, processes: Processes) -> list[str]:
    """Execute the instructions of a Dockerfile in a folder, and return its command."""
    found = dockerfile.parse_file(str(file))
    assert found[0].value == ("python:3.13-slim",)
    for one in found[1:]:
        if one.cmd == "RUN":
            for command in one.value[0].split("&&"):
                if command.split()[0] not in LEFT_OUT:
                    processes.run("sh", "-e", "-c", command)
        elif one.cmd == "COPY":
            shutil.copy(file.with_name(one.value[0]), folder)
        else:
            assert one.cmd in ("USER", "WORKDIR", "VOLUME", "EXPOSE", "CMD")
    assert found[-1].cmd == "CMD"
    return list(found[-1].value)


@pytest.mark.parametrize("name", FILES)
def test_the_dockerfile_is_valid(name: str, recipes: Path, processes: Processes) -> None:
    """By hadolint; it installs the version that this is."""
    processes.run("hadolint", str(recipes / name))
    text = (recipes / name).read_text("utf-8")
    assert re.findall(r"celonis-frames\[[\w,]+\]==([\d.]+)", text) == [__version__]


def test_the_compose_file_is_valid(recipes: Path, processes: Processes) -> None:
    """By the schema of the specification."""
    path = str(recipes / "compose.yaml")
    processes.run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


def test_the_pipeline_runs_against_the_local_celonis(
    recipes: Path, python: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As compose.yaml starts them. After a stop the tables are still in the volume."""
    services = yaml.safe_load((recipes / "compose.yaml").read_text("utf-8"))["services"]
    port = free_port()
    (python / "data").mkdir()

    def here(text: str) -> str:
        return (
            text.replace("8080", str(port))
            .replace("/data/", f"{python}/data/")
            .replace("/home/pipeline", str(python))
        )

    serve = [here(one) for one in _build(recipes / "local.Dockerfile", python, processes)]
    pipeline = _build(recipes / "Dockerfile", python, processes)
    pl.DataFrame({"EVENT_ID": [1, 2]}).write_parquet(python / "data" / "events.parquet")
    for name, value in services["pipeline"]["environment"].items():
        monkeypatch.setenv(name, here(value))
    _, *health = services["celonis"]["healthcheck"]["test"]

    def is_healthy() -> bool:
        return processes.succeeds(*map(here, health))

    for _ in range(2):
        server = processes.start(*serve, "--port", str(port))
        processes.wait_for(is_healthy)
        processes.run(*pipeline, cwd=python)  # the second one finds the receipt of the first
        server.send_signal(signal.SIGTERM)  # as `docker stop`
        assert server.wait(30) == 0, processes.logs()
    with local.start(python / "data" / "celonis.duckdb") as celonis:
        assert celonis.table("Purchasing", "EVENTS").to_pylist() == [
            {"EVENT_ID": 1},
            {"EVENT_ID": 2},
        ]
