"""Names of columns: those that are rejected, and odd ones that are stored."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._sources.reader import read

pytestmark = pytest.mark.usefixtures("impatient")

POOL = "Frames"


NAMES: list[tuple[str, Any, str]] = [
    ("twice", pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "'a'"),
    ("blank", pl.DataFrame({" ": [1]}), "empty name"),
    ("no text", pd.DataFrame({0: [1]}), r"named 0 \(int\)"),
    ("None", pd.DataFrame([[1]], columns=[None]), "NoneType"),
    ("levels", pd.DataFrame({("a", "b"): [1]}), "MultiIndex"),
    ("128 bytes", pl.DataFrame({"ä" * 65: [1]}), "130 bytes"),
    ("control", pl.DataFrame({"a\nb": [1]}), "control"),
    ("index and column", pd.DataFrame({"A": [1]}, index=pd.Index([1], name="A")), "'A'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "message"), [case[1:] for case in NAMES], ids=[case[0] for case in NAMES]
)
def test_names_that_celonis_cannot_hold(frame: Any, message: str) -> None:
    """A bad name is rejected, and the message says what is wrong."""
    with pytest.raises(exceptions.ColumnNameError, match=message):
        plan(frame, POOL, "T")


def test_odd_names_arrive(server: Any, connection: Celonis, table: str) -> None:
    """Names of real event logs, with quotes, commas and colons, are stored, for both file types."""
    names = ["case:concept:name", "(case)_Amount", 'say "x"', "a,b", "it's", "ä" * 64, "\ufeffB"]
    for file_type in ("PARQUET", "CSV"):
        frame = pl.DataFrame({name: ["x", "y"] for name in names})
        connection.push(frame, POOL, table, mode="REPLACE", upload={"file_type": file_type})
        assert server.table(POOL, table).schema.names == names


@pytest.mark.parametrize("lazy", [False, True])
def test_names_that_look_like_patterns(lazy: bool) -> None:
    """Names that polars would take for patterns."""
    texts, numbers = {"*": ["x", "y"], "^a$": ["b", None]}, {"^.*$": [1, 2], "N": [0, 1]}
    wide = pl.Series("^.W$", [2**100, 1], pl.Int128)
    frame = pl.DataFrame([*(pl.Series(*one) for one in (texts | numbers).items()), wide])
    got = pa.Table.from_batches(list(read(frame.lazy() if lazy else frame).batches()))
    assert got.schema.names == frame.columns
    assert got.column("*").to_pylist() == ["x", "y"]
    assert got.column("^a$").to_pylist() == ["b", None]
    assert got.column("^.*$").to_pylist() == [1, 2]
    assert got.column("^.W$").to_pylist() == [str(2**100), "1"]
