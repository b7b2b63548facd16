"""A client of the soak, a process of its own that may be killed.

Run as ``soak_client.py URL [naive] [forks] [SCALE]``. Obeys lines of JSON, ``{"push": number, …}``
or ``{"resume": staging URL}``, and answers each with a line of JSON that says what came of it. With
"forks" a fork of it does so, and another one once that was killed, which costs less than a start.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import naive_client
import pandas as pd
import polars as pl
import pyarrow as pa
import shortened_waits
from soak_server import TOKEN

import celonis_frames
from celonis_frames import ApiKey, Celonis, IngestionKeys
from celonis_frames._http.transport import Timeouts
from celonis_frames._staging import claim, stage

POOL = "Soak"
TEXT_LENGTH = 80
READ_SECONDS = 1.0
SCALE = 0.25
"""Of the client's pauses: they must outlast the start of a server, if it is killed."""


def rows(push: int, count: int) -> dict[str, list[Any]]:
    """The rows of a push: every value follows from the numbers of the push and the row."""
    return {
        "PUSH": [push] * count,
        "ROW": list(range(count)),
        "TEXT": [None if r % 11 == 3 else f"{push}:{r * 7919 % 104_729}" for r in range(count)],
        "VALUE": [None if r % 7 == 2 else (push * 31 + r) / 8 for r in range(count)],
    }


def frame(kind: str, push: int, count: int) -> Any:
    """The rows as a frame of this kind."""
    columns = rows(push, count)
    if kind == "pandas":
        made = pd.DataFrame(columns)
        return made.astype({"TEXT": "string"})
    if kind == "polars":
        return pl.DataFrame(columns, schema_overrides={"TEXT": pl.String, "VALUE": pl.Float64})
    if kind == "lazy":
        return frame("polars", push, count).lazy()
    table = pa.table(columns, pa.schema([("PUSH", "int64"), ("ROW", "int64"), ("TEXT", "string"),
                                         ("VALUE", "float64")]))  # fmt: skip
    if kind == "generator":
        half = max(1, count // 2)
        return (table.slice(start, half) for start in range(0, count, half))
    return table


def push(client: Celonis, order: dict[str, Any]) -> dict[str, Any]:
    """Push as told; what came of it."""
    status = client.push(
        frame(order["frame"], order["push"], order["rows"]),
        order.get("pool", POOL),
        order["table"],
        columns={"TEXT": TEXT_LENGTH},
        **order.get("options", {}),
        upload={"chunk_bytes": f"{order['chunk_bytes']} B", "workers": order["workers"]},
        staging=order["staging"],
        progress=False,
    )
    return {
        "state": status.state, "job_id": status.job_id, "rows": status.rows,
        "repeated": status.repeated,
    }  # fmt: skip


def push_objects(url: str, timeouts: Timeouts, order: dict[str, Any]) -> dict[str, Any]:
    """Push or resume as told, with ingestion keys; what came of it."""
    keys = IngestionKeys(**order["ingestion"])
    with Celonis(url, ingestion=keys, timeouts=timeouts) as client:
        return resume(client, order["resume"]) if "resume" in order else push(client, order)


def _die_at_a_write(number: int, when: str, *, removals: bool = False) -> None:
    """Let this process be killed before or after a write of a manifest or a receipt.

    With `removals` also before or after one of them, or a stage, is removed.
    """
    counter = itertools.count(1)

    def dying(write: Any) -> Any:
        def write_or_die(*args: Any) -> None:
            last = next(counter) == number
            if last and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            write(*args)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)

        return write_or_die

    names = ["write_manifest", "write_receipt"]
    if removals:
        names += ["remove_staged_files", "remove_receipt", "remove_locked_folder"]
    for module in (stage, claim):
        for name in names:
            setattr(module, name, dying(_REAL[module, name]))


_REAL = {
    (module, name): getattr(module, name)
    for module in (stage, claim)
    for name in (
        "write_manifest", "write_receipt", "remove_staged_files", "remove_receipt",
        "remove_locked_folder",
    )
}  # fmt: skip


def usual(url: str, order: dict[str, Any]) -> dict[str, Any]:
    """Push with blind retries."""
    client = naive_client.NaiveClient(url, TOKEN, POOL, READ_SECONDS)
    try:
        table = frame("arrow", order["push"], order["rows"])
        client.push(table, order["table"], 1 + order["rows"] * 20 // order["chunk_bytes"])
    finally:
        client.close()
    return {"state": "DONE"}


def resume(client: Celonis, url: str) -> dict[str, Any]:
    """Continue what was staged under the URL; what came of each push found there."""
    found = celonis_frames.resume(url, client=client, progress=False)
    return {"resumed": [{"state": s.state, "job_id": s.job_id, "rows": s.rows} for s in found]}


def _fork() -> None:
    """Return in a fork, and in another one each time that one was killed."""
    while child := os.fork():
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            sys.exit()


def main() -> None:
    """Push what each line of stdin orders, and answer with a line."""
    logging.disable()
    scales = [float(word) for word in sys.argv[2:] if word not in ("naive", "forks")]
    shortened_waits.shorten(scale=scales[0] if scales else SCALE)
    if "forks" in sys.argv:
        _fork()
    timeouts = Timeouts(connect=5.0, read=READ_SECONDS)
    with Celonis(sys.argv[1], auth=ApiKey(TOKEN), timeouts=timeouts) as client:
        resumes = hasattr(celonis_frames, "resume") and "naive" not in sys.argv
        print(json.dumps({"resume": resumes, "pid": os.getpid()}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            if order.pop("pid", os.getpid()) != os.getpid():
                continue  # its process was killed before it could read it
            if "dies" in order:
                _die_at_a_write(**order["dies"])
            try:
                if "ingestion" in order:
                    result = push_objects(sys.argv[1], timeouts, order)
                elif "resume" in order:
                    result = resume(client, order["resume"])
                elif "naive" in sys.argv:
                    result = usual(sys.argv[1], order)
                else:
                    result = push(client, order)
            except Exception as error:
                result = {
                    "error": type(error).__name__,
                    "job_id": getattr(error, "job_id", None),
                    "message": str(error)[:500],
                    "known": "naive" in sys.argv
                    or isinstance(error, celonis_frames.exceptions.CelonisFramesError),
                }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
