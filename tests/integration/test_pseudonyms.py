"""Pseudonyms through the wire: the same for the same text, from every frame, in every table."""

from __future__ import annotations

import datetime as dt
import decimal
import hmac
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis, Column, Secret, exceptions, plan

pytestmark = pytest.mark.usefixtures("impatient")

POOL, KEY = "Tests", "a key of many letters"
PSEUDONYMISED = {"USER": Column(pseudonymise=Secret(KEY))}
USERS = ["ada@example.com", "grace@example.com", None, "ada@example.com", "käthe\0", "x" * 20_000]


def pseudonym(text: str | None) -> str | None:
    """What Python's own HMAC makes of a text."""
    if text is None:
        return None
    return hmac.new(KEY.encode(), text.encode(), "sha256").hexdigest()[:32]


EXPECTED = {"N": list(range(len(USERS))), "USER": [pseudonym(user) for user in USERS]}


def _parquet(folder: Path, **options: Any) -> str:
    path = folder / "users.parquet"
    pq.write_table(_arrow(), path, **options)
    return str(path)


def _arrow() -> pa.Table:
    return pa.table({"N": range(len(USERS)), "USER": USERS})


FRAMES: dict[str, Callable[[Path], Any]] = {
    "pandas": lambda _: _arrow().to_pandas(),
    "pandas objects": lambda _: _arrow().to_pandas().astype({"USER": object}),
    "pandas category": lambda _: _arrow().to_pandas().astype({"USER": "category"}),
    "polars": lambda _: pl.DataFrame(_arrow()),
    "polars category": lambda _: pl.DataFrame(_arrow()).cast({"USER": pl.Categorical}),
    "LazyFrame": lambda _: pl.DataFrame(_arrow()).lazy(),
    "Arrow": lambda _: _arrow(),
    "stream": lambda _: _arrow().to_reader(max_chunksize=2),
    "iterable": lambda _: (_arrow().slice(place, 2) for place in (0, 2, 4)),
    "Parquet": _parquet,
    "Parquet as a push writes it": lambda folder: _parquet(
        folder, compression="snappy", use_deprecated_int96_timestamps=True, version="1.0"
    ),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_gets_the_same_pseudonyms(
    name: str, file_type: Any, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Any text is allowed, since only its pseudonym is sent, in a column of 32 characters."""
    status = connection.push(
        FRAMES[name](tmp_path), POOL, table,
        mode="REPLACE", columns=PSEUDONYMISED, upload={"file_type": file_type},
    )  # fmt: skip
    assert status.restarts == 0
    assert server.table(POOL, table).sort_by("N").to_pydict() == EXPECTED
    job = next(job for job in server.jobs if job["targetName"] == table)
    lengths = {c["columnName"]: c["fieldLength"] for c in job["tableSchema"]["columns"]}
    assert lengths == {"N": None, "USER": 32}


DAY, ID = dt.date(2024, 2, 29), "12345678-1234-5678-1234-567812345678"
ALIKE: dict[str, list[Any]] = {
    "45": [pl.Series(["45"]), pl.Series([45]), pl.Series([45.0]), pl.Series([45], dtype=pl.UInt8),
           pl.Series([decimal.Decimal(45)]), pd.Series([45, None]), pd.Series([45], dtype=object),
           pd.Series([45], dtype="category"), pd.Series(["45"], dtype="category")],
    str(2**70): [pl.Series([str(2**70)]), pd.Series([2**70]), pl.Series([2**70], dtype=pl.Int128)],
    "2024-02-29": [pl.Series([DAY]), pd.Series([DAY]), pl.Series(["2024-02-29"])],
    "2024-02-29 00:00:00.000000": [
        pd.Series([DAY], dtype="datetime64[s]"), pd.Series([DAY], dtype="datetime64[ns]"),
        pl.Series([dt.datetime(2024, 2, 29)])],
    ID: [pd.Series([ID]), pa.array([bytes.fromhex(ID.replace("-", ""))], pa.uuid())],
    "1.5": [pl.Series([1.5]), pd.Series([1.5], dtype="float32"),
            pd.Series([decimal.Decimal("1.5")])],
}  # fmt: skip


@pytest.mark.parametrize("text", ALIKE)
def test_what_has_the_same_text_gets_the_same_pseudonym(
    text: str, server: Any, connection: Celonis, table: str
) -> None:
    """Whatever type holds it: a number joins with the same number in a string column."""
    for values in ALIKE[text]:
        frame: Any = pa.table({"USER": values}) if isinstance(values, pa.Array) else None
        if frame is None:
            library: Any = pd if isinstance(values, pd.Series) else pl
            frame = library.DataFrame({"USER": values})
        connection.push(frame, POOL, table, mode="REPLACE", columns=PSEUDONYMISED)
        assert server.table(POOL, table)["USER"][0].as_py() == pseudonym(text), values


def test_tables_that_are_pushed_with_one_key_still_join(
    server: Any, connection: Celonis, table: str
) -> None:
    """Both keys are pseudonyms: by push_many with rename, and once as a number."""
    users = pd.DataFrame({"Id": [1, 2, 3], "Team": ["a", "b", "a"]})
    events = pl.DataFrame({"User Id": ["3", "3", "1", "9"], "E": [1, 2, 3, 4]})
    connection.push_many(
        {f"{table}_U": users}, POOL,
        mode="REPLACE", keys="ID", rename="upper_snake", columns={"ID": Column(pseudonymise=KEY)},
    )  # fmt: skip
    connection.push(
        events, POOL, f"{table}_E", mode="REPLACE",
        rename={"User Id": "USER_ID"}, columns={"User Id": Column(pseudonymise=KEY.encode())},
    )  # fmt: skip
    joined = server.sql(
        f'SELECT e."E", u."TEAM" FROM "{POOL}"."{table}_E" e JOIN "{POOL}"."{table}_U" u '
        f'ON e."USER_ID" = u."ID" ORDER BY 1'
    )
    assert joined.to_pydict() == {"E": [1, 2, 3], "TEAM": ["a", "a", "a"]}


def test_keys_are_upserted_and_deleted_by_their_pseudonyms(
    server: Any, connection: Celonis, table: str
) -> None:
    """push, delete and changes with the same key find the same rows."""
    both: dict[str, Any] = {"keys": "USER", "columns": PSEUDONYMISED}
    frame = pl.DataFrame({"USER": ["ada", "grace", "alan"], "V": [1, 2, 3]})
    status = connection.push(frame, POOL, table, mode="REPLACE", **both, verify=["schema", "rows"])
    assert status.warnings == ()
    connection.push(pd.DataFrame({"USER": ["ada", "kurt"], "V": [10, 4]}), POOL, table, **both)
    connection.delete(pa.table({"USER": ["grace"]}), POOL, table, **both)
    with connection.changes(POOL, table, **both) as changes:
        changes.upsert(pl.DataFrame({"USER": ["kurt", "rosa"], "V": [40, 5]}))
        changes.delete(pl.DataFrame({"USER": ["alan"], "V": ["any"]}))
    rows = server.table(POOL, table).sort_by("V").to_pydict()
    assert rows == {"USER": [pseudonym(u) for u in ("rosa", "ada", "kurt")], "V": [5, 10, 40]}


def test_nulls_and_duplicates_of_keys_are_found(connection: Celonis, table: str) -> None:
    """As of other key columns."""
    both: dict[str, Any] = {"keys": "USER", "columns": PSEUDONYMISED}
    with pytest.raises(exceptions.KeyColumnError, match="'USER' has 1 null"):
        connection.push(pl.DataFrame({"USER": ["a", None]}), POOL, table, **both)
    (warning,) = plan(pl.DataFrame({"USER": ["a", "b", "a"]}), POOL, table, **both).warnings
    assert "1 has the key of another row" in warning


def test_deduplicate_by_takes_a_column_with_an_order(
    server: Any, connection: Celonis, table: str
) -> None:
    """Keys may be pseudonyms; by the column itself an arbitrary row would be kept."""
    frame = pl.DataFrame({"USER": ["a", "a"], "AT": [2, 1]})
    both: dict[str, Any] = {"keys": "USER", "columns": PSEUDONYMISED}
    connection.push(frame, POOL, table, mode="REPLACE", deduplicate_by="AT", **both)
    assert server.table(POOL, table).to_pydict() == {"USER": [pseudonym("a")], "AT": [2]}
    with pytest.raises(exceptions.KeyColumnError, match="pseudonyms have no order"):
        plan(frame, POOL, table, keys="AT", columns=PSEUDONYMISED, deduplicate_by="USER")


def test_plan_shows_the_column_of_the_table() -> None:
    """A STRING of 32 characters; a name of no column is an error, as for other overrides."""
    frame = pl.DataFrame({"USER": [1, 2], "N": [1, 2]})
    column = plan(frame, POOL, "T", columns=PSEUDONYMISED).columns[0]
    assert (column.type, column.length, column.longest) == ("STRING", 32, 32)
    with pytest.raises(exceptions.ConfigError, match="names 'USR'"):
        plan(frame, POOL, "T", columns={"USR": Column(pseudonymise=KEY)})


@pytest.mark.parametrize("keys", [None, "N"])
def test_many_chunks_have_the_same_pseudonyms(
    keys: Any, server: Any, connection: Celonis, table: str
) -> None:
    """Rows are encoded by all cores, each batch by itself; the longest strings are not read."""
    draw = random.Random(7)  # noqa: S311  # no secret
    rows = 60_000
    users = ["".join(draw.choices(string.printable, k=draw.randrange(40))) for _ in range(500)]
    frame = pa.table({"N": range(rows), "USER": draw.choices(users, k=rows),
                      "T": [str(n) for n in range(rows)]})  # fmt: skip
    status = connection.push(
        frame, POOL, table, mode="REPLACE", keys=keys, columns=PSEUDONYMISED,
        upload={"chunk_bytes": "200 kB"},
    )  # fmt: skip
    assert status.chunks > 3
    stored = server.table(POOL, table).sort_by("N")
    digits = {user: pseudonym(user) for user in users}
    assert stored["USER"].to_pylist() == [digits[user] for user in frame["USER"].to_pylist()]


@pytest.mark.parametrize("on_bad", ["error", "null", "drop"])
@pytest.mark.parametrize(
    ("there", "error"),
    [(pa.array([1]), exceptions.ColumnTypeError), (pa.array(["a"]), exceptions.TruncationError)],
)
def test_a_column_that_cannot_hold_pseudonyms_is_an_error(
    there: Any, error: type[Exception], on_bad: Any, connection: Celonis, server: Any, table: str
) -> None:
    """No value is bad by itself, and the error does not advise to send the values themselves."""
    columns: Any = {"USER": 20} if pa.types.is_string(there.type) else None
    connection.push(pa.table({"USER": there}), POOL, table, columns=columns)
    with pytest.raises(error, match=r'(?i)recreate the table with mode="REPLACE"') as caught:
        connection.push(
            pa.table({"USER": ["ada", "b"]}), POOL, table, columns=PSEUDONYMISED, on_bad=on_bad
        )
    assert "columns=," not in str(caught.value)
    assert "shorten" not in str(caught.value)
    planned = connection.plan(pa.table({"USER": ["ada"]}), POOL, table, columns=PSEUDONYMISED)
    assert planned.level in ("fatal", "lossy")
    assert "leave it out" not in str(planned)
    assert server.table(POOL, table)["USER"].to_pylist() == there.to_pylist()
