"""The machine that measures: what it is, and whether something else keeps it busy."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
_QUIET_SHARE = 0.1
_LIBRARIES = (
    "celonis-frames",
    "pandas",
    "polars",
    "pyarrow",
    "numpy",
    "requests",
    "httpx",
    "duckdb",
)
_TICK = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """What a reader of the figures has to know."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "processor": models[0] if models else platform.machine(),
        "cores": CORES,
        "memory": memory,
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": {"Python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def busy() -> float:
    """Seconds of CPU that were used since the start of the machine, by all processes."""
    fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICK


def quiet(patience: float = PATIENCE_SECONDS) -> None:
    """Return when the machine has nothing else to do, or after so many seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = busy()
        time.sleep(0.25)
        if busy() - before < 0.25 * CORES * _QUIET_SHARE:
            return
