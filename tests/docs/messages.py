"""One error of each class, as users see it: raised by real calls to a local Celonis.

`python docs/mirror.py` writes the messages into docs/errors.md.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pyarrow as pa

from celonis_frames import ApiKey, Celonis, Timeouts, exceptions, local
from celonis_frames._concurrency import cancellation

TEAM = "myteam.eu-1.celonis.cloud"
ID = "0d6c3f5e-8b17-4c52-9a41-5f0c1d3a2b7e"

_FRAME = pa.table({"ORDER": ["0045", "0046"], "NOTE": ["paid", None]})


def messages() -> dict[str, str]:
    """The message of each class that has one of its own, by the name of the class."""
    found = {}
    # As in a team, neither pools nor data models are created by their names.
    strict = local.start(strict_pools=True)
    with _short_waits(), strict as server, server.connect() as celonis:
        server.add_pool("Purchasing")
        celonis.push(_FRAME, "Purchasing", "ORDERS", keys="ORDER")
        server.add_data_model("Purchasing", "Orders", ["ORDERS"])
        for name, provoke in _PROVOKED.items():
            try:
                provoke(server, celonis)
            except getattr(exceptions, name) as error:
                text = "\n".join([str(error), *getattr(error, "__notes__", ())])
            finally:
                server.faults.clear()
            found[name] = _placed(text, server.url)
    return found


def _placed(text: str, url: str) -> str:
    """The text, with a team in the place of the local Celonis, and one id for all."""
    host = url.removeprefix("http://")
    text = text.replace(url, f"https://{TEAM}").replace(host, TEAM)
    text = re.sub(r"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}", ID, text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "2026-11-30T06:15:00", text)
    return re.sub(r"\bafter \d+(?:\.\d+)? s\b", "after 5 s", text)


@contextlib.contextmanager
def _short_waits() -> Iterator[None]:
    """Waits between tries last a moment, so that calls that are tried six times fail soon."""
    real = cancellation._sleep

    def short(seconds: float, token: Any) -> Any:
        return real(min(seconds, 0.02), token)

    with mock.patch.object(cancellation, "_sleep", short):
        yield


def _push(values: dict[str, Any], **options: Any) -> Callable[..., Any]:
    return lambda server, celonis: celonis.push(pa.table(values), "Purchasing", "T", **options)


def _status(call: str, status: int, **options: Any) -> Callable[..., Any]:
    """A push whose calls of that name have the status for a response."""

    def push(server: local.LocalCelonis, celonis: Celonis) -> None:
        server.faults.answer(call, status, times=None, **options)
        celonis.push(_FRAME, "Purchasing", "ORDERS", keys="ORDER")

    return push


def _no_connection(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.drop("create", times=None)
    celonis.push(_FRAME, "Purchasing", "ORDERS", keys="ORDER")


def _no_response(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.stall("jobs", times=None)
    patient = Timeouts(connect=5, read=0.05)
    with Celonis(server.url, auth=ApiKey(server.token), timeouts=patient) as other:
        other.jobs("Purchasing")


def _login_page(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.garble("jobs", "html", carry_out=False, times=None)
    celonis.jobs("Purchasing")


def _unknown_model(server: local.LocalCelonis, celonis: Celonis) -> None:
    celonis.reload("Purchasing", "Ordres")


def _wrong_key(server: local.LocalCelonis, celonis: Celonis) -> None:
    with Celonis(server.url, auth=ApiKey(server.app_key)) as other:
        other.pools()


def _failed_job(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.fail_jobs("The disk is full")
    celonis.push(_FRAME, "Purchasing", "ORDERS", keys="ORDER")


def _slow_job(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.slow_jobs(running=30)
    celonis.push(_FRAME, "Purchasing", "ORDERS", keys="ORDER", timeout=5)


def _lost_upload(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.drop("upload", when="after")
    server.faults.answer("chunks", 500, times=None)
    celonis.push(_FRAME, "Purchasing", "ORDERS", keys="ORDER")


def _failed_load(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.fail_loads("Not enough memory", table="ORDERS")
    celonis.reload("Purchasing", "Orders")


def _slow_load(server: local.LocalCelonis, celonis: Celonis) -> None:
    server.faults.slow_loads(30)
    celonis.reload("Purchasing", "Orders", timeout=5)


_PROVOKED: dict[str, Callable[[local.LocalCelonis, Celonis], Any]] = {
    "ConfigError": _push({"ID": [1]}, mode="UPSERT"),
    "FrameError": _push({"ID": pa.array([], pa.int64())}),
    "ColumnNameError": _push({"Amount": [1], "AMOUNT": [2]}),
    "ColumnTypeError": _push({"ID": [1, 2], "RATIO": [0.5, float("inf")]}),
    "KeyColumnError": _push({"ID": [1, None, 3]}, keys="ID"),
    "TruncationError": _push({"ID": [1, 2], "NOTE": ["short", "x" * 20_000]}),
    "ApiConnectionError": _no_connection,
    "ApiTimeoutError": _no_response,
    "ApiStatusError": _login_page,
    "BadRequest": _push({"ID": [1]}, upload={"job_options": {"fallbackVarcharLength": 70_000}}),
    "AuthenticationError": _wrong_key,
    "PermissionDenied": _status("create", 403),
    "NotFound": _unknown_model,
    "Conflict": _status("create", 409),
    "RateLimited": _status("create", 429, headers={"Retry-After": "1"}),
    "ServerError": _status("create", 503),
    "JobFailed": _failed_job,
    "JobTimeout": _slow_job,
    "UploadUncertain": _lost_upload,
    "ReloadFailed": _failed_load,
    "ReloadTimeout": _slow_load,
}
NAMES = tuple(_PROVOKED)
"""The classes that have a message of their own: all but the roots of the tree."""
