"""Spark Connect: the client is another process than the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spark_cluster import run_elsewhere
from spark_faults import EXACT, ids

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("way", ["push", "source", "stream"])
def test_connect(way: str, server: Any, stage: Path, table: str) -> None:
    """The client sends what the workers have staged; the data source sends from the server."""
    import pyspark  # noqa: PLC0415

    if way != "push" and pyspark.__version__ < "4.1":
        way = "push"
    run_elsewhere(server, "connect", "local[2]", way, "0", table, str(stage))
    assert ids(server, table) == EXACT
