"""prune_receipts: old receipts are removed, and none that is needed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from push_under_id import ID, Push, push_under_id

import celonis_frames
from celonis_frames import Celonis, exceptions
from celonis_frames._staging.claim import StagePlace


@pytest.fixture
def push(client: Celonis, tmp_path: Path) -> Push:
    """A function that pushes under one id."""
    return push_under_id(client, tmp_path)


OLD = dt.timedelta(days=90)


def _age(folder: Path, days: int) -> None:
    for path in folder.glob("receipt-*"):
        found = json.loads(path.read_text())
        when = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        path.write_text(json.dumps(found | {"date": when.isoformat()}))


def test_old_receipts_are_removed(push: Push, tmp_path: Path) -> None:
    """Older ones only; then the id is free."""
    push()
    _age(tmp_path, 100)
    push(push_id="young")
    assert celonis_frames.prune_receipts(tmp_path, OLD) == 1
    assert celonis_frames.prune_receipts(str(tmp_path), OLD) == 0
    assert push(push_id="young").repeated
    assert not push().repeated
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert celonis_frames.prune_receipts(f"file://{tmp_path}", soon) == 2
    assert list(tmp_path.iterdir()) == []
    assert celonis_frames.prune_receipts(tmp_path / "none", soon) == 0


def test_receipts_of_unfinished_pushes_stay(own: Any, push: Push, tmp_path: Path) -> None:
    """As long as chunks wait, or a process works on the push."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        push()
    _age(tmp_path, 100)
    assert celonis_frames.prune_receipts(tmp_path, OLD) == 0
    push()
    _age(tmp_path, 100)
    place = StagePlace.of(str(tmp_path), ID, None)
    claim = place.claim()
    assert celonis_frames.prune_receipts(tmp_path, OLD) == 0
    claim.release()
    assert celonis_frames.prune_receipts(tmp_path, OLD) == 1


def test_a_receipt_that_cannot_be_read_is_kept(
    push: Push, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And named in the log."""
    push()
    next(tmp_path.glob("receipt-*")).write_text("{")
    assert celonis_frames.prune_receipts(tmp_path, dt.timedelta()) == 0
    assert "a receipt was not removed" in caplog.text


@pytest.mark.parametrize(
    "older_than",
    [90, "90 days", None, dt.timedelta(-1), dt.datetime(1, 1, 1), dt.date(2026, 1, 1)],  # no zone
)
def test_ages_that_make_no_sense(tmp_path: Path, older_than: Any) -> None:
    """Numbers have no unit, and times need a zone."""
    with pytest.raises(exceptions.ConfigError, match="older_than="):
        celonis_frames.prune_receipts(tmp_path, older_than)
