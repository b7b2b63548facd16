"""Push pandas and polars DataFrames into Celonis with one line.

>>> import pandas as pd, celonis_frames                                  # doctest: +SKIP
>>> df.celonis.push("Purchasing", "EVENTS", keys=["CASE_ID", "EVENT_ID"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from celonis_frames import _accessors, _logging, exceptions
from celonis_frames._version import __version__, show_versions

if TYPE_CHECKING:
    from celonis_frames import events, local
    from celonis_frames._accessors import CelonisAccessor
    from celonis_frames._auth.keys import ApiKey, AppKey
    from celonis_frames._auth.oauth2 import OAuth2
    from celonis_frames._client import Celonis
    from celonis_frames._connect import connect
    from celonis_frames._doctor.report import DoctorReport
    from celonis_frames._event_log.check import check_event_log
    from celonis_frames._event_log.report import EventLogReport
    from celonis_frames._functions import (
        changes,
        delete,
        plan,
        push,
        push_event_log,
        push_many,
        resume,
    )
    from celonis_frames._http.transport import Timeouts
    from celonis_frames._ingestion.keys import IngestionKeys
    from celonis_frames._models.data_job import DataJobStatus
    from celonis_frames._models.reload import ReloadStatus
    from celonis_frames._options.upload import Upload
    from celonis_frames._push.plan import PushPlan
    from celonis_frames._push.receipts import prune_receipts
    from celonis_frames._push.status import PushStatus
    from celonis_frames._schema.overrides import Column
    from celonis_frames._secrets import Secret

__all__ = [
    "ApiKey",
    "AppKey",
    "Celonis",
    "CelonisAccessor",
    "Column",
    "DataJobStatus",
    "DoctorReport",
    "EventLogReport",
    "IngestionKeys",
    "OAuth2",
    "PushPlan",
    "PushStatus",
    "ReloadStatus",
    "Secret",
    "Timeouts",
    "Upload",
    "__version__",
    "changes",
    "check_event_log",
    "connect",
    "delete",
    "events",
    "exceptions",
    "local",
    "plan",
    "prune_receipts",
    "push",
    "push_event_log",
    "push_many",
    "resume",
    "show_versions",
]


_HOMES = {
    "ApiKey": "_auth.keys",
    "AppKey": "_auth.keys",
    "Celonis": "_client",
    "CelonisAccessor": "_accessors",
    "Column": "_schema.overrides",
    "DataJobStatus": "_models.data_job",
    "DoctorReport": "_doctor.report",
    "EventLogReport": "_event_log.report",
    "IngestionKeys": "_ingestion.keys",
    "OAuth2": "_auth.oauth2",
    "PushPlan": "_push.plan",
    "PushStatus": "_push.status",
    "ReloadStatus": "_models.reload",
    "Secret": "_secrets",
    "Timeouts": "_http.transport",
    "Upload": "_options.upload",
    "changes": "_functions",
    "check_event_log": "_event_log.check",
    "connect": "_connect",
    "delete": "_functions",
    "plan": "_functions",
    "prune_receipts": "_push.receipts",
    "push": "_functions",
    "push_event_log": "_functions",
    "push_many": "_functions",
    "resume": "_functions",
}
"""Where the public names are. They are imported when they are first asked for, so that a program
that pushes nothing pays nothing for pyarrow and the HTTP library."""


def __getattr__(name: str) -> Any:
    if name in ("events", "local"):  # the latter needs an extra
        return importlib.import_module(f"celonis_frames.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'celonis_frames' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"celonis_frames.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


_logging.make_safe()
_accessors.install()
