"""Rows that share a key are counted, in bounded memory."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from celonis_frames import Celonis, plan
from celonis_frames._validation.key_counter import DuplicateKeyCounter

pytestmark = pytest.mark.usefixtures("impatient")

POOL = "Frames"


def test_repeated_keys_are_counted(connection: Celonis, table: str) -> None:
    """A warning counts the rows that share a key, of which one is kept."""
    frame = pl.DataFrame({"A": [1, 1, 2, 1], "B": ["x", "x", "x", "y"], "V": [1, 2, 3, 4]})
    status = connection.push(frame, POOL, table, keys=["A", "B"])
    assert [w for w in status.warnings if "4 rows, 1 has the key of another row" in w]
    assert connection.push(frame.unique(["A", "B"]), POOL, table, keys=["A", "B"]).warnings == ()
    assert connection.push(frame, POOL, table, keys="A", deduplicate_by="V").warnings == ()
    assert connection.delete(frame, POOL, table, keys="A").warnings == ()


@pytest.mark.parametrize("rows", [1, 1_000, 300_000])
def test_keys_are_counted_exactly_whatever_the_pieces(rows: int) -> None:
    """The counter finds every repeated key, however the rows are sliced."""
    numbers = pa.array(np.random.default_rng(rows).integers(0, 2 * rows, rows))
    texts = numbers.cast(pa.string()).dictionary_encode()
    counter = DuplicateKeyCounter()
    for start in range(0, rows, 65_536):
        counter.update([numbers.slice(start, 65_536), texts.slice(start, 65_536)])
    assert counter.repeated == rows - len(numbers.unique())
    assert counter.complete


NEAR: list[tuple[str, Any, dict[str, Any], int]] = [
    ("zeros", pa.array([0.0, -0.0, 1.0]), {}, 1),
    ("NaN", pa.array([float("nan"), float("nan"), 1.0]), {}, 1),
    ("short floats", pa.array([0.0, -0.0, 1.5], pa.float32()), {}, 1),
    ("nanoseconds", pa.array([1_000, 1_001, 1_999, 2_000], pa.timestamp("ns")), {}, 2),
    ("zone", pa.array([5, 6, 1_000], pa.timestamp("ns", "Europe/Berlin")), {}, 1),
    ("decimals", pa.array([Decimal("0.10000000000000000001"), Decimal("0.1")]), {}, 1),
    ("long integers", pa.array([2**53, 2**53 + 1]), {"columns": {"K": "FLOAT"}}, 1),
    ("floats as text", pa.array([0.5, -0.5]), {"columns": {"K": "STRING"}}, 0),
]  # fmt: skip
if int(pa.__version__.partition(".")[0]) >= 23:  # older ones write no such times
    BEFORE_1970 = pa.array([-1, -999, -1_000, -1_001, 0], pa.timestamp("ns"))
    NEAR.append(("before 1970", BEFORE_1970, {}, 2))


@pytest.mark.parametrize(
    ("keys", "options", "lost"), [case[1:] for case in NEAR], ids=[case[0] for case in NEAR]
)
def test_keys_that_become_equal_are_counted(
    keys: Any, options: dict[str, Any], lost: int, server: Any, connection: Celonis, table: str
) -> None:
    """The warning counts the rows that are not in the table, whatever makes keys equal."""
    frame = pa.table({"K": keys, "V": range(len(keys))})
    status = connection.push(frame, POOL, table, keys="K", mode="REPLACE", **options)
    assert server.table(POOL, table).num_rows == len(keys) - lost
    has = "has" if lost == 1 else "have"
    told = [text for text in status.warnings if f"{lost} {has} the key of another row" in text]
    assert len(told) == bool(lost)


def test_text_keys_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge takes about as much again as the digests that are kept, however long the keys."""
    limit = 4_000_000  # 250,000 keys
    monkeypatch.setattr("celonis_frames._validation.key_counter.LIMIT_BYTES", limit)
    monkeypatch.setattr("celonis_frames._validation.key_counter._PART_ROWS", 4_096)
    rows, batch = 400_000, 8_192
    counter, taken = DuplicateKeyCounter(), 0
    pool = pa.default_memory_pool()
    for start in range(0, rows, batch):
        keys = [f"{number:0200d}" for number in range(start, start + batch)]
        array = pa.array(keys, pa.large_string())
        before = pool.bytes_allocated()
        counter.update([array])
        taken += pool.bytes_allocated() - before
        assert taken <= 3 * limit
    assert not counter.complete
    assert counter.rows >= 250_000
    assert counter.repeated == 0
    assert taken < limit // 4  # freed


def test_key_counting_ends_where_memory_would_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the warning says how many rows were counted."""
    monkeypatch.setattr("celonis_frames._validation.key_counter.LIMIT_BYTES", 1_000_000)
    frame = pa.table({"A": pa.array([*range(1_000_000), 0])})
    (warning,) = plan(frame, POOL, "T", keys="A").warnings
    assert "not counted" in warning
    assert "of 1,000,001 rows" in warning
