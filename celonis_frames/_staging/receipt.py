"""The receipt of a push with an id: what it sends where, and how it ended.

A receipt is a file beside the stage of its push, whose folder has the same hash of the id in its
name. It outlives the stage. It is written before the stage's manifest, again just before anything
can take effect, and with the end of the push before the stage is removed. Until it has an end, the
stage says how far the push has come; if that was deleted, the receipt still says whether the push
may have had an effect.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, get_args

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import list_names, write_atomically
from celonis_frames._filesystem.filesystems import display_url
from celonis_frames._filesystem.masking import secrets_of
from celonis_frames._formatting import listed, shown
from celonis_frames._version import __version__
from celonis_frames.exceptions import ConfigError

FORMAT = 1
"""Version of the receipt, raised by every change; others are rejected."""

_DIGITS = 32
"""Hexadecimal digits of the hash of an id in names: no two ids share them."""

ReceiptState = Literal["begun", "sending", "submitted", "DONE", "ERROR", "CANCELED", "ACCEPTED"]
"""``begun`` until the job is submitted, or the first object stored; ``sending`` from just before
that; ``submitted`` if nobody has waited for the job; the others are ends."""

ENDS = frozenset({"DONE", "ERROR", "CANCELED", "ACCEPTED"})
"""The states of a job, or of stored objects, that are final."""


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


@dataclass(frozen=True)
class Receipt:
    """The content of a receipt; there is no secret in it, and no value of a cell.

    `columns` are the types by name as the frame has them by itself. What the table that is there
    makes of them may change until the push is repeated.
    """

    push_id: str
    url: str  # base URL of the team
    pool_id: str  # empty: it could not be looked up
    connection: str | None  # id of the data connection
    via: str  # "push", or "ingestion"
    table: str
    mode: str  # as of `push`, or "DELETE"
    keys: tuple[str, ...]
    columns: dict[str, str]
    state: ReceiptState = "begun"
    job_id: str = ""
    rows: int | None = None
    chunks: int | None = None
    bytes_sent: int | None = None
    doubted: bool = False  # the job's chunks are to be counted once more at its end
    objects: tuple[str, ...] = ()  # names of those stored by "ingestion"
    date: str = field(default_factory=_now)  # of its state
    format: int = FORMAT
    library: str = __version__

    def __post_init__(self) -> None:
        texts = (self.push_id, self.url, self.pool_id, self.via, self.table, self.mode, self.job_id)
        names = (*self.keys, *self.columns, *self.columns.values(), *self.objects)
        if not all(isinstance(text, str) for text in (*texts, *names, self.connection or "")):
            raise ValueError("a name that was never written")
        if self.state not in get_args(ReceiptState) or dt.datetime.fromisoformat(
            self.date
        ).tzinfo is None:  # fmt: skip
            raise ValueError("a state or date that was never written")
        numbers = (self.rows, self.chunks, self.bytes_sent)
        if not all(number is None or type(number) is int for number in numbers):
            raise ValueError("a number that was never written")

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """The receipt of what `json` has read."""
        lists = {name: tuple(fields[name]) for name in ("keys", "objects")}
        return cls(**{**fields, **lists, "columns": dict(fields["columns"])})

    @property
    def is_open(self) -> bool:
        """Whether the stage says how far the push has come."""
        return self.state in ("begun", "sending")

    def sending(self, job_id: str) -> Receipt:
        """The receipt of a push that may have an effect from now on, by a job or by objects."""
        return replace(self, state="sending", job_id=job_id, date=_now())

    def ended(self, state: str, **facts: Any) -> Receipt:
        """The receipt with the state of its job and what was sent, as of now."""
        known: Any = state if state in ENDS else "submitted"
        return replace(self, state=known, date=_now(), library=__version__, **facts)

    @property
    def when(self) -> dt.datetime:
        """When it got its state, in UTC."""
        return dt.datetime.fromisoformat(self.date).astimezone(dt.UTC)

    @property
    def named(self) -> str:
        """The id for a message."""
        return f"push_id={shown(self.push_id)}"

    def _knows(self, other: Receipt, name: str) -> bool:
        """Whether a field can be compared: ingestion keys alone do not show the pool."""
        return name != "pool_id" or bool(self.pool_id and other.pool_id)

    def differences(self, other: Receipt) -> list[str]:
        """What another push under the same id would do otherwise, for a message."""
        found = [
            f"{what} {getattr(other, name)!r} instead of {getattr(self, name)!r}"
            for name, what in _TARGET.items()
            if getattr(other, name) != getattr(self, name) and self._knows(other, name)
        ]
        if sorted(self.keys) != sorted(other.keys):
            found.append(f"keys {listed(other.keys)} instead of {listed(self.keys)}")
        missing = [name for name in self.columns if name not in other.columns]
        new = [name for name in other.columns if name not in self.columns]
        found += [f"without the columns {listed(missing)}"] if missing else []
        found += [f"with further columns {listed(new)}"] if new else []
        types = [
            f"{name} as {other.columns[name]} instead of {kind}"
            for name, kind in self.columns.items()
            if other.columns.get(name, kind) != kind
        ]
        found += [f"column {one}" for one in types[:_SHOWN_TYPES]]
        more = len(types) - _SHOWN_TYPES
        return [*found, f"{more} more types"] if more > 0 else found


_TARGET = {
    "url": "team", "pool_id": "pool", "connection": "data connection", "via": "via",
    "table": "table", "mode": "mode",
}  # fmt: skip
"""The fields of the target, by the words for them."""
_SHOWN_TYPES = 10


def stage_name(push_id: str) -> str:
    """The name of the folder of the stage of an id, which depends on nothing else."""
    digest = hashlib.sha256(push_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"push-{digest[:_DIGITS]}"


def receipt_path(folder: str) -> str:
    """The path of the receipt of a stage, which lies beside its folder."""
    folder = folder.rstrip("/")
    name = folder.rpartition("/")[2]
    return f"{folder.removesuffix(name)}{name.replace('push-', 'receipt-', 1)}.json"


def stage_of(name: str) -> str | None:
    """The name of the stage to which a file is the receipt, or None if it is none."""
    digits = name.removeprefix("receipt-").removesuffix(".json")
    is_receipt = name == f"receipt-{digits}.json" and len(digits) == _DIGITS
    return f"push-{digits}" if is_receipt else None


def write_receipt(filesystem: Any, folder: str, receipt: Receipt) -> None:
    """Write the receipt of the stage in a folder, atomically and durably.

    A process that is killed meanwhile leaves its unfinished file in that folder.
    """
    data = json.dumps(asdict(receipt), indent=1).encode()
    write_atomically(filesystem, receipt_path(folder), data, durable=True, drafts=folder)


def remove_receipt(filesystem: Any, folder: str) -> None:
    """Remove the receipt of the stage in a folder."""
    filesystem.rm_file(receipt_path(folder))


def read_receipt(filesystem: Any, folder: str) -> Receipt | None:
    """The receipt of the stage in a folder, or None if there is none.

    Raises:
        ConfigError: It is damaged, another version wrote it, or it cannot be read now.
    """
    path = receipt_path(folder)
    shown_path = display_url(filesystem, path)
    with translate_filesystem_errors(
        f"The receipt at {shown_path} cannot be read",
        "Nothing was sent: try again when it can be read.",
        secrets=secrets_of(filesystem),
    ):
        try:
            data = bytes(filesystem.cat_file(path))
        except FileNotFoundError:
            return None
        except Exception:
            # What is raised for a missing file, each library decides.
            root, _, name = path.rpartition("/")
            with contextlib.suppress(FileNotFoundError):
                if name in list_names(filesystem, root):
                    raise
            return None
    try:
        fields = json.loads(data)
        if fields["format"] != FORMAT:
            raise ConfigError(
                f"The receipt at {shown_path} was written by version {fields.get('library')} of "
                "celonis_frames: push with that version, or give the push another push_id=."
            )
        return Receipt.parse(fields)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigError(
            f"The receipt at {shown_path} is damaged, and does not say whether its push was sent: "
            "check the table, and delete the receipt if the push is to be sent again."
        ) from error
