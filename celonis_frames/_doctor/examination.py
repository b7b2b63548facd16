"""Examine a connection: gather the facts, check them, try the pool, remember what it reads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._auth.environment import Settings
from celonis_frames._doctor.checks import check_all
from celonis_frames._doctor.facts import Facts
from celonis_frames._doctor.finding import Finding
from celonis_frames._doctor.gathering import gather
from celonis_frames._doctor.report import DoctorReport
from celonis_frames._doctor.scratch import TABLE
from celonis_frames._doctor.trial import NOT_TRIED, Trial, run_trial
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames._push.known_pools import remember_pool
from celonis_frames._urls import base_url
from celonis_frames.exceptions import CelonisFramesError, ConfigError


@dataclass(frozen=True)
class Way:
    """How calls are made, as of `connect`."""

    verify: Any = True
    timeouts: Timeouts | None = None


def examine(
    find: Callable[[], Settings],
    pool: str | None = None,
    *,
    write: bool = False,
    way: Way | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> DoctorReport:
    """Examine a connection; a problem is a finding, not an error.

    Args:
        find: Returns the connection, or raises ConfigError or ImportError.
        pool: The pool, by id, name or URL.
        write: Whether to try on a scratch table of the pool what it accepts.
        way: How calls are made.
        announce: Called with what is done next.
    """
    way = way or Way()
    announce("the connection")
    found: list[Settings] = []

    def find_once() -> Settings:
        found.append(find())
        return found[0]

    facts = gather(find_once, pool, verify=way.verify, timeouts=way.timeouts)
    findings = check_all(facts)
    trial: Trial | None = None
    pool_id = ""
    if write:
        reason = _not_possible(facts, findings)
        if reason:
            findings.append(Finding("trial", "skipped", reason))
        else:
            trial, pool_id = _tried(found[0], facts, way, announce)
            findings.append(trial.finding)
    hosts = () if facts.network is None else (urlsplit(f"//{facts.network.host}").hostname or "",)
    report = DoctorReport(
        tuple(findings),
        table=TABLE if trial is not None else None,
        observations=() if trial is None else trial.observations,
        not_tried=NOT_TRIED if trial is not None else (),
        hosts=hosts if facts.network is not None and not facts.network.loopback else (),
    )
    if report.codecs and facts.pool is not None:
        return _remembered(report, found[0].url, pool_id, facts.pool.name)
    return report


def _not_possible(facts: Facts, findings: list[Finding]) -> str:
    """Why the pool cannot be tried; empty if it can."""
    if any(one.level == "error" for one in findings):
        return "Nothing was written, because of the errors above."
    if facts.pool is None or facts.pool.id is None:
        return "Nothing was written: give the pool, --pool NAME, its id, or its URL."
    return ""


def _tried(
    settings: Settings, facts: Facts, way: Way, announce: Callable[[str], None]
) -> tuple[Trial, str]:
    """The trial, and the id of the pool, which the trial may have created."""
    assert settings.auth is not None  # noqa: S101  # a pool was found with it
    assert facts.pool is not None  # noqa: S101  # `_not_possible` has checked it
    transport = Transport(settings.url, settings.auth, verify=way.verify, timeouts=way.timeouts)
    with contextlib.closing(transport):
        api = DataPushApi(transport, policy=RetryPolicy())
        pool_id = str(facts.pool.id)
        trial = run_trial(api, pool_id, transport, announce)
        if facts.pool.created_by_job:
            with contextlib.suppress(CelonisFramesError):
                pool_id = lookup.pool_id(api, pool_id)
        return trial, pool_id


def _remembered(report: DoctorReport, url: str, pool_id: str, name: str) -> DoctorReport:
    """Store which codecs the pool reads, for pushes without compression=."""
    read = sorted(name for name, good in report.codecs.items() if good)
    try:
        path = remember_pool(base_url(url), pool_id, report.codecs, name=name)
    except ConfigError as error:
        finding = Finding("codecs", "warning", f"What the pool reads is not remembered: {error}",
                          "you", "Make room for the file, or its folder writable.")  # fmt: skip
    else:
        finding = Finding(
            "codecs", "ok", f"Pushes without compression= go by it from now on ({path}). The pool "
            f"reads {', '.join(read)}.", facts={"codecs": report.codecs},
        )  # fmt: skip
    return replace(report, findings=(*report.findings, finding))
