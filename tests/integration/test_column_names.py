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


@pytest.mark.parametrize(
    ("names", "rename", "column", "parameter"),
    [
        (["A", "a"], None, "a", None), (["A", "B"], {"A": "B"}, "B", "rename"),
        (["A", "B"], {"B": "a"}, "a", "rename"), (["A"], {"A": " "}, " ", "rename"),
        (["a\nb"], None, "a\nb", None), (["A", "a", "B"], {"B": "C"}, "a", None),
    ],
)  # fmt: skip
def test_the_error_names_the_column_and_whose_name_it_is(
    names: list[str], rename: Any, column: str, parameter: str | None
) -> None:
    """The frame's, or that which `rename=` gives."""
    with pytest.raises(exceptions.ColumnNameError) as caught:
        plan(pl.DataFrame({name: [1] for name in names}), POOL, "T", rename=rename)
    assert (caught.value.column, caught.value.parameter) == (column, parameter)


def test_odd_names_arrive(server: Any, connection: Celonis, table: str) -> None:
    """Names of real event logs, with quotes, commas and colons, are stored, for both file types."""
    names = ["case:concept:name", "(case)_Amount", 'say "x"', "a,b", "it's", "ä" * 64, "\ufeffB"]
    for file_type in ("PARQUET", "CSV"):
        frame = pl.DataFrame({name: ["x", "y"] for name in names})
        connection.push(frame, POOL, table, mode="REPLACE", upload={"file_type": file_type})
        assert server.table(POOL, table).schema.names == names


BLANKS = {" K ": [1, 2], "L\t": ["a", "b"], "\u3000V": ["x", "y"]}


@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize("spelling", [str, str.strip])
def test_blanks_at_the_ends_of_names_are_stripped(
    file_type: Any, spelling: Any, server: Any, connection: Celonis, table: str
) -> None:
    """Whatever the file type; a warning lists the names, and options take either spelling."""
    columns = {spelling("\u3000V"): 500}
    status = connection.push(
        pl.DataFrame(BLANKS), POOL, f" {table} ", keys=[spelling(" K "), spelling("L\t")],
        columns=columns, deduplicate_by=spelling("\u3000V"), upload={"file_type": file_type},
    )  # fmt: skip
    assert status.table == table
    assert server.table(POOL, table).to_pydict() == {name.strip(): BLANKS[name] for name in BLANKS}
    told = " ".join(status.warnings)
    assert f"table names are stripped: ' {table} '." in told
    assert "column names are stripped: ' K ', 'L\\t', '\\u3000V'." in told
    gone = pl.DataFrame({" K ": [1], "L\t": ["a"]})
    connection.delete(gone, POOL, f"{table} ", keys=["K", "L"], upload={"file_type": file_type})
    # The table that is there is found, with its columns and its rows.
    again = connection.push(
        pl.DataFrame(BLANKS), POOL, f"{table} ", keys=["K", "L"], verify=["schema", "rows"]
    )
    assert len(again.warnings) == 2
    assert server.table(POOL, table).num_rows == 2


def test_names_that_are_renamed_may_have_blanks(
    server: Any, connection: Celonis, table: str
) -> None:
    """`rename=` takes either spelling, and its names are stripped as well."""
    frame = pl.DataFrame(BLANKS)
    status = connection.push(
        frame, POOL, table, mode="REPLACE", keys="M", rename={"K": "M ", "L\t": "N"}
    )
    assert server.table(POOL, table).schema.names == ["M", "N", "V"]
    assert len(status.warnings) == 1
    two = pl.DataFrame({"A": [1], "A ": [2]})
    assert [c.name for c in plan(two, POOL, "T", rename={"A ": "B"}).columns] == ["A", "B"]
    assert [c.name for c in plan(two, POOL, "T", rename={"A": "B"}).columns] == ["B", "A"]


ONE_NAME = [("A", "a"), ("A", "A "), ("Ä", "ä"), ("STRASSE", "strasse"), ("Straße", "STRAßE")]
TWO_NAMES = [
    ("Strasse", "Straße"),
    ("\ufb01", "fi"),
    ("\u017f", "s"),
    ("A B", "A  B"),
    ("\u0131", "i"),
]


@pytest.mark.parametrize("names", ONE_NAME)
def test_names_that_are_one_for_celonis(names: tuple[str, str], connection: Celonis) -> None:
    """Two columns, or two tables of one push_many, that differ only in case or blanks."""
    with pytest.raises(exceptions.ColumnNameError, match="same name for Celonis") as caught:
        plan(pl.DataFrame({name: [1] for name in names}), POOL, "T")
    assert all(repr(name) in str(caught.value) for name in names)
    frames = {name: pl.DataFrame({"K": [1]}) for name in names}
    with pytest.raises(exceptions.ConfigError, match="one table for Celonis") as error:
        connection.push_many(frames, POOL)
    assert all(repr(name) in str(error.value) for name in names)


@pytest.mark.parametrize("names", TWO_NAMES)
def test_names_that_are_two(
    names: tuple[str, str], server: Any, connection: Celonis, table: str
) -> None:
    """Names that only look alike, or are alike after Unicode's case folding, are two."""
    frame = pl.DataFrame({name: [place] for place, name in enumerate(names)})
    connection.push(frame, POOL, table, mode="REPLACE")
    again = connection.push(frame, POOL, table, verify="schema")
    assert again.warnings == ()
    assert server.table(POOL, table).to_pydict() == {names[0]: [0, 0], names[1]: [1, 1]}
    one, two = (f"{table} {name}" for name in names)
    connection.push_many({one: frame, two: frame.head(0)}, POOL, mode="REPLACE")
    assert server.table(POOL, one).num_rows == 1


def test_one_column_has_one_override() -> None:
    """Two spellings of a column in `columns=` must say the same."""
    frame = pl.DataFrame({"A ": ["x"]})
    assert plan(frame, POOL, "T", columns={"A": 100, "A ": 100}).columns[0].length == 100
    with pytest.raises(exceptions.ConfigError, match="'A ' twice"):
        plan(frame, POOL, "T", columns={"A": 100, "A ": 200})


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
