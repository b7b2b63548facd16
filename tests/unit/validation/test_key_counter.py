"""Rows that share a key are counted, in bounded memory."""

from __future__ import annotations

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


def test_key_counting_ends_where_memory_would_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the warning says how many rows were counted."""
    monkeypatch.setattr("celonis_frames._validation.key_counter.LIMIT_BYTES", 1_000_000)
    frame = pa.table({"A": pa.array([*range(1_000_000), 0])})
    (warning,) = plan(frame, POOL, "T", keys="A").warnings
    assert "not counted" in warning
    assert "of 1,000,001 rows" in warning
