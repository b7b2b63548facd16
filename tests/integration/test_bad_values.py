"""Values that Celonis cannot hold become null or their rows are left out, and nothing else is.

What is stored and what is rejected follows from Python values alone (tests/strategies).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._cli.main import main
from celonis_frames._encoding import encoder
from celonis_frames._options.push_options import PushOptions
from celonis_frames._validation import parallel

POOL = "Bad values"
INF = float("inf")
NO_VALUES = ("arrow month_day_nano_interval", "pandas object mixed")
"""Columns whose type is rejected, not some of their values."""

ROWS, COLUMNS = 8, 3

pytestmark = [
    pytest.mark.usefixtures("impatient"),
    # It would hide the failure that is being reported.
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def _stored(column: Any) -> list[Any]:
    """Stored values as the oracle says them: times in microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    return list(column.to_pylist())


@pytest.mark.sampled(6)
@pytest.mark.parametrize("on_bad", ["null", "drop"])
@pytest.mark.parametrize("library", ["arrow", "polars", "pandas"])
def test_exactly_the_bad_values_of_any_type_are_rejected(
    library: str, on_bad: str, server: Any, connection: Celonis, table: str
) -> None:
    """The table has all others as documented, and the status lists the bad ones."""

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        file_type: Any = data.draw(st.sampled_from(["PARQUET", "PARQUET", "CSV"]))
        column = strategies.any_column(library, ROWS).filter(lambda d: d.kind not in NO_VALUES)
        drawn = data.draw(st.lists(column, min_size=COLUMNS, max_size=COLUMNS))
        named = {f"C{n}": one.column for n, one in enumerate(drawn)}
        whole = strategies.frame(library, {"N": strategies.numbers(library, ROWS), **named})
        each = [one.each(file_type) for one in drawn]
        bad = [(row, f"C{n}") for row in range(ROWS) for n in range(COLUMNS)
               if each[n][row] is strategies.REJECTED]  # fmt: skip
        status = connection.push(
            whole, POOL, table, mode="REPLACE", on_bad=on_bad, binary="hex",
            upload={"file_type": file_type},
        )  # fmt: skip
        found = status.rejects.to_pylist()
        assert [(one["row"], one["column"]) for one in found] == bad, [d.kind for d in drawn]
        out = {row for row, _ in bad} if on_bad == "drop" else set()
        assert status.rows == ROWS - len(out)
        back = server.table(POOL, table)
        assert sorted(back["N"].to_pylist()) == sorted(set(range(ROWS)) - out)
        for n, values in enumerate(each):
            for row, got in zip(back["N"].to_pylist(), _stored(back[f"C{n}"]), strict=True):
                value = None if values[row] is strategies.REJECTED else values[row]
                assert _same(got, value), (drawn[n].kind, file_type, got, value)

    check()


def _columns(rows: int) -> dict[str, list[Any]]:
    """Some rows with bad values: a NUL, an infinity, both in one row, and a fraction."""
    return {
        "N": list(range(rows)),
        "TEXT": ["a\0b" if n % 70 == 3 else f"text {n * 7919 % 1_000_003}" for n in range(rows)],
        "F": [INF if n % 110 == 5 or n % 140 == 3 else n / 4 for n in range(rows)],
        "Q": [0.5 if n % 130 == 7 else float(n) for n in range(rows)],
    }


def _expected(rows: int) -> list[tuple[int, str, str]]:
    return [
        (n, name, reason)
        for n in range(rows)
        for name, reason, is_bad in (
            ("TEXT", "NUL character", n % 70 == 3),
            ("F", "infinite", n % 110 == 5 or n % 140 == 3),
            ("Q", "does not fit INTEGER", n % 130 == 7),
        )
        if is_bad
    ]


def _files(columns: dict[str, list[Any]], folder: Path) -> str:
    whole = pa.table(columns)
    cut = whole.num_rows // 3
    pq.write_table(whole.slice(0, cut), folder / "1.parquet")
    pq.write_table(whole.slice(cut), folder / "2.parquet")
    return str(folder / "*.parquet")


def _pandas(columns: dict[str, list[Any]], _: Path) -> Any:
    return pa.table(columns).to_pandas()


def _stream(columns: dict[str, list[Any]], _: Path) -> Any:
    whole = pa.table(columns)
    return pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=5_000))


def _generator(columns: dict[str, list[Any]], _: Path) -> Iterator[Any]:
    whole = pl.DataFrame(columns)
    return (whole.slice(start, 7_000) for start in range(0, len(whole), 7_000))


KINDS: dict[str, Callable[[dict[str, list[Any]], Path], Any]] = {
    "pandas": _pandas,
    "polars": lambda columns, _: pl.DataFrame(columns),
    "lazy": lambda columns, _: pl.LazyFrame(columns),
    "Arrow": lambda columns, _: pa.table(columns),
    "stream": _stream,
    "generator": _generator,
    "files": _files,
    "objects": lambda columns, _: pa.table(columns).to_pandas().astype({"TEXT": object}),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("rows", [400, 60_000])
@pytest.mark.parametrize("on_bad", ["null", "drop"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_frame_of_any_size(
    kind: str, on_bad: str, rows: int, tmp_path: Path, server: Any, connection: Celonis,
    table: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Small ones, and those whose chunks are made by several threads."""
    monkeypatch.setattr(encoder, "cpu_count", lambda: 3)
    columns, expected = _columns(rows), _expected(rows)
    upload: Any = {"chunk_bytes": "100 kB"} if rows > 1_000 else None
    status = connection.push(
        KINDS[kind](columns, tmp_path), POOL, table, mode="REPLACE", columns={"Q": "INTEGER"},
        on_bad=on_bad, upload=upload, verify="rows",
    )  # fmt: skip
    chunks = status.chunks or 0
    assert chunks > 3 if upload else chunks == 1
    first = rows // 3
    of_files = kind == "files"
    found = [
        (one["row"] + (first if one["file"] and one["file"].endswith("2.parquet") else 0),
         one["column"], one["reason"])
        for one in status.rejects.to_pylist()
    ]  # fmt: skip
    assert found == expected
    assert all((name is not None) == of_files for name in status.rejects["file"].to_pylist())
    bad = {(row, name) for row, name, _ in expected}
    out = {row for row, _ in bad} if on_bad == "drop" else set()
    kept = [n for n in range(rows) if n not in out]
    back = server.table(POOL, table).sort_by("N")
    assert status.rows == len(kept)
    for name, values in columns.items():
        good = [None if (n, name) in bad else values[n] for n in kept]
        assert back[name].to_pylist() == good
    assert f"Column 'F': {sum(name == 'F' for _, name in bad):,} values" in str(status.warnings)
    counts: dict[str, dict[str, int]] = {}
    for _, name, reason in expected:
        counts[name] = {reason: counts.get(name, {}).get(reason, 0) + 1}
    assert status.to_dict()["rejects"] == counts
    json.dumps(status.to_dict())


def test_nothing_bad_is_no_reject(connection: Celonis, table: str) -> None:
    """The table of rejects is empty, with its columns, and there is no warning."""
    for on_bad in ("error", "null", "drop"):
        status = connection.push(pa.table({"A": [1, None]}), POOL, table, on_bad=on_bad)
        assert status.rejects.num_rows == 0
        assert [(f.name, str(f.type)) for f in status.rejects.schema] == [
            ("row", "int64"), ("file", "string"), ("column", "string"), ("reason", "string"),
        ]  # fmt: skip
        assert status.warnings == ()
        assert status.to_dict()["rejects"] == {}


KEYED = pa.table({"K": ["a", None, "c\0", "d"], "V": [1.0, 2.0, 3.0, INF]})


def test_a_bad_key_is_an_error_if_bad_values_become_null(
    server: Any, connection: Celonis, table: str
) -> None:
    """Nothing is executed: the table stays as it was."""
    connection.push(pa.table({"K": ["a"], "V": [0.5]}), POOL, table, keys="K")
    for frame, error in (
        (KEYED.slice(0, 2), exceptions.KeyColumnError),
        (KEYED.slice(2, 1), exceptions.ColumnTypeError),
        (pa.table({"K": [1.5]}), exceptions.ColumnTypeError),
    ):
        columns: Any = {"K": "INTEGER"} if frame.num_columns == 1 else None
        with pytest.raises(error, match="'K'"):
            connection.push(frame, POOL, table, keys="K", on_bad="null", columns=columns)
    assert server.table(POOL, table).to_pydict() == {"K": ["a"], "V": [0.5]}


def test_rows_with_bad_keys_are_left_out(server: Any, connection: Celonis, table: str) -> None:
    """And with any other bad value; a warning says that the table's old rows stay."""
    connection.push(pa.table({"K": ["d"], "V": [0.5]}), POOL, table, keys="K")
    status = connection.push(KEYED, POOL, table, keys="K", on_bad="drop", verify="rows")
    back = server.table(POOL, table).sort_by("K").to_pydict()
    assert back == {"K": ["a", "d"], "V": [1.0, 0.5]}
    assert status.rejects["reason"].to_pylist() == ["null key", "NUL character", "infinite"]
    assert "3 of 4 rows left out" in status.warnings[0]
    assert "old rows stay" in status.warnings[0]
    assert "Column 'K': 1 value left out with its row: null key." in status.warnings
    again = connection.push(KEYED, POOL, table, keys="K", on_bad="drop", mode="REPLACE")
    assert "old rows stay" not in str(again.warnings)


def test_an_infinite_key_that_becomes_null_is_a_null_key(
    server: Any, connection: Celonis, table: str
) -> None:
    """`infinity="null"` makes no key."""
    frame = pa.table({"K": [1.0, INF]})
    options: Any = {"keys": "K", "infinity": "null"}
    status = connection.push(frame, POOL, table, on_bad="drop", **options)
    assert status.rejects.to_pylist() == [
        {"row": 1, "file": None, "column": "K", "reason": "null key"}
    ]
    assert server.table(POOL, table).num_rows == 1
    with pytest.raises(exceptions.KeyColumnError, match="1 null"):
        connection.push(frame, POOL, table, on_bad="null", **options)


@pytest.mark.parametrize("column", [
    pa.array([1.0, INF, 0.5, -INF]),
    pa.array([1.0, INF, 0.5, -INF], pa.float32()).dictionary_encode(),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["FLOAT", "INTEGER"])
@pytest.mark.parametrize("on_bad", ["null", "drop"])
def test_infinity_given_wins(
    column: Any, kind: str, on_bad: str, server: Any, connection: Celonis, table: str
) -> None:
    """As an error that counts them, and as null; in columns of either type."""
    options: Any = {"columns": {"F": kind}, "on_bad": on_bad, "mode": "REPLACE"}
    frame = pa.table({"N": range(4), "F": column})
    with pytest.raises(exceptions.ColumnTypeError, match="2 infinite values"):
        connection.push(frame, POOL, table, infinity="error", **options)
    status = connection.push(frame, POOL, table, infinity="null", **options)
    fractions = kind == "INTEGER"
    assert status.rejects["row"].to_pylist() == ([2] if fractions else [])
    assert "2 infinite values sent as null" in str(status.warnings)
    half = ([] if on_bad == "drop" else [None]) if fractions else [0.5]
    assert server.table(POOL, table)["F"].to_pylist() == [1, None, *half, None]


def test_infinity_within_json(connection: Celonis, table: str) -> None:
    """Infinite numbers in lists are bad, unless `infinity=` says what to do with them."""
    frame = pa.table({"L": [[1.0], [2.0, INF], None]})
    options: Any = {"nested": "json", "on_bad": "null"}
    status = connection.push(frame, POOL, table, **options)
    assert status.rejects["reason"].to_pylist() == ["infinite"]
    with pytest.raises(exceptions.ColumnTypeError, match="1 infinite value"):
        connection.push(frame, POOL, table, infinity="error", **options)
    assert connection.push(frame, POOL, table, infinity="null", **options).rejects.num_rows == 0


def test_a_type_that_is_rejected_stays_an_error(connection: Celonis, table: str) -> None:
    """Bytes in JSON, which `binary=` is for, are no bad values."""
    frame = pa.table({"L": [[b"x"], None]})
    for on_bad in ("null", "drop"):
        with pytest.raises(exceptions.ColumnTypeError, match="binary="):
            connection.push(frame, POOL, table, nested="json", on_bad=on_bad)


def test_half_characters(server: Any, connection: Celonis, table: str) -> None:
    """Strings with lone surrogates, which only Python's own can have, are not UTF-8."""
    texts = pd.Series(["a", "b\ud800", None, "\udcff"], dtype=object)
    frame = pd.DataFrame({"N": range(4), "T": texts})
    for on_bad, left in (("null", ["a", None, None, None]), ("drop", ["a", None])):
        status = connection.push(frame, POOL, table, mode="REPLACE", on_bad=on_bad)  # type: ignore[arg-type]
        assert status.rejects["row"].to_pylist() == [1, 3]
        assert set(status.rejects["reason"].to_pylist()) == {"not UTF-8"}
        assert server.table(POOL, table).sort_by("N")["T"].to_pylist() == left
    categories = pd.Categorical.from_codes([0], pd.Index(["\ud800"], dtype=object))
    for keyed in (frame.iloc[1:2], pd.DataFrame({"T": categories})):
        with pytest.raises(exceptions.ColumnTypeError, match="'T'"):
            connection.push(keyed, POOL, table, keys="T", on_bad="null")


def test_keys_in_order(server: Any, connection: Celonis, table: str) -> None:
    """Of rows with the same key the last good one is kept, in runs of several threads."""
    rows = 200_000
    noise = random.Random(1)  # noqa: S311  # the same each time
    frame = pl.DataFrame({
        "K": [n % 150_000 for n in range(rows)],
        "N": range(rows),
        "T": ["\0" if n % 1_000 == 7 else noise.randbytes(40).hex() for n in range(rows)],
    })  # fmt: skip
    status = connection.push(frame, POOL, table, keys="K", on_bad="drop", verify="rows")
    assert (status.chunks or 0) > 1
    assert status.rejects["row"].to_pylist() == list(range(7, rows, 1_000))
    expected = {n % 150_000: n for n in range(rows) if n % 1_000 != 7}
    back = server.table(POOL, table)
    assert dict(zip(back["K"].to_pylist(), back["N"].to_pylist(), strict=True)) == expected


def test_staged(tmp_path: Path, server: Any, connection: Celonis, table: str) -> None:
    """The stage has the good rows, and the status the rejects."""
    for rows in (100, 150_000):
        status = connection.push(
            pl.DataFrame(_columns(rows)), POOL, table, mode="REPLACE", on_bad="drop",
            columns={"Q": "INTEGER"}, staging=tmp_path,
        )  # fmt: skip
        assert status.rejects["row"].to_pylist() == [row for row, _, _ in _expected(rows)]
        out = len({row for row, _, _ in _expected(rows)})
        assert server.table(POOL, table).num_rows == status.rows == rows - out


def test_no_row_is_left(server: Any, connection: Celonis, table: str) -> None:
    """An error that says why, or an empty table; of small frames and of large ones."""
    for rows in (2, 150_000):
        frame = pa.table({"T": pa.repeat("a\0", rows), "N": range(rows)})
        with pytest.raises(exceptions.FrameError, match=f"All rows.*{rows:,}.*NUL character"):
            connection.push(frame, POOL, table, on_bad="drop")
        with pytest.raises(KeyError):
            server.table(POOL, table)
    status = connection.push(frame, POOL, table, on_bad="drop", mode="REPLACE")
    assert (status.rows, server.table(POOL, table).num_rows) == (0, 0)
    assert status.rejects.num_rows == 100_000
    assert status.rejects["row"].to_pylist() == list(range(100_000))
    assert status.to_dict()["rejects"] == {"T": {"NUL character": 150_000}}


def test_strings_longer_than_their_column(connection: Celonis, table: str) -> None:
    """The length in `columns=`, of the table that is there, or what always fits."""
    connection.push(pa.table({"T": ["x" * 90]}), POOL, table, columns={"T": 90})
    long = pa.table({"N": range(3), "T": ["x" * 91, "ä" * 90, "x" * 16_251]})
    for options, bad in (({}, [0, 2]), ({"mode": "REPLACE"}, [2]),
                         ({"mode": "REPLACE", "columns": {"T": 80}}, [0, 1, 2])):  # fmt: skip
        status = connection.push(long, POOL, table, on_bad="null", **options)  # type: ignore[arg-type]
        assert status.rejects["row"].to_pylist() == bad
        assert set(status.rejects["reason"].to_pylist()) == {"too long"}


@pytest.mark.parametrize("rows", [400, 120_000])
@pytest.mark.parametrize("on_bad", ["null", "drop"])
def test_values_that_do_not_fit_the_table_that_is_there(
    on_bad: str, rows: int, server: Any, connection: Celonis, table: str
) -> None:
    """They are rejected as any others, in a frame of any size; another type is an error."""
    connection.push(pa.table({"Q": [1], "B": [2]}), POOL, table)
    fractions = [0.5 if n % 100 == 7 else float(n) for n in range(rows)]
    frame = pa.table({"Q": fractions, "B": range(rows)})
    status = connection.push(frame, POOL, table, on_bad=on_bad, verify="rows")  # type: ignore[arg-type]
    assert status.rejects["row"].to_pylist() == list(range(7, rows, 100))
    assert set(status.rejects["reason"].to_pylist()) == {"does not fit INTEGER"}
    good = {n for n in range(rows) if n % 100 != 7}
    assert set(server.table(POOL, table)["Q"].to_pylist()) - {None} == good
    jobs = len(server.jobs)
    with pytest.raises(exceptions.ColumnTypeError, match="would be sent as STRING"):
        connection.push(pa.table({"Q": ["x"] * rows, "B": range(rows)}), POOL, table, on_bad=on_bad)  # type: ignore[arg-type]
    assert len(server.jobs) == jobs


@pytest.mark.parametrize("kind", ["polars", "lazy", "stream"])
def test_a_string_that_is_too_long_makes_no_column_longer(
    kind: str, tmp_path: Path, client: Celonis, own: Any
) -> None:
    """Only those that are sent count for its length."""
    texts = ["short"] * 120_000 + ["x" * 20_000]
    frame = KINDS[kind]({"T": texts, "N": list(range(len(texts)))}, tmp_path)
    status = client.push(frame, POOL, "T", on_bad="drop")
    assert status.rejects["row"].to_pylist() == [120_000]
    assert (status.rows, status.restarts) == (120_000, 0)
    lengths = {c["columnName"]: c["fieldLength"] for c in own.jobs[-1]["tableSchema"]["columns"]}
    assert lengths["T"] <= 320


def test_a_second_job_has_the_same_rejects(server: Any, connection: Celonis, table: str) -> None:
    """After a string longer than estimated all chunks go to another job, or are made again."""
    rows = 150_000
    texts = [
        "x" * 5_000 if n == 140_000 else "\0" if n % 50_000 == 1 else f"t{n}" for n in range(rows)
    ]
    frame = pl.LazyFrame({"N": range(rows), "T": texts})
    status = connection.push(frame, POOL, table, on_bad="drop", mode="REPLACE")
    assert status.restarts == 1
    assert status.rejects["row"].to_pylist() == [1, 50_001, 100_001]
    assert server.table(POOL, table).num_rows == rows - 3


def test_files_are_not_sent_unchanged(
    tmp_path: Path, server: Any, connection: Celonis, table: str
) -> None:
    """A file that could be is encoded again, without its bad rows."""
    whole = pa.table({"T": ["a", "b\0", "c"], "F": [1.0, 2.0, INF]})
    pq.write_table(whole, tmp_path / "1.parquet")
    pq.write_table(whole.slice(2), tmp_path / "2.parquet")
    status = connection.push(f"{tmp_path}/*.parquet", POOL, table, on_bad="drop")
    found = [(one["row"], Path(one["file"]).name) for one in status.rejects.to_pylist()]
    assert found == [(1, "1.parquet"), (2, "1.parquet"), (0, "2.parquet")]
    assert server.table(POOL, table).num_rows == 1


def test_many_tables_and_changes(server: Any, connection: Celonis, table: str) -> None:
    """Each table of `push_many` has its rejects; of `changes` the frames to upsert have."""
    statuses = connection.push_many(
        {f"{table}_{n}": pa.table({"F": [1.0, INF][: n + 1]}) for n in range(2)},
        POOL,
        on_bad="drop",
    )
    assert [status.rejects.num_rows for status in statuses.values()] == [0, 1]
    with connection.changes(POOL, table, keys="K", on_bad="drop") as changes:
        changes.upsert(KEYED)
        changes.upsert(pa.table({"K": ["b", "c"], "V": [-INF, 2.0]}))
        changes.delete(pa.table({"K": ["a"]}))
    assert changes.status.rejects["row"].to_pylist() == [1, 2, 3, 0]
    assert server.table(POOL, table).to_pydict() == {"K": ["c"], "V": [2.0]}


def test_a_plan_knows_the_lengths_of_the_table(connection: Celonis, table: str) -> None:
    """It warns of the same strings as the push, which are then no difference."""
    connection.push(pa.table({"T": ["x"]}), POOL, table)
    frame = pa.table({"T": ["x" * 81, "y"]})
    planned = connection.plan(frame, POOL, table, on_bad="null")
    assert planned.warnings == ("Column 'T': 1 value sent as null: too long.",)
    assert planned.differences == ()
    assert connection.push(frame, POOL, table, on_bad="null").warnings == planned.warnings
    assert connection.plan(frame, POOL, table, mode="REPLACE", on_bad="null").warnings == ()


def test_changes_know_the_lengths_of_the_table(connection: Celonis, table: str) -> None:
    """A frame is checked when it is added, against the table that is there."""
    frame = pa.table({"K": ["a", "b"], "T": ["x" * 80, "x"]})
    connection.push(frame, POOL, table, keys="K")
    with connection.changes(POOL, table, keys="K", on_bad="drop") as changes:
        changes.upsert(pa.table({"K": ["a", "b"], "T": ["new", "x" * 81]}))
    assert changes.status.rejects.to_pylist() == [
        {"row": 1, "file": None, "column": "T", "reason": "too long"}
    ]


def test_values_that_the_table_cannot_take(server: Any, connection: Celonis, table: str) -> None:
    """Values that do not fit the table's type are bad; a type that cannot fit it is an error."""
    connection.push(pa.table({"N": [1], "F": [0.5]}), POOL, table)
    far = 2**53 + 1
    frame = pa.table({"N": [2.0, 2.5, INF, 3.0], "F": [2, 3, 4, far]})
    planned = connection.plan(frame, POOL, table, on_bad="drop")
    assert [one.level for one in planned.differences] == ["lossy", "lossy"]
    status = connection.push(frame, POOL, table, on_bad="drop")
    assert planned.warnings == status.warnings
    assert [tuple(one.values())[2:] for one in status.rejects.to_pylist()] == [
        ("N", "does not fit INTEGER"), ("N", "infinite"), ("F", "does not fit FLOAT"),
    ]  # fmt: skip
    assert server.table(POOL, table).to_pydict() == {"N": [1, 2], "F": [0.5, 2.0]}
    with pytest.raises(exceptions.ColumnTypeError, match="first in row 0"):
        connection.push(pa.table({"N": ["x"], "F": [1.0]}), POOL, table, on_bad="drop")


def test_keys_to_delete_are_not_left_out(connection: Celonis, table: str) -> None:
    """A bad key to delete is an error; `delete` has no `on_bad=`."""
    connection.push(pa.table({"K": ["a"]}), POOL, table, keys="K")
    with (
        pytest.raises(exceptions.KeyColumnError),
        connection.changes(POOL, table, keys="K", on_bad="drop") as changes,
    ):
        changes.delete(pa.table({"K": ["a", None]}))
    with pytest.raises(TypeError, match="on_bad"):
        connection.delete(pa.table({"K": ["a"]}), POOL, table, keys="K", on_bad="drop")  # type: ignore[call-arg]


def test_rows_without_rejects_are_counted(connection: Celonis, table: str) -> None:
    """`verify="rows"` expects the rows that were sent."""
    for _ in range(2):
        status = connection.push(
            pa.table({"F": [1.0, INF, 2.0]}), POOL, table, on_bad="drop", verify="rows"
        )
        assert status.rows == 2


def test_a_plan_warns_as_the_push(
    monkeypatch: pytest.MonkeyPatch, connection: Celonis, table: str
) -> None:
    """With the same counts, whichever thread counts; its rows are those that would be sent."""
    monkeypatch.setattr(parallel, "cpu_count", lambda: 3)
    for rows in (400, 200_000):
        frame = pl.DataFrame(_columns(rows))
        options: Any = {"columns": {"Q": "INTEGER"}, "on_bad": "drop"}
        planned = plan(frame, POOL, table, **options)
        status = connection.push(frame, POOL, table, mode="REPLACE", **options)
        assert planned.warnings == status.warnings
        assert planned.rows == status.rows


def test_by_command_line(
    tmp_path: Path, server: Any, table: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """`--on-bad drop` pushes the other rows and prints the warnings."""
    monkeypatch.setenv("CELONIS_URL", server.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", server.token)
    pq.write_table(pa.table({"F": [1.0, INF]}), tmp_path / "f.parquet")
    assert (
        main(
            [
                "push",
                str(tmp_path / "f.parquet"),
                "--pool",
                POOL,
                "--table",
                table,
                "--on-bad",
                "drop",
            ]
        )
        == 0
    )
    assert server.table(POOL, table).to_pydict() == {"F": [1.0]}
    assert "1 of 2 rows left out" in "".join(capsys.readouterr())


def test_no_cell_is_logged_or_stored(
    connection: Celonis, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the log nor the status has the value that was rejected."""
    caplog.set_level("DEBUG", "celonis_frames")
    status = connection.push(
        pa.table({"T": ["very secret\0", "good"], "N": pa.array([2**64 - 77, 1], pa.uint64())}),
        POOL, table, on_bad="null",
    )  # fmt: skip
    for shown in (caplog.text, repr(status), status._repr_html_(), str(status.to_dict()),
                  str(status.rejects.to_pylist())):  # fmt: skip
        assert "secret" not in shown
        assert str(2**64 - 77) not in shown
    assert pc.sum(status.rejects["row"]).as_py() == 0


def test_the_row_in_an_error_counts_all_rows(connection: Celonis, table: str) -> None:
    """A bad key's row counts from the first row of the frame, whatever was rejected before."""
    rows = 150_000
    frame = pl.DataFrame({
        "K": [0.5 if n == 149_000 else float(n) for n in range(rows)],
        "F": [INF if n % 1_000 == 0 else 1.0 for n in range(rows)],
    })  # fmt: skip
    with pytest.raises(exceptions.ColumnTypeError, match="first in row 149,000"):
        connection.push(frame, POOL, table, keys="K", columns={"K": "INTEGER"}, on_bad="null")


def test_words_are_checked() -> None:
    """Case does not matter; other words are errors."""
    assert PushOptions.parse(on_bad="DROP").on_bad == "drop"
    with pytest.raises(exceptions.ConfigError, match="on_bad='skip' is unknown"):
        PushOptions.parse(on_bad="skip")
