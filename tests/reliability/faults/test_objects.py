"""Objects under every fault, interruption and kill: the outcome is as documented.

The whole matrix is ``python tests/reliability/faults/objects.py``, which takes minutes, and the
kills ``object_kills.py 100``. The normal run takes a part of them.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import object_cells
import object_kills
import objects
import pyarrow as pa
import pytest
import reliability_page

from celonis_frames import Celonis, exceptions

SAMPLE = object_cells.sample()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=str(cell), marks=[] if cell in SAMPLE else pytest.mark.slow)
        for cell in object_cells.cells()
    ],
)
def test_the_outcome_is_as_documented(cell: object_cells.Cell, faulty: Any, tmp_path: Path) -> None:
    """No row is lost or twice where the promise says so; what is in doubt is named."""
    observed = object_cells.run(cell, faulty, tmp_path)
    assert object_cells.problems(cell, observed) == [], observed


def test_the_check_sees_rows_that_are_there_twice(faulty: Any, tmp_path: Path) -> None:
    """A push that stores an object again without permission is reported."""
    (allowed,) = (
        cell
        for cell in object_cells.cells()
        if str(cell) == "lost-closed-once-memory-keyless-allowed"
    )
    observed = object_cells.run(allowed, faulty, tmp_path)
    assert (observed.end, observed.repeated, observed.wrong) == ("", 1, ())
    never = dataclasses.replace(allowed, repeat="never")
    pushed = object_cells.run(never, faulty, tmp_path, pushing=allowed)
    assert any("twice, without permission" in sentence for sentence in pushed.wrong)


def test_the_published_table_follows_the_promises() -> None:
    """Every entry of the table in docs/reliability.md is an outcome that the cells allow."""
    lines = reliability_page.part("objects").splitlines()[2:]
    assert len(lines) == len(object_cells.OBJECT_HAZARDS)
    every = list(object_cells.cells())
    for line, hazard in zip(lines, object_cells.OBJECT_HAZARDS, strict=True):
        title, *entries = (cell.strip() for cell in line.strip("|").split(" | "))
        assert title == hazard.title
        for (keying, repeat), entry in zip(objects.COLUMNS, entries, strict=True):
            once, _, always = entry.partition(" / ")
            for seen, often in ((once, False), (always or once, True)):
                allowed = {
                    text
                    for cell in every
                    if (cell.hazard, cell.keying, cell.repeat, cell.always)
                    == (hazard, keying, repeat, often)
                    for text in objects.possible(cell)
                }
                assert set(seen.split(" or ")) <= allowed, (hazard.title, keying.name, seen)


@pytest.fixture
def table_of_objects(
    faulty: Any, table: str
) -> Iterator[tuple[Celonis, str, Callable[[str], int]]]:
    """A connection, its pool, and a function that counts the rows or objects of its table."""
    pool = f"Objects of {table}"
    keys = faulty.ingestion(pool, tables={table: {}})

    def count(what: str) -> int:
        if what == "objects":
            return sum(keys.connection in one["key"] for one in faulty.objects)
        faulty.wait_ingested()
        return int(faulty.table(pool, table, connection=keys.connection).num_rows)

    with Celonis(faulty.url, ingestion=keys) as celonis:
        yield celonis, pool, count
    faulty.faults.clear()


@pytest.mark.parametrize(
    ("way", "staging"),
    [("SIGINT", False), ("SIGINT", True), ("SIGTERM", False), ("SIGTERM", True), ("timeout", True)],
)
def test_an_interrupted_push_says_what_was_stored(
    way: str, staging: bool, faulty: Any, table: str, tmp_path: Path,
    table_of_objects: tuple[Celonis, str, Callable[[str], int]],
) -> None:  # fmt: skip
    """Ctrl-C, a termination or timeout= while the third object is stored: the notes name it."""
    celonis, pool, count = table_of_objects
    fault = faulty.faults.stall("put", when="after", skip=2)
    ended = threading.Event()

    def strike() -> None:
        while count("objects") < 3 and not ended.is_set():
            time.sleep(0.005)
        if not ended.is_set():
            os.kill(os.getpid(), getattr(signal, way))

    thread = threading.Thread(target=strike)
    if way != "timeout":
        thread.start()
    kind = {"SIGINT": KeyboardInterrupt, "SIGTERM": SystemExit, "timeout": exceptions.JobTimeout}
    frame = pa.table({"N": range(4_000)})
    try:
        with pytest.raises(kind[way]) as caught:
            celonis.push(
                frame, pool, table, via="ingestion", staging=str(tmp_path) if staging else None,
                upload={"chunk_bytes": "6 KB", "workers": 1},
                timeout=4.0 if way == "timeout" else None,
            )  # fmt: skip
    finally:
        ended.set()
        if way != "timeout":
            thread.join()
    notes = " ".join(caught.value.__notes__)
    told = re.search(r"2 objects with ([\d,]+) rows were stored", notes)
    assert told is not None, notes
    assert re.search(r"Perhaps stored: \S+-00003\.parquet\.", notes)
    while fault.over < fault.hits:
        time.sleep(0.005)
    before = int(told[1].replace(",", ""))
    assert before < count("rows") < frame.num_rows
    if staging:
        with pytest.raises(exceptions.UploadUncertain, match=r"-00003\.parquet"):
            celonis.resume(str(tmp_path))
    assert before < count("rows") < frame.num_rows


@pytest.mark.exhaustive
def test_killed_pushes_of_objects_are_resumed(tmp_path: Path) -> None:
    """Wherever their clients are killed: every row once, or the object in doubt is named."""
    report = object_kills.kill_all(6, 2, tmp_path)
    assert report.wrong == []
    assert report.figures["pushes killed"] >= 6
    assert report.figures["rows in the tables"] > 0
