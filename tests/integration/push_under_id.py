"""A push under an id, for the tests of `push_id=`, of its receipts and of `status.result`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from celonis_frames import Celonis, PushStatus

ID = "events/2026-11-28"
FRAME = pl.DataFrame({"A": [1, 2, 3], "B": ["x", "y", "z"]})
Push = Callable[..., PushStatus]


def push_under_id(client: Celonis, folder: Path) -> Push:
    """A function that pushes under `ID`, with its stage and its receipt in the folder."""

    def pushes(frame: Any = FRAME, table: str = "T", **options: Any) -> PushStatus:
        options = {"push_id": ID, "staging": str(folder), "progress": False} | options
        return client.push(frame, "P", table, **options)

    return pushes
