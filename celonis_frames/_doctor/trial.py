"""The trial: all probes one after the other, on one scratch table, which is empty afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celonis_frames._api.client import DataPushApi
from celonis_frames._doctor.call_probes import CALL_PROBES
from celonis_frames._doctor.file_probes import FILE_PROBES
from celonis_frames._doctor.finding import Finding
from celonis_frames._doctor.messages import message_of
from celonis_frames._doctor.observation import Observation
from celonis_frames._doctor.row_probes import ROW_PROBES
from celonis_frames._doctor.scratch import TABLE, Scratch, TrialStopped, texts
from celonis_frames._http.transport import Transport
from celonis_frames.exceptions import CelonisFramesError

PROBES = (*CALL_PROBES, *FILE_PROBES, *ROW_PROBES)

NOT_TRIED: tuple[tuple[str, str], ...] = (
    ("the largest chunk", "1 GB would have to be uploaded"),
    ("the response to too many submissions", "the quota of the team would be used up"),
    ("deleting a job that runs", "a job of a few rows may have ended by then"),
    ("how long an access token is valid", "it would take its time"),
    ("the Data Ingestion API", "its objects cannot be removed"),
    ("data models and data jobs", "they belong to the team"),
)


@dataclass(frozen=True)
class Trial:
    """What a trial has seen, and how it ended."""

    observations: tuple[Observation, ...]
    finding: Finding


def run_trial(
    api: DataPushApi, pool_id: str, transport: Transport, announce: Callable[[str], None]
) -> Trial:
    """Try a pool on the scratch table, and empty that again.

    Args:
        api: The calls.
        pool_id: The pool.
        transport: Where the calls go.
        announce: Called with what is tried next.
    """
    scratch = Scratch(api, pool_id, transport)
    seen: list[Observation] = []
    problem = ""
    try:
        scratch.check_is_ours()
        certain = scratch.run(texts((1, "a"), (2, None)))
        if not certain.done:
            problem = (
                f"The table {TABLE} cannot be written as Celonis certainly accepts it: "
                f"{certain.end}, {certain.detail or 'without a reason'}."
            )
        else:
            for probe in PROBES:
                announce(probe.name)
                seen.append(probe.observe(scratch))
    except TrialStopped as error:
        problem = error.message
    except CelonisFramesError as error:
        problem = f"The trial stopped: {message_of(error)}"
    finally:
        announce(f"emptying {TABLE}")
        emptied = scratch.empty()
    return Trial(tuple(seen), _finding(seen, problem, emptied))


def _finding(seen: list[Observation], problem: str, emptied: str) -> Finding:
    left = "could not be emptied" in emptied
    facts = {"table": TABLE, "tried": len(seen), "probes": len(PROBES), "emptied": not left}
    if problem:
        return Finding("trial", "error", f"{problem} {emptied}".strip(), "you",
                       "Try again; if it persists, send the report to the project.",
                       facts)  # fmt: skip
    different = [one for one in seen if one.differs]
    text = f"{len(seen)} behaviours were tried on the table {TABLE}. {emptied}"
    if left:
        return Finding("trial", "warning", text, "you", f"Remove the table {TABLE}.", facts)
    if different:
        text += f" {len(different)} differ from what celonis_frames assumes."
        return Finding("trial", "info", text, "the project",
                       "Please send the report: it has no secret and no row.", facts)  # fmt: skip
    return Finding("trial", "ok", text, facts=facts)
