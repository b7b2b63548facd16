"""The cells of the fault matrix of loads and data jobs: what runs after a push, at a faulty server.

The check reads the loads and the executions in the server. From the client it only takes whether
the call succeeded, and what its error and its status say.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from expected_outcomes import HAZARDS, Hazard

from celonis_frames import ApiKey, Celonis
from celonis_frames._http.transport import Timeouts
from celonis_frames.exceptions import CelonisFramesError

PATIENT_SECONDS = 20.0
SILENT_SECONDS = 0.4
BUSY_SECONDS = 0.1

POOL = "Runs"

Place = Literal["call", "look", "poll"]
PLACES: dict[Place, str] = {
    "call": "the call", "look": "reading the state before", "poll": "reading the state after",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Kind:
    """What is begun.

    Attributes:
        name: The method of `Celonis`.
        call: The route of the call that begins it.
        look: The route by which its state is read.
        repeatable: Whether it may be begun twice.
        spelled: Which calls have an older spelling, which is used once the newer one got a 404.
    """

    name: str
    call: str
    look: str
    repeatable: bool
    spelled: tuple[Place, ...]


KINDS = (
    Kind("reload", "load", "last_load", repeatable=True, spelled=("call", "look")),
    Kind("run_job", "run_data_job", "data_job", repeatable=False, spelled=("call",)),
)
RUN_HAZARDS = tuple(
    hazard for hazard in HAZARDS if "execute" in hazard.calls and not hazard.strikes
    and "lag" not in hazard.name
)  # fmt: skip
"""Those of the submission of a job, but for what concerns its lists."""

_HEARD = ("json", "102", "103", "drip", "repeat")
_READ = ("102", "103", "drip", "repeat")
_NOT_SENT = ("refused", "429", "503-wait")
_REJECTED = ("400", "401", "403", "404", "409")


@dataclass(frozen=True)
class Cell:
    """What strikes which call, how often, and whether something ran already."""

    kind: Kind
    hazard: Hazard
    place: Place
    always: bool
    busy: bool

    def __str__(self) -> str:
        often = "always" if self.always else "once"
        return f"{self.kind.name}-{self.place}-{self.hazard.name}-{often}{'-busy' * self.busy}"

    @property
    def ends(self) -> frozenset[str]:
        """How the call may end: an error's class, or "" for success."""
        hazard, name = self.hazard, self.hazard.name
        error = frozenset({hazard.error})
        done = frozenset({""})
        if name == "404" and self.place in self.kind.spelled:
            return done  # by the older spelling
        if name == "stays-new":
            return frozenset({"ApiError"})
        if self.place != "call":
            if name in _READ:
                return done
            return error if self.always or name in _REJECTED else done
        if name in _HEARD:
            return frozenset({"Conflict"}) if name == "repeat" and self.always else done
        if name == "409":
            return error if self.always else done
        if name in _REJECTED:
            return error
        if name in _NOT_SENT:
            return error if self.always else done
        if hazard.carried:
            return done
        either = error | done
        if hazard.late or name.startswith("reset"):
            return either  # carried out while it is looked for, or after; sent or not
        if self.kind.repeatable and not self.always:
            return done
        return error

    @property
    def may_run_twice(self) -> bool:
        """Whether ours may have run more than once."""
        return self.kind.repeatable or self.hazard.name == "repeat"


@dataclass(frozen=True)
class Observed:
    """What came out of a cell.

    Attributes:
        end: The error's class; "" for success.
        wrong: What no client may do, in sentences; empty when all is well.
        message: The error's text, with its notes.
    """

    end: str
    wrong: tuple[str, ...]
    message: str


def cells() -> Iterator[Cell]:
    """The whole matrix."""
    for kind, hazard, place in itertools.product(KINDS, RUN_HAZARDS, PLACES):
        for always in hazard.often:
            if place != "call" and (hazard.late or hazard.name == "stays-new"):
                continue  # reading changes nothing
            # Who is refused does not find out that something runs.
            for busy in (False, True) if place == "call" and hazard.name != "refused" else (False,):
                yield Cell(kind, hazard, place, always, busy)


def sample() -> list[Cell]:
    """A part of the matrix: lost answers in all ways, every other hazard in one."""
    every = list(cells())
    chosen = [
        cell for cell in every
        if cell.hazard.name in ("lost-closed", "closed", "409") and cell.place == "call"
    ]  # fmt: skip
    for number, hazard in enumerate(RUN_HAZARDS):
        ways = [cell for cell in every if cell.hazard is hazard and cell not in chosen]
        if ways:
            chosen.append(ways[number * 5 % len(ways)])
    return chosen


def set_up(server: Any) -> None:
    """A pool with two tables, a data model of one, and a data job that adds a row to the other.

    The cells share it, so that there are earlier loads and executions.
    """
    if server._state.catalog.pool(POOL) is not None:
        return
    server.add_data_model(POOL, "M", ["T"])
    server.add_data_job(
        POOL, "Set up", ["CREATE TABLE T AS SELECT 1 AS N", "CREATE TABLE RUNS (N BIGINT)"]
    )
    server.add_data_job(POOL, "J", "INSERT INTO RUNS VALUES (1)")
    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        celonis.run_job(POOL, "Set up", progress=False)


def run(cell: Cell, server: Any) -> Observed:
    """Begin something while the server fails as the cell says, and judge the outcome."""
    set_up(server)
    before = _runs(cell, server)
    if cell.busy:
        busy = {"reload": server.faults.busy_models, "run_job": server.faults.busy_data_jobs}
        busy[cell.kind.name](BUSY_SECONDS)
    skip = {"call": 0, "look": 0, "poll": 1}[cell.place] + (cell.busy and cell.place == "call")
    route = cell.kind.call if cell.place == "call" else cell.kind.look
    fault = cell.hazard.arm(server.faults, route, None if cell.always else 1, skip)
    read = SILENT_SECONDS if cell.hazard.silent else PATIENT_SECONDS
    error, status = None, None
    timeouts = Timeouts(connect=PATIENT_SECONDS, read=read)
    try:
        with Celonis(server.url, auth=ApiKey(server.token), timeouts=timeouts) as celonis:
            method = getattr(celonis, cell.kind.name)
            status = method(POOL, "M" if cell.kind.name == "reload" else "J", progress=False)
    except CelonisFramesError as raised:
        error = raised
    finally:
        _settle(server, fault)
    wrong = [] if fault.hits else ["the fault did not strike"]
    ours = len(_runs(cell, server) - before) - cell.busy
    wrong += _judge(cell, ours, status, error)
    return Observed(
        "" if error is None else type(error).__name__,
        tuple(wrong),
        " ".join([str(error or ""), *getattr(error, "__notes__", [])]),
    )


def problems(cell: Cell, observed: Observed) -> list[str]:
    """In what the outcome is not as promised."""
    found = list(observed.wrong)
    if observed.end not in cell.ends:
        found.append(f"ended with {observed.end or 'success'}, not {sorted(cell.ends)}")
    return found


def _settle(server: Any, fault: Any) -> None:
    """Wait until the server is done with every call and all that runs, and let it work again."""
    deadline = time.monotonic() + 30
    while fault.over < fault.hits and time.monotonic() < deadline:
        time.sleep(0.005)
    server.faults.clear()
    pool_id, state = server._state.catalog.pool(POOL)["id"], server._state.processing
    while time.monotonic() < deadline and any(
        [load["status"] == "RUNNING" for model in state.models.models(pool_id)
         for load in state.loads.loads(model["id"])[:1]]
        + [job["status"] in ("QUEUED", "RUNNING") for job in state.data_jobs.jobs(pool_id)]
    ):  # fmt: skip
        time.sleep(0.005)


def _runs(cell: Cell, server: Any) -> set[Any]:
    """What ran at the server: loads, or rows of the data job."""
    if cell.kind.name == "run_job":
        return set(range(server.table(POOL, "RUNS").num_rows))
    state, pool_id = server._state.processing, server._state.catalog.pool(POOL)["id"]
    return {load["id"] for load in state.loads.loads(state.models.model(pool_id, "M")["id"])}


def _judge(cell: Cell, ours: int, status: Any, error: Exception | None) -> Iterator[str]:
    """What no client may do."""
    said = f"{error} {' '.join(getattr(error, '__notes__', []))}"
    if status is not None and ours < 1:
        yield "it says that ours is done, but ours never ran"
    if ours > 1 and not cell.may_run_twice:
        yield f"it ran {ours} times"
    advice = "does no harm" if cell.kind.repeatable else "before you run it again"
    if error is not None and ours > 0 and not ("is unknown" in said and advice in said):
        yield "it ran, and the error does not say that this is unknown, and what to do"
    lost = cell.place == "call" and cell.hazard.carried and cell.hazard.name not in _HEARD
    if status is not None and lost and not any("was lost" in text for text in status.warnings):
        yield "a lost answer is not in the warnings"
