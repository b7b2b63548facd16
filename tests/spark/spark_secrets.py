"""Where secrets might be seen while Spark runs, and after it."""

from __future__ import annotations

import os
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
        "event log": "".join(
            path.read_text(errors="replace") for path in events.rglob("*") if path.is_file()
        ),
        "pickles": b"".join(sent).decode(errors="replace"),
    }
    assert "mapInArrow" in seen["event log"] or "MapInArrow" in seen["event log"]
    assert "java" in seen["processes"]
    assert "PYTHON" in seen["workers"]
    for secret in secrets:
        assert [place for place, text in seen.items() if secret in text] == []
