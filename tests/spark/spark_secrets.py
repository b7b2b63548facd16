"""Where secrets might be seen while Spark runs, and after it."""

from __future__ import annotations

import os
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def processes() -> str:
    """The command lines and the environments of all processes of Spark: JVMs and workers."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            found += process.cmdline()
            found += [f"{name}={value}" for name, value in process.environ().items()]
    return "\n".join(found)


PAGES = (
    "environment/", "jobs/", "stages/", "executors/", "SQL/",
    "api/v1/applications/{id}/environment", "api/v1/applications/{id}/jobs",
    "api/v1/applications/{id}/stages?details=true", "api/v1/applications/{id}/sql?details=true",
)  # fmt: skip
"""What Spark's UI shows."""


def user_interface(spark: Any) -> str:
    """The pages of Spark's UI, and what they are made of."""
    context, found = spark.sparkContext, []
    for page in PAGES:
        url = f"{context.uiWebUrl}/{page.format(id=context.applicationId)}"
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  # our own
            found.append(response.read().decode())
    return "\n".join(found)


def worker_environment(spark: Any) -> str:
    """The environment as Python's workers see it."""

    def environment(batches: Any) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        for _ in batches:
            pass
        yield pa.record_batch({"env": [str(dict(os.environ))]})

    return str(spark.range(2).mapInArrow(environment, "env string").collect())


def assert_unseen(
    secrets: list[str], spark: Any, frame: Any, events: Path, sent: list[bytes]
) -> None:
    """Search everything that stays after a push, or that others see meanwhile."""
    seen = {
        "plan": frame._jdf.queryExecution().toString(),
        "settings": str(spark.sparkContext.getConf().getAll()),
        "processes": processes(),
        "workers": worker_environment(spark),
        "user interface": user_interface(spark),
        "event log": "".join(
            path.read_text(errors="replace") for path in events.rglob("*") if path.is_file()
        ),
        "pickles": b"".join(sent).decode(errors="replace"),
    }
    assert "mapInArrow" in seen["event log"] or "MapInArrow" in seen["event log"]
    assert "java" in seen["processes"]
    assert "mapInArrow" in seen["user interface"] or "MapInArrow" in seen["user interface"]
    assert "PYTHON" in seen["workers"]
    for secret in secrets:
        assert [place for place, text in seen.items() if secret in text] == []
