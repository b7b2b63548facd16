"""The cells of the fault matrix of objects: a push through a faulty gateway, and its resumption.

The check reads the rows in DuckDB and the objects of the server. From the client it only takes
whether the push succeeded, how many objects it says it stored again, and what its error names.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from expected_outcomes import HAZARDS, Hazard

from celonis_frames import Celonis
from celonis_frames._http.transport import Timeouts
from celonis_frames.exceptions import CelonisFramesError

ROWS = 1_000
CHUNK_BYTES = 6_000
TABLE = "T"
PATIENT_SECONDS = 20.0
SILENT_SECONDS = 0.4

Repeat = Literal["never", "allowed"]
Sense = Literal["heard", "rejected", "not sent", "either", "unknown"]
NAME = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}-\d{5}\.parquet")


@dataclass(frozen=True, eq=False)
class Keying:
    """How the table is set up, and pushed into.

    Attributes:
        name: Short name.
        title: For the table in the documentation.
        table: As it is set up in Celonis.
        options: Of the push.
        exact: Whether an object that is stored twice changes nothing.
    """

    name: str
    title: str
    table: dict[str, Any]
    options: dict[str, Any]
    exact: bool


KEYINGS = (
    Keying("age", "keys and an age column", {"keys": ["KEY"], "age": "AGE"},
           {"keys": "KEY", "order_by": "AGE"}, exact=True),
    Keying("unique", "unique keys", {"keys": ["KEY"]}, {"keys": "KEY"}, exact=True),
    Keying("keyless", "no keys", {}, {}, exact=False),
)  # fmt: skip

_SENSES: dict[str, Sense] = {
    **dict.fromkeys(("json", "102", "103", "drip", "repeat"), "heard"),
    **dict.fromkeys(("400", "401", "403", "404", "409"), "rejected"),
    **dict.fromkeys(("429", "503-wait"), "not sent"),
    # Bytes that wait in a socket are sent or not.
    **dict.fromkeys(("refused", "reset-head", "reset-body"), "either"),
}


def sense(hazard: Hazard) -> Sense:
    """What a client can know after a PUT that this hazard struck."""
    return _SENSES.get(hazard.name, "unknown")


OF_JOBS = ("twice-lost", "lost-content", "lost-arbitrary", "lost-none", "lost-lag")
OBJECT_HAZARDS = tuple(
    hazard
    for hazard in HAZARDS
    if "upload" in hazard.calls and not hazard.strikes and not hazard.name.startswith(OF_JOBS)
)
"""Those of an upload into a job, but for what concerns its list of chunks."""


@dataclass(frozen=True)
class Cell:
    """What strikes the PUT of an object, how often, and how the push is made."""

    hazard: Hazard
    always: bool
    staging: bool
    keying: Keying
    repeat: Repeat

    def __str__(self) -> str:
        often = "always" if self.always else "once"
        store = "staging" if self.staging else "memory"
        return f"{self.hazard.name}-{often}-{store}-{self.keying.name}-{self.repeat}"

    @property
    def ends(self) -> frozenset[str]:
        """How the push may end: an error's class, or "" for success."""
        kind = sense(self.hazard)
        if kind == "heard":
            return frozenset({""})
        if kind == "rejected":
            return frozenset({self.hazard.error})
        patient = frozenset({self.hazard.error if self.always else ""})
        if kind == "not sent" or self.repeat == "allowed":
            return patient
        uncertain = frozenset({"UploadUncertain"})
        return uncertain | patient if kind == "either" else uncertain

    def resumes(self, end: str) -> bool:
        """Whether a staged push that ended so is finished by `resume`, without faults."""
        return self.keying.exact or self.repeat == "allowed" or end != "UploadUncertain"


@dataclass(frozen=True)
class Observed:
    """What came out of a cell.

    Attributes:
        end: The error's class; "" for success.
        resumed: The same of its resumption; None if there was none.
        repeated: Objects that were stored again, by the statuses.
        wrong: What no client may do, in sentences; empty when all is well.
        message: The error's text.
    """

    end: str
    resumed: str | None
    repeated: int
    wrong: tuple[str, ...]
    message: str


def cells() -> Iterator[Cell]:
    """The whole matrix."""
    for hazard in OBJECT_HAZARDS:
        for always in hazard.often:
            for staging in (False, True):
                for keying in KEYINGS:
                    for repeat in ("never", "allowed"):
                        yield Cell(hazard, always, staging, keying, repeat)


def sample() -> list[Cell]:
    """A part of the matrix: each hazard in two ways of pushing, and a lost response in all."""
    every = list(cells())
    chosen = [cell for cell in every if cell.hazard.name == "lost-closed"]
    for number, hazard in enumerate(OBJECT_HAZARDS):
        ways = [cell for cell in every if cell.hazard is hazard and cell not in chosen]
        if ways:
            chosen += {ways[number * 5 % len(ways)], ways[(number * 7 + 11) % len(ways)]}
    return chosen


def frame(keying: Keying) -> pa.Table:
    """Rows that can be told apart. With an age column each key has an older and a newer row."""
    keys = [row // 2 if keying.name == "age" else row for row in range(ROWS)]
    texts = [f"{row * 7919 % 104_729:x}" for row in range(ROWS)]
    return pa.table({"ROW": range(ROWS), "KEY": keys, "AGE": range(ROWS), "TEXT": texts})


def expected(keying: Keying) -> pa.Table:
    """The rows that are in the table when all is done."""
    whole = frame(keying)
    return whole.take(list(range(1, ROWS, 2))) if keying.name == "age" else whole


def run(cell: Cell, server: Any, folder: Path, *, pushing: Cell | None = None) -> Observed:
    """Push while the gateway fails as the cell says, resume without faults, and judge both.

    `pushing` pushes in another way than the cell's, to show that the judge sees it.
    """
    pool = str(uuid.uuid4())
    server._state.objects.loads_again = True  # or objects that are stored twice would not show
    keys = server.ingestion(pool, tables={TABLE: cell.keying.table})
    skip = 0 if cell.always else 1
    fault = cell.hazard.arm(server.faults, "put", None if cell.always else 1, skip)
    read = SILENT_SECONDS if cell.hazard.silent else PATIENT_SECONDS
    timeouts = Timeouts(connect=PATIENT_SECONDS, read=read)
    status, error, resumed, after = None, None, None, None
    try:
        with Celonis(server.url, ingestion=keys, timeouts=timeouts) as celonis:
            status = _push(celonis, pushing or cell, pool, folder)
    except CelonisFramesError as raised:
        error = raised
    finally:
        _settle(server, fault)
    wrong = [] if fault.hits else ["the fault did not strike"]
    wrong += _judge(cell, server, pool, keys.connection, status, error)
    if cell.staging and error is not None:
        with Celonis(server.url, ingestion=keys) as celonis:
            try:
                (after,) = celonis.resume(f"file://{folder}", progress=False)
                resumed = ""
            except CelonisFramesError as raised:
                resumed = type(raised).__name__
                wrong += _judge(cell, server, pool, keys.connection, None, raised)
            else:
                wrong += _judge(cell, server, pool, keys.connection, after, None)
    return Observed(
        "" if error is None else type(error).__name__,
        resumed,
        sum(one.stored_again for one in (status, after) if one is not None),
        tuple(wrong),
        " ".join([str(error or ""), *getattr(error, "__notes__", [])]),
    )


def problems(cell: Cell, observed: Observed) -> list[str]:
    """In what the outcome is not as promised."""
    found = list(observed.wrong)
    if observed.end not in cell.ends:
        found.append(f"ended with {observed.end or 'success'}, not {sorted(cell.ends)}")
    if observed.resumed is not None:
        promised = "" if cell.resumes(observed.end) else "UploadUncertain"
        if observed.resumed != promised:
            found.append(
                f"resumed with {observed.resumed or 'success'}, not {promised or 'success'}"
            )
    return found


def _push(celonis: Celonis, cell: Cell, pool: str, folder: Path) -> Any:
    # Connections are refused after the first object: others must not be on their way then.
    workers = 1 if cell.hazard.name == "refused" else None
    return celonis.push(
        frame(cell.keying), pool, TABLE, **cell.keying.options,
        upload={"chunk_bytes": f"{CHUNK_BYTES} B", "repeat": cell.repeat, "workers": workers},
        staging=f"file://{folder}" if cell.staging else None, progress=False,
    )  # fmt: skip


def _settle(server: Any, fault: Any) -> None:
    """Wait until the server is done with every call, and let it work again."""
    deadline = time.monotonic() + 30
    while fault.over < fault.hits and time.monotonic() < deadline:
        time.sleep(0.005)
    server.faults.clear()


def _judge(
    cell: Cell, server: Any, pool: str, connection: str, status: Any, error: Exception | None
) -> Iterator[str]:
    """What no client may do."""
    server.wait_ingested()
    there = expected(cell.keying).slice(0, 0)
    with contextlib.suppress(KeyError):
        there = server.table(pool, TABLE, connection=connection)
    counts = Counter(there["ROW"].to_pylist())
    wanted = expected(cell.keying)
    sent = {tuple(row.values()) for row in frame(cell.keying).to_pylist()}
    if not {tuple(row.values()) for row in there.to_pylist()} <= sent:
        yield "rows are there that were never pushed"
    twice = sum(number - 1 for number in counts.values())
    if twice and cell.keying.exact:
        yield f"{twice} rows are there twice"
    # A gateway that carries a call out twice, and responds to it once, shows that to nobody.
    named = cell.hazard.name == "repeat" or cell.repeat == "allowed"
    if twice and not named:
        yield f"{twice} rows are there twice, without permission"
    if status is not None:
        lost = set(wanted["ROW"].to_pylist()) - counts.keys()
        if lost:
            yield f"{len(lost)} rows are lost, but the push says it is done"
        if cell.keying.exact and there.sort_by("ROW") != wanted:
            yield "the rows are not those that were pushed"
        if twice and cell.hazard.name != "repeat" and not status.stored_again:
            yield f"{twice} rows are there twice, and the status does not say so"
    if error is not None:
        yield from _judge_error(server, connection, error)


def _judge_error(server: Any, connection: str, error: Exception) -> Iterator[str]:
    """An error says how many objects were stored, and names those that may have been."""
    notes = " ".join(getattr(error, "__notes__", []))
    mine = [o["key"] for o in server.objects if o["key"].startswith(f"connection/{connection}/")]
    stored = {key.rpartition("/")[2] for key in mine}
    perhaps = set(NAME.findall(f"{error} {notes.partition('Perhaps stored:')[2]}"))
    if type(error).__name__ == "UploadUncertain" and not NAME.findall(str(error)):
        yield "the error does not name the object"
    counts = re.findall(r"(\d+) objects? (?:with .*? rows?)? ?(?:was|were) stored", notes)
    acknowledged = sum(map(int, counts))
    if not acknowledged <= len(stored):
        yield f"{acknowledged} objects were reported stored, {len(stored)} are there"
    if len(stored) > acknowledged + len(perhaps):
        yield f"{len(stored)} objects are there, but only {acknowledged} + {len(perhaps)} are named"
