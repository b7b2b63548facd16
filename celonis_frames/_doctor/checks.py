"""The checks: each is a function from facts to findings, without any input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from celonis_frames._auth.oauth2 import DATA_PUSH
from celonis_frames._doctor.facts import Facts, PoolAccess
from celonis_frames._doctor.finding import Finding, Level
from celonis_frames._jobs.rate_limit import PER_HOUR, PER_SECOND

BROAD = "integration.data-pools"
READ = "integration.data-pools:read"
CLOCK_WARNING, CLOCK_ERROR = 60.0, 900.0
"""Seconds: a response's time is exact to one; signatures hold for 15 minutes."""
MANY_SUBMISSIONS = 200
"""Of 250 an hour."""
_PERMISSIONS = "Admin & Settings → Permissions → Data Integration"
_LOGIN = "celonis-frames login"


def _settings(facts: Facts) -> Iterator[Finding]:
    if facts.problem:
        yield Finding("settings", "error", facts.problem, "you", "Correct it, or store a profile: "
                      f"{_LOGIN}")  # fmt: skip
    else:
        yield Finding("settings", "ok", f"The connection comes from {facts.source}.")


def _address(facts: Facts) -> Iterator[Finding]:
    found = facts.network
    if found is None:
        return
    if found.loopback:
        yield Finding("address", "ok", f"{found.host} is this machine.", facts={"loopback": True})
    elif not found.celonis:
        yield Finding(
            "address", "warning", f"{found.host} does not end in .celonis.cloud.", "you",
            "Check that the URL is that of your team: the key is sent there.",
        )  # fmt: skip
    else:
        yield Finding("address", "ok", f"{found.host} is a host of Celonis.")


def _dns(facts: Facts) -> Iterator[Finding]:
    found = facts.network
    if found is None or found.loopback:
        return
    if found.proxy is not None:
        yield Finding("DNS", "skipped", "The proxy looks the host up.")
    elif found.addresses is None:
        yield Finding(
            "DNS", "error", f"There is no host named {found.host}, or no network.", "you",
            "Compare the URL with that in the browser. If it is right, your network people can "
            "say why its name is not found here.",
        )  # fmt: skip
    else:
        addresses = f"{found.addresses} address{'' if found.addresses == 1 else 'es'}"
        yield Finding("DNS", "ok", f"{found.host} has {addresses}.")


def _proxy(facts: Facts) -> Iterator[Finding]:
    found = facts.network
    if found is None or found.loopback:
        return
    if found.reached == "proxy" or (found.reached == "unusable" and found.proxy):
        yield Finding(
            "proxy", "error", found.message, "your network people",
            f"Ask them which proxy leads to {found.host}, and to allow {found.host}; then set "
            f"{found.proxy}.",
        )  # fmt: skip
    elif found.proxy is not None:
        yield Finding("proxy", "ok", f"Calls go through the proxy in {found.proxy}.")
    else:
        yield Finding("proxy", "ok", "Calls go through no proxy.")


def _tls(facts: Facts) -> Iterator[Finding]:
    found = facts.network
    if found is None or not found.encrypted:
        return
    if found.reached == "tls":
        yield Finding(
            "TLS", "error", found.message, "your network people",
            f"Check the host and port: {found.host}. If they are right, ask them what responds in "
            "place of Celonis.",
        )  # fmt: skip
    elif found.reached == "certificate":
        yield Finding(
            "TLS", "error", found.message, "your network people",
            "Ask them for the CA file of the device that reads your connections, and set "
            "REQUESTS_CA_BUNDLE to its path. Certificates are always checked.",
        )  # fmt: skip
    elif found.reached == "reached":
        yield Finding("TLS", "ok", f"The certificate of {found.host} is trusted ({found.ca}).")


def _server(facts: Facts) -> Iterator[Finding]:
    found = facts.network
    if found is None or found.reached in ("proxy", "certificate", "tls", "unusable"):
        return
    if found.reached == "dns":
        if found.addresses is not None:  # the name was found, and was not a moment later
            yield Finding("server", "error", found.message, "your network people", _TRY_AGAIN)
    elif found.reached != "reached":
        advice = f"Check that the host and port are right: {found.host}."
        if not found.loopback:
            advice += " Your network people can say whether a proxy is needed (HTTPS_PROXY)."
        yield Finding(
            "server", "error", found.message,
            "you" if found.loopback else "your network people", advice,
        )  # fmt: skip
    elif found.page and found.status != 401:
        yield Finding(
            "server", "error",
            f"{found.host} responded with a web page (status {found.status}), which the API never "
            "does.", "you",
            "Check the URL. If it is right, a proxy, firewall or login page responds in place of "
            "Celonis, and your network people can say which.", {"status": found.status},
        )  # fmt: skip
    elif found.status is not None and found.status >= 500:
        yield Finding(
            "server", "error", f"{found.host} responded with status {found.status}.",
            "your team's admin", "Try again later; if it persists, the admin can ask Celonis "
            "support.", {"status": found.status},
        )  # fmt: skip
    else:
        yield Finding("server", "ok", f"{found.host} responds.", facts={"status": found.status})


_TRY_AGAIN = "Try again. If it persists, the name server does not respond reliably."


def _clock(facts: Facts) -> Iterator[Finding]:
    found = facts.network
    if found is None or found.skew is None:
        return
    seconds = abs(found.skew)
    known = {"skew_seconds": round(found.skew)}
    if seconds < CLOCK_WARNING:
        yield Finding("clock", "ok", "The clock agrees with the server's.", facts=known)
        return
    side = "ahead of" if found.skew > 0 else "behind"
    text = f"The clock of this machine is {_duration(seconds)} {side} the server's."
    advice = "Set the clock: tokens and certificates have times."
    level: Level = "warning"
    if facts.ingestion is not None and facts.ingestion.given:
        advice = "Set the clock: signatures of the Data Ingestion API hold for 15 minutes."
        level = "error" if seconds >= CLOCK_ERROR else "warning"
    yield Finding("clock", level, text, "you", advice, known)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"


def _key(facts: Facts) -> Iterator[Finding]:
    key = facts.key
    if key is None:
        return
    if not key.type:
        yield Finding("key", "info", "There are ingestion keys only: calls of the Data Push API, "
                      "and look-ups, need another key.")  # fmt: skip
    elif key.other_kind:
        yield Finding(
            "key", "error",
            f"The key is given as {key.kind}, but it is {key.other_kind}.", "you",
            "Give it as what it is: "
            + ("CELONIS_KEY_TYPE=BEARER, ApiKey(…)," if key.type == "APP_KEY" else
               "CELONIS_KEY_TYPE=APP_KEY, AppKey(…),")
            + f" or store it again with {_LOGIN}.",
        )  # fmt: skip
    elif key.access == "rejected":
        if "invalid_scope" in key.codes:
            return  # the check of the scopes says it
        yield Finding(
            "key", "error", f"The server does not accept {key.kind}.", "you",
            "Check that it belongs to this team, is complete and was not deleted; if it was, your "
            "team's admin can make another one.", {"codes": list(key.codes)},
        )  # fmt: skip
    elif key.access == "unusable":
        yield Finding("key", "error", key.message, "you", "Correct the setting.")
    elif key.access == "failed":
        yield Finding("key", "error", key.message, "your team's admin", "Try again later; if it "
                      "persists, the admin can ask Celonis support.")  # fmt: skip
    else:
        yield Finding("key", "ok", f"The server accepts {key.kind}.", facts={"type": key.type})


def _scopes(facts: Facts) -> Iterator[Finding]:
    key = facts.key
    if key is None or key.type != "OAUTH":
        return
    known = {"scopes": list(key.scopes)}
    listed = " ".join(key.scopes)
    if "invalid_scope" in key.codes:
        yield Finding("scopes", "error", f"The client may not request {listed}.",
                      "your team's admin", "Give the client these scopes, or request others: "
                      "OAUTH_SCOPES, or OAuth2(…, scopes=…).", known)  # fmt: skip
    elif not {DATA_PUSH, BROAD}.intersection(key.scopes):
        yield Finding("scopes", "error", f"The scopes {listed} do not allow a push.", "you",
                      f"Request {DATA_PUSH} too: OAUTH_SCOPES, or OAuth2(…, scopes=…).",
                      known)  # fmt: skip
    elif not {READ, BROAD}.intersection(key.scopes):
        yield Finding("scopes", "info", f"The scopes {listed} allow a push. With {READ} too, pools "
                      "can be given by name.", facts=known)  # fmt: skip
    else:
        yield Finding("scopes", "ok", f"The scopes {listed} allow a push.", facts=known)


def _pool(facts: Facts) -> Iterator[Finding]:
    pool = facts.pool
    if pool is None:
        return
    if pool.given is None:
        yield Finding("pool", "skipped", "No pool is given: its permissions are not checked.",
                      advice="Give one: --pool NAME, its id, or its URL.")  # fmt: skip
    elif pool.id is None:
        yield _lost_pool(pool)
    elif pool.created_by_job and pool.alike:
        yield Finding("pool", "warning", "The pool is not there; its first job would create it.",
                      "you", pool.alike)  # fmt: skip
    elif pool.created_by_job:
        yield Finding("pool", "info", "The pool is not there; its first job creates it.")
    elif pool.found == "forbidden":
        yield Finding("pool", "info", "The key may not look the pool up: it is given by its id.",
                      facts={"id": pool.id})  # fmt: skip
    elif pool.found == "missing" and pool.push != "allowed":
        yield _lost_pool(pool)
    else:
        yield Finding("pool", "ok", "The pool is there.", facts={"id": pool.id})


def _lost_pool(pool: PoolAccess) -> Finding:
    if pool.found == "forbidden":
        return Finding(
            "pool", "error", "The key may not list pools, so that none is found by its name.",
            "you", "Give the id of the pool, or the URL of its page, from the browser.",
        )  # fmt: skip
    return Finding(
        "pool", "error", pool.message, "you",
        "Compare it with the page of the pool in the browser. If it is right, your team's admin "
        "can give the key permission to see it.",
    )  # fmt: skip


def _permissions(facts: Facts) -> Iterator[Finding]:
    pool = facts.pool
    if pool is None or pool.id is None or pool.push == "not tried":
        return
    known = {"push": pool.push, "tables": pool.tables, "models": pool.models}
    if pool.push == "forbidden":
        advice = (
            f"Give it 'Data Push API' on the pool: {_PERMISSIONS}, or the three dots to the "
            "right of the Data Pool."
        )
        if facts.key is not None and facts.key.type == "OAUTH":
            advice += f" An OAuth client also needs the scope {DATA_PUSH}."
        yield Finding("permissions", "error", "The key may not push into the pool.",
                      "your team's admin", advice, known)  # fmt: skip
        return
    if pool.push in ("failed", "rejected", "missing"):
        if not (pool.push == "missing" and (pool.created_by_job or pool.found == "missing")):
            yield Finding("permissions", "error", pool.message, "your team's admin",
                          "Check the pool and the permission 'Data Push API' on it.",
                          known)  # fmt: skip
        return
    lacking = []
    if pool.tables != "allowed":
        lacking.append("list tables (for schema_mode=, verify=, and plans of existing tables)")
    if pool.models != "allowed":
        lacking.append("list data models (for reload=)")
    if lacking:
        text = f"The key may push into the pool. It may not {', nor '.join(lacking)}."
        yield Finding("permissions", "info", text, facts=known)
    else:
        text = "The key may push into the pool, and list its tables and data models."
        yield Finding("permissions", "ok", text, facts=known)


def _ingestion(facts: Facts) -> Iterator[Finding]:
    keys = facts.ingestion
    if keys is None or not keys.given:
        return
    if not keys.installed:
        yield Finding("botocore", "error", "It signs calls with ingestion keys, and is missing.",
                      "you", 'pip install "celonis-frames[ingestion]"')  # fmt: skip
    elif keys.known:
        yield Finding("ingestion keys", "ok", "The gateway accepts the ingestion keys.")
    elif keys.known is False:
        yield Finding("ingestion keys", "info", "The gateway does not say whether it accepts the "
                      "ingestion keys.")  # fmt: skip
    else:
        text, advice = keys.message, (
            "Compare all five with what Celonis shows: Data Pool → Data Connections → the Push "
            "data into Celonis connection."
        )  # fmt: skip
        if keys.codes:  # the message says what to do
            text, advice = "The gateway does not accept the ingestion keys.", keys.message
        yield Finding("ingestion keys", "error", text, "you", advice, {"codes": list(keys.codes)})


def _limits(facts: Facts) -> Iterator[Finding]:
    pool = facts.pool
    if pool is None or pool.push != "allowed":
        return
    limits = f"{PER_SECOND} submissions a second and {PER_HOUR} an hour for the whole team"
    known = {"submitted_this_hour": pool.submitted, "new_jobs": pool.open}
    text = f"Celonis takes {limits}; this pool had {pool.submitted:,} in this hour (UTC)."
    if pool.submitted >= MANY_SUBMISSIONS:
        yield Finding("limits", "warning", text, "you",
                      "Push larger frames less often; the hour begins at the full hour.",
                      known)  # fmt: skip
    else:
        yield Finding("limits", "ok", text, facts=known)


def _versions(facts: Facts) -> Iterator[Finding]:
    known = dict(facts.versions)
    if facts.outdated:
        yield Finding("versions", "error", f"Too old: {', '.join(facts.outdated)}.", "you",
                      "pip install --upgrade celonis-frames", known)  # fmt: skip
        return
    shown = ", ".join(f"{name} {known[name]}" for name in _SHOWN if name in known)
    yield Finding("versions", "ok", f"{shown}.", facts=known)


_SHOWN = ("celonis_frames", "Python", "pyarrow", "requests", "OpenSSL")

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _settings, _address, _dns, _proxy, _tls, _server, _clock, _key, _scopes, _pool, _permissions,
    _ingestion, _limits, _versions,
)  # fmt: skip
"""In the order of the report."""


def check_all(facts: Facts) -> list[Finding]:
    """The findings of all checks."""
    return [finding for check in CHECKS for finding in check(facts)]
