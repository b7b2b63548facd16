"""The demo's event log: the same everywhere, and with everything that real logs have."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames.local._sample_data import SCHEMA, changed_and_new, purchase_to_pay

PATH = (
    "Create Purchase Requisition", "Approve Purchase Requisition", "Create Purchase Order",
    "Send Purchase Order", "Record Goods Receipt", "Record Invoice Receipt", "Clear Invoice",
)  # fmt: skip
LAST = PATH[-1]
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
        == "3405f51cb1792fb5f7a982b6846ef0c876f4866aaea41d1ec9e7499254446399"
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


def test_second_day_changes_continues_and_adds() -> None:
    """The second day has known events with other values, new events of open cases, new cases."""
    log = purchase_to_pay(200)
    day = changed_and_new(log)
    assert day.schema == log.schema
    keys = _keys(day)
    assert len(set(keys)) == len(keys)
    known = dict(zip(_keys(log), log.to_pylist(), strict=True))
    rows = dict(zip(keys, day.to_pylist(), strict=True))
    changed = keys & known.keys()
    cases = {case for case, _ in known}
    continued = {key for key in keys if key[0] in cases} - changed
    new = set(keys) - changed - continued
    assert all(known[key] != rows[key] for key in changed)
    assert min(len(changed), len(continued), len(new)) > 5
    assert {event for _, event in new} >= {1, 2, 3}


def test_open_cases_go_on_where_they_stopped() -> None:
    """A case that is not cleared gets its next events: numbered on, later, in order."""
    log = purchase_to_pay(2_000)
    before: dict[str, list[dict[str, Any]]] = {}
    for row in log.to_pylist():
        before.setdefault(row["CASE_ID"], []).append(row)
    after: dict[str, list[dict[str, Any]]] = {}
    for row in changed_and_new(log).to_pylist():
        events = before.get(row["CASE_ID"])
        if events and row["EVENT_ID"] > len(events):
            after.setdefault(row["CASE_ID"], []).append(row)

    still_open = {case for case, events in before.items() if events[-1]["ACTIVITY"] != LAST}
    assert 0 < len(after) < len(still_open)
    assert after.keys() <= still_open
    for case, more in after.items():
        events = before[case] + more
        assert [row["EVENT_ID"] for row in events] == list(range(1, len(events) + 1))
        assert all(one["EVENT_TIME"] < two["EVENT_TIME"] for one, two in pairwise(events))
        assert all(8 <= row["EVENT_TIME"].hour < 18 for row in more)
        assert all(row["EVENT_TIME"].weekday() < 5 for row in more)
        assert len({(row["VENDOR"], row["CURRENCY"]) for row in events}) == 1
        assert len({row["QUANTITY"] for row in events} - {None}) <= 1
        activities = [row["ACTIVITY"] for row in events]
        assert len(set(activities)) == len(activities)
        steps = [activity for activity in activities if activity in PATH]
        assert steps == list(PATH[: len(steps)])
    ends = [events[-1]["ACTIVITY"] == LAST for events in after.values()]
    assert any(ends)
    assert not all(ends)
