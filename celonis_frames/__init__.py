"""Push pandas and polars DataFrames into Celonis with one line.

>>> import pandas as pd, celonis_frames                                  # doctest: +SKIP
>>> df.celonis.push("Purchasing", "EVENTS", keys=["CASE_ID", "EVENT_ID"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from celonis_frames import _accessors, _logging, events, exceptions
from celonis_frames._auth.keys import ApiKey, AppKey
from celonis_frames._auth.oauth2 import OAuth2
from celonis_frames._client import Celonis
from celonis_frames._connect import connect
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
from celonis_frames._version import __version__, show_versions

if TYPE_CHECKING:
    from celonis_frames import local

__all__ = [
    "ApiKey",
    "AppKey",
    "Celonis",
    "Column",
    "DataJobStatus",
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


def __getattr__(name: str) -> Any:
    # The local Celonis needs an extra and is slow to import, so it is loaded when asked for.
    if name == "local":
        return importlib.import_module("celonis_frames.local")
    raise AttributeError(f"module 'celonis_frames' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


_logging.make_safe()
_accessors.install()
