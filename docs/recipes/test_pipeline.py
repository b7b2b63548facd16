"""A test of the pipeline on a local Celonis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pipeline
import polars as pl
import pytest


def test_the_events_are_pushed_once(
    local_celonis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again under the same id the pipeline sends nothing."""
    pl.DataFrame({"EVENT_ID": [1, 2, None]}).write_parquet(tmp_path / "events.parquet")
    for name, value in {
        "DATA": str(tmp_path / "events.parquet"), "CELONIS_POOL": "Purchasing",
        "CELONIS_STAGING": str(tmp_path / "staging"), "RUN_ID": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    pipeline.main()
    pipeline.main()
    assert local_celonis.table("Purchasing", "EVENTS").to_pylist() == [
        {"EVENT_ID": 1},
        {"EVENT_ID": 2},
    ]
