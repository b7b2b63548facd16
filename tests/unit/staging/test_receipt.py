"""Receipts: what is in them, where they lie, and what follows from what is found."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._staging.earlier_push import Found, Step, decide
from celonis_frames._staging.receipt import (
    Receipt,
    ReceiptState,
    read_receipt,
    receipt_path,
    stage_name,
    stage_of,
    write_receipt,
)
from celonis_frames.exceptions import ConfigError

RECEIPT = Receipt(
    push_id="events/2026-11-28",
    url="https://team.eu-1.celonis.cloud",
    pool_id="pool",
    connection=None,
    via="push",
    table="EVENTS",
    mode="DELTA",
    keys=("A",),
    columns={"A": "INTEGER", "B": "STRING"},
)
IDS = st.text(st.characters(), min_size=1, max_size=50)


@given(IDS, st.sampled_from(get_args(ReceiptState)), st.none() | st.integers(0))
def test_a_receipt_is_read_as_it_was_written(push_id: str, state: Any, rows: int | None) -> None:
    """Whatever the id is, lone surrogates included."""
    filesystem = MemoryFileSystem()
    folder = f"/receipts/{stage_name(push_id)}"
    receipt = dataclasses.replace(RECEIPT, push_id=push_id, state=state, rows=rows)
    write_receipt(filesystem, folder, receipt)
    assert read_receipt(filesystem, folder) == receipt


@given(st.lists(IDS, min_size=2, max_size=20, unique=True))
def test_each_id_has_a_folder_of_its_own(ids: list[str]) -> None:
    """It follows from the id alone, and is the name of a stage."""
    names = [stage_name(push_id) for push_id in ids]
    assert len(set(names)) == len(ids)
    assert names == [stage_name(push_id) for push_id in ids]
    assert all(stage_of(receipt_path(f"a/{name}").removeprefix("a/")) == name for name in names)


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("/a/push-1f", "/a/receipt-1f.json"),
        ("/a/push-x/push-1f/", "/a/push-x/receipt-1f.json"),
        ("/push-1f", "/receipt-1f.json"),
        ("push-1f", "receipt-1f.json"),
    ],
)
def test_a_receipt_lies_beside_its_stage(folder: str, path: str) -> None:
    """So it outlives the stage, and is no stage."""
    assert receipt_path(folder) == path


def test_other_files_are_no_receipts() -> None:
    """Only names that were given to receipts are."""
    names = ["receipt-1.json", f"receipt-{'0' * 32}.json.part", f"push-{'0' * 32}", "receipt-"]
    assert [stage_of(name) for name in names] == [None] * 4


def test_a_receipt_is_for_its_owner_only(tmp_path: Path) -> None:
    """As the files of a stage are; no unfinished file is left."""
    folder = tmp_path / stage_name("x")
    folder.mkdir()
    write_receipt(LocalFileSystem(), str(folder), RECEIPT)
    (path,) = tmp_path.glob("receipt-*")
    assert path.stat().st_mode & 0o077 == 0
    assert list(folder.iterdir()) == []


def test_a_missing_receipt(tmp_path: Path) -> None:
    """There is none, whether there is a folder or not."""
    assert read_receipt(LocalFileSystem(), str(tmp_path / stage_name("x"))) is None
    assert read_receipt(LocalFileSystem(), str(tmp_path / "none" / stage_name("x"))) is None


@pytest.mark.parametrize("version", [0, 2, None, "one"])
def test_a_receipt_of_another_format_is_rejected(version: Any) -> None:
    """The message names the version that wrote it."""
    filesystem, folder = MemoryFileSystem(), f"/format/{stage_name('x')}"
    fields = dataclasses.asdict(RECEIPT) | {"format": version, "library": "9.9"}
    filesystem.pipe_file(receipt_path(folder), json.dumps(fields).encode())
    with pytest.raises(ConfigError, match=r"written by version 9\.9 .* another push_id"):
        read_receipt(filesystem, folder)


DAMAGED: list[bytes] = [b"", b"[]", b"{", b"{}", b'{"format": 1}'] + [
    json.dumps(dataclasses.asdict(RECEIPT) | wrong).encode()
    for wrong in (
        {"state": "over"}, {"date": "yesterday"}, {"date": "2026-11-28T01:02:03"}, {"rows": "3"},
        {"table": None}, {"keys": [1]}, {"columns": None}, {"more": 1},
    )
]  # fmt: skip


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_receipt_is_rejected(data: bytes) -> None:
    """It is not known whether its push was sent."""
    filesystem, folder = MemoryFileSystem(), f"/damaged/{stage_name('x')}"
    filesystem.pipe_file(receipt_path(folder), data)
    with pytest.raises(ConfigError, match="is damaged"):
        read_receipt(filesystem, folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "https://other"}, "team 'https://other' instead of 'https://team"),
        ({"pool_id": "other"}, "pool 'other' instead of 'pool'"),
        ({"connection": "sap"}, "data connection 'sap' instead of None"),
        ({"via": "ingestion"}, "via 'ingestion' instead of 'push'"),
        ({"table": "CASES"}, "table 'CASES' instead of 'EVENTS'"),
        ({"mode": "DELETE"}, "mode 'DELETE' instead of 'DELTA'"),
        ({"keys": ("A", "B")}, "keys ['A', 'B'] instead of ['A']"),
        ({"columns": {"A": "FLOAT", "B": "STRING"}}, "column A as FLOAT instead of INTEGER"),
        ({"columns": {"A": "INTEGER"}}, "without the columns ['B']"),
        (
            {"columns": {"A": "INTEGER", "B": "STRING", "C": "DATE"}},
            "with further columns ['C']",
        ),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], named: str) -> None:
    """Each part of target and schema, and nothing but that."""
    (found,) = RECEIPT.differences(dataclasses.replace(RECEIPT, **change))
    assert found.startswith(named)


def test_what_is_no_difference() -> None:
    """How it ended and the order of keys and columns; a pool that could not be looked up."""
    swapped = dict(reversed(RECEIPT.columns.items()))
    other = dataclasses.replace(RECEIPT, columns=swapped, pool_id="").ended("DONE", rows=3)
    assert RECEIPT.differences(other) == []
    two = dataclasses.replace(RECEIPT, keys=("A", "B"))
    assert two.differences(dataclasses.replace(two, keys=("B", "A"))) == []


def test_the_state_of_a_job_that_goes_on() -> None:
    """It is submitted, and the receipt gets the time of its state."""
    old = dataclasses.replace(RECEIPT, date="2020-01-01T00:00:00+00:00")
    states = {state: old.ended(state).state for state in ("NEW", "QUEUED", "RUNNING", "DONE")}
    assert states == {
        "NEW": "submitted", "QUEUED": "submitted", "RUNNING": "submitted", "DONE": "DONE",
    }  # fmt: skip
    assert dt.datetime.now(dt.UTC) - old.ended("ERROR").when < dt.timedelta(minutes=5)


DECISIONS: dict[tuple[ReceiptState | None, Found], Step] = {
    # Nothing of this id, or a process that ended before all was staged.
    (None, "none"): Step.SEND,
    (None, "writing"): Step.SEND,
    (None, "sealed"): Step.LOST,
    (None, "held"): Step.WAIT,
    ("begun", "none"): Step.SEND,
    ("begun", "writing"): Step.SEND,
    # All is staged: what became of the job, the stage says.
    ("begun", "sealed"): Step.FINISH,
    ("begun", "held"): Step.WAIT,
    ("sending", "sealed"): Step.FINISH,
    ("sending", "held"): Step.WAIT,
    # It may have had an effect, and the stage that would say so was deleted.
    ("sending", "none"): Step.LOST,
    ("sending", "writing"): Step.LOST,
    # The receipt says it, also if the stage was not removed any more.
    **{("submitted", stage): Step.FOLLOW for stage in ("none", "writing", "sealed")},
    ("submitted", "held"): Step.WAIT,
    **{(state, stage): Step.RETURN for state in ("DONE", "ACCEPTED") for stage in get_args(Found)},
    **{
        (state, stage): Step.SEND
        for state in ("ERROR", "CANCELED")
        for stage in ("none", "writing", "sealed")
    },
    ("ERROR", "held"): Step.WAIT,
    ("CANCELED", "held"): Step.WAIT,
}  # type: ignore[dict-item]  # of the comprehensions


@pytest.mark.parametrize(
    "found", [*itertools.product((None, *get_args(ReceiptState)), get_args(Found))]
)
def test_what_a_push_does_about_an_earlier_one(found: Any) -> None:
    """The table; another target or schema is refused whatever became of the push."""
    receipt, stage = found
    assert decide(receipt, stage, same=True) is DECISIONS[found]
    if receipt is not None:
        assert decide(receipt, stage, same=False) is Step.REFUSE
