"""A frame whose cells can be recognised, and ways in which its push fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

CANARY = "c4nary-cell"
FRAME = pl.DataFrame({"K": range(2_000), "V": [f"{CANARY} {number}" for number in range(2_000)]})


def fails(server: Any, kind: str) -> Any:
    """A frame whose next push to the server, with the key K, fails.

    The job fails (``"job"``), a call gets a 403 (``"status"``), the frame is wrong (``"frame"``),
    or the caller's own code raises while it gives the rows (``"own"``).
    """
    if kind == "job":
        server.faults.fail_jobs(f"cannot load {CANARY}")
    elif kind == "status":
        body = json.dumps({"reference": "s-1", "message": CANARY}).encode()
        server.faults.answer("create", 403, body=body, headers={"X-Request-ID": "r-1"})
    elif kind == "frame":
        return pl.DataFrame({"K": [1, None]})
    elif kind == "own":
        return _broken()
    return FRAME


def _broken() -> Iterator[pl.DataFrame]:
    yield FRAME
    raise ValueError(CANARY)
