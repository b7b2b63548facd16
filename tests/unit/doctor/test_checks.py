"""The checks, by facts alone; how findings are shown; kinds of checksums."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._cli.exit_status import ExitStatus
from celonis_frames._doctor.call_probes import checksum_kind
from celonis_frames._doctor.checks import check_all
from celonis_frames._doctor.facts import Facts, Ingestion, Key, Network, PoolAccess
from celonis_frames._doctor.finding import EXIT_CODES, Finding, exit_code
from celonis_frames._doctor.observation import Observation
from celonis_frames._doctor.report import DoctorReport

HOST = "myteam.eu-1.celonis.cloud"
NETWORK = {"host": HOST, "addresses": 2, "ca": "The CA file of certifi", "status": 401, "skew": 0.4}
KEY = {"kind": "an application key (AppKey)", "type": "APP_KEY", "access": "allowed"}
POOL = {"given": "P", "id": "1", "name": "P", "found": "allowed", "push": "allowed",
        "tables": "allowed", "models": "allowed"}  # fmt: skip
OAUTH = {"type": "OAUTH", "kind": "the access token of an OAuth client (OAuth2)"}
PUSH, READ = "integration.data-pools:data_push", "integration.data-pools:read"


def _facts(
    network: dict[str, Any] | None = None,
    key: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    ingestion: dict[str, Any] | None = None,
    **more: Any,
) -> Facts:
    """The facts of a healthy connection, but for these."""
    return Facts(
        source="the environment",
        network=Network(**{**NETWORK, **(network or {})}),
        key=Key(**{**KEY, **(key or {})}),
        pool=PoolAccess(**{**POOL, **(pool or {})}),
        ingestion=Ingestion(**(ingestion or {})),
        versions={"celonis_frames": "1", "Python": "3.11"},
        **more,
    )


def _unreached(reached: str, **more: Any) -> Facts:
    network = Network(**{**NETWORK, "reached": reached, "message": "It said so.", "status": None,
                         "skew": None, **more})  # fmt: skip
    return Facts(source="the environment", network=network)


YOU, ADMIN, NET = "you", "your team's admin", "your network people"
CASES: list[tuple[str, Facts, str, str, str | None]] = [
    ("no connection", Facts(problem="Nothing is set."), "settings", "error", YOU),
    ("this machine", _facts({"loopback": True}), "address", "ok", None),
    ("another host", _facts({"celonis": False}), "address", "warning", YOU),
    ("no such name", _unreached("dns", addresses=None), "DNS", "error", YOU),
    ("a name that was lost", _unreached("dns"), "server", "error", NET),
    ("by a proxy", _facts({"proxy": "HTTPS_PROXY", "addresses": None}), "DNS", "skipped", None),
    ("a proxy", _facts({"proxy": "HTTPS_PROXY"}), "proxy", "ok", None),
    ("a proxy that refuses", _unreached("proxy", proxy="HTTPS_PROXY"), "proxy", "error", NET),
    ("an unusable proxy", _unreached("unusable", proxy="https_proxy"), "proxy", "error", NET),
    ("an unknown authority", _unreached("certificate"), "TLS", "error", NET),
    ("no TLS there", _unreached("tls"), "TLS", "error", NET),
    ("refused", _unreached("refused"), "server", "error", NET),
    ("refused by this machine", _unreached("refused", loopback=True), "server", "error", YOU),
    ("no response in time", _unreached("timeout"), "server", "error", NET),
    ("a login page", _facts({"page": True, "status": 200}), "server", "error", YOU),
    ("a gateway that fails", _facts({"status": 502}), "server", "error", ADMIN),
    ("a clock that is right", _facts({"skew": -59.0}), "clock", "ok", None),
    ("a clock that is wrong", _facts({"skew": 3600.0}), "clock", "warning", YOU),
    ("with signatures", _facts({"skew": 901.0}, ingestion={"given": True, "known": True}),
     "clock", "error", YOU),
    ("with signatures, a bit", _facts({"skew": -120.0}, ingestion={"given": True, "known": True}),
     "clock", "warning", YOU),
    ("an accepted key", _facts(), "key", "ok", None),
    ("a key that may list nothing", _facts(key={"access": "forbidden"}), "key", "ok", None),
    ("the other kind", _facts(key={"access": "rejected", "other_kind": "a user's API key"}),
     "key", "error", YOU),
    ("a wrong key", _facts(key={"access": "rejected"}), "key", "error", YOU),
    ("a failing server", _facts(key={"access": "failed", "message": "500"}), "key", "error", ADMIN),
    ("no key", _facts(key={"type": ""}), "key", "info", None),
    ("a wrong scope", _facts(key={**OAUTH, "access": "rejected", "codes": ("invalid_scope",)}),
     "scopes", "error", ADMIN),
    ("no scope for pushes", _facts(key={**OAUTH, "scopes": (READ,)}), "scopes", "error", YOU),
    ("a scope for pushes", _facts(key={**OAUTH, "scopes": (PUSH,)}), "scopes", "info", None),
    ("all scopes", _facts(key={**OAUTH, "scopes": (PUSH, READ)}), "scopes", "ok", None),
    ("no pool given", _facts(pool={"given": None}), "pool", "skipped", None),
    ("no such pool", _facts(pool={"id": None, "found": "missing", "message": "No."}), "pool",
     "error", YOU),
    ("a name that cannot be looked up", _facts(pool={"id": None, "found": "forbidden"}), "pool",
     "error", YOU),
    ("a hidden pool", _facts(pool={"found": "forbidden"}), "pool", "info", None),
    ("a lost pool", _facts(pool={"found": "missing", "push": "missing"}), "pool", "error", YOU),
    ("a pool to be", _facts(pool={"created_by_job": True, "push": "missing"}), "pool", "info",
     None),
    ("a pool by almost that name", _facts(pool={"created_by_job": True, "push": "missing",
     "alike": "Did you mean 'Q'?"}), "pool", "warning", YOU),
    ("no permission", _facts(pool={"push": "forbidden"}), "permissions", "error", ADMIN),
    ("a failing call", _facts(pool={"push": "failed", "message": "500"}), "permissions", "error",
     ADMIN),
    ("pushes only", _facts(pool={"tables": "forbidden"}), "permissions", "info", None),
    ("all permissions", _facts(), "permissions", "ok", None),
    ("right ingestion keys", _facts(ingestion={"given": True, "known": True}), "ingestion keys",
     "ok", None),
    ("silent ingestion keys", _facts(ingestion={"given": True, "known": False}), "ingestion keys",
     "info", None),
    ("wrong ingestion keys", _facts(ingestion={"given": True, "message": "No."}), "ingestion keys",
     "error", YOU),
    ("rejected ingestion keys", _facts(ingestion={"given": True, "message": "No.",
     "codes": ("AccessDenied",)}), "ingestion keys", "error", YOU),
    ("no botocore", _facts(ingestion={"given": True, "installed": False}), "botocore", "error",
     YOU),
    ("few submissions", _facts(pool={"submitted": 199}), "limits", "ok", None),
    ("many submissions", _facts(pool={"submitted": 200}), "limits", "warning", YOU),
    ("old libraries", _facts(outdated=("requests 1.0 (at least 2.32)",)), "versions", "error", YOU),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_each_fact_leads_to_its_finding(case: tuple[str, Facts, str, str, str | None]) -> None:
    """One finding by this check; whoever can mend it is told how; an error gives its status."""
    _, facts, check, level, who = case
    findings = check_all(facts)
    found = [one for one in findings if one.check == check]
    assert [(one.level, one.who) for one in found] == [(level, who)]
    assert (who is None) or found[0].advice
    assert exit_code(findings) == (EXIT_CODES[check] if level == "error" else 0)


def test_nothing_is_said_twice_and_nothing_is_wrong_with_a_healthy_connection() -> None:
    """One finding for each check, in the order of the checks."""
    findings = check_all(_facts(ingestion={"given": True, "known": True}))
    checks = [one.check for one in findings]
    assert checks == [name for name in EXIT_CODES if name in checks]
    assert {one.level for one in findings} == {"ok"}
    assert exit_code(findings) == 0


def test_the_exit_statuses_are_those_of_all_commands() -> None:
    """A script can rely on them."""
    assert set(EXIT_CODES.values()) <= set(ExitStatus) - {ExitStatus.DONE}


@given(st.binary(max_size=100))
def test_the_kind_of_a_checksum_is_recognised(content: bytes) -> None:
    """Whatever the algorithm and its form, or that it is another one."""
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, content, usedforsecurity=False)
        assert checksum_kind(digest.hexdigest().upper(), content) == name
        encoded = base64.b64encode(digest.digest()).decode()
        assert checksum_kind(encoded, content) == f"{name} in base64"
    assert checksum_kind(f"{zlib.crc32(content):08x}", content) == "crc32"
    assert checksum_kind(None, content) == checksum_kind("", content) == "none"
    assert checksum_kind("x" * 7, content) == "another of 7 characters"


words = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=300)


@given(words, words, st.sampled_from(["ok", "warning", "error"]), words)
def test_a_report_is_80_columns_wide(text: str, advice: str, level: Any, detail: str) -> None:
    """Unless one word is longer."""
    report = DoctorReport(
        (Finding("key", level, text, "you", advice),),
        table="T",
        observations=(Observation("codec zstd", "rejected", "job", "accepted", "codecs", detail),),
    )
    for line in report.text().splitlines():
        assert len(line) <= 80 or len(line.split()[-1]) > 40
    assert report.codecs == {"zstd": False}
    assert report.ok is (level != "error")
