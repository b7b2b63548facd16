"""The demo's event log: the same everywhere, and with everything that real logs have."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._eventlog import SCHEMA, changed_and_new, purchase_to_pay

KEYS = ["CASE_ID", "EVENT_ID"]


def _digest(log: pa.Table) -> str:
    return hashlib.sha256(json.dumps(log.to_pylist(), default=str).encode()).hexdigest()


def _keys(log: pa.Table) -> list[tuple[str, int]]:
    return list(zip(*(log[key].to_pylist() for key in KEYS), strict=True))


def test_is_the_same_on_every_python() -> None:
    """A seed gives one log, which no version of Python may change; another seed gives another."""
    log = purchase_to_pay(50)
    assert _digest(log) == "9a423253edaee4aea44bffb8931acf89e39ff728dd8a6be70d2d92b2118425a0"
    assert (
        _digest(changed_and_new(log))
        == "42ba95d37f5b144847b2f6967fabe308bbaa97bf9ed0ee9e8734c4a68c5bafdb"
    )
    assert not purchase_to_pay(50, seed=1).equals(log)


def test_has_the_columns_and_the_size() -> None:
    """Two thousand cases have about seven events each, with unique keys and leading zeros."""
    log = purchase_to_pay()
    assert log.schema == SCHEMA
    assert 12_000 < log.num_rows < 18_000
    assert len(set(_keys(log))) == log.num_rows
    assert pc.all(pc.match_substring_regex(log["CASE_ID"], r"^00\d{8}$")).as_py()
    for name in ("USER_NAME", "AMOUNT", "QUANTITY", "AUTOMATED", "DUE_DATE", "COMMENT"):
        assert 0 < log[name].null_count < log.num_rows, name


def test_time_runs_in_office_hours() -> None:
    """Within a case every event is later than the one before, on a working day."""
    rows = purchase_to_pay(300).to_pylist()
    for row in rows:
        assert row["EVENT_TIME"].weekday() < 5
        assert 8 <= row["EVENT_TIME"].hour < 18
    for one, next_one in pairwise(rows):
        if one["CASE_ID"] == next_one["CASE_ID"]:
            assert one["EVENT_TIME"] < next_one["EVENT_TIME"]


def test_texts_are_the_awkward_ones() -> None:
    """Free text is longer than 80 characters, with umlauts, quotes, €, line breaks and an emoji."""
    log = purchase_to_pay()
    comments = [text for text in log["COMMENT"].to_pylist() if text is not None]
    assert sum(len(text) > 80 for text in comments) > 1_000
    assert all(mark in "".join(comments) for mark in 'äöüß"€\n👍')
    assert all(mark in "".join(log["VENDOR"].to_pylist()) for mark in 'Öü,"')


def test_second_day_changes_and_adds() -> None:
    """The second day has known keys with other values and new keys, each key once."""
    log = purchase_to_pay(200)
    day = changed_and_new(log)
    assert day.schema == log.schema
    known = dict(zip(_keys(log), log.to_pylist(), strict=True))
    keys = _keys(day)
    assert len(set(keys)) == len(keys)
    changed = [(key, row) for key, row in zip(keys, day.to_pylist(), strict=True) if key in known]
    assert 0 < len(changed) < len(keys)
    assert all(known[key] != row for key, row in changed)
