"""Two frames of any types, pushed one after the other into one table, end as documented.

`CELONIS_FRAMES_EXAMPLES` is that of test_roundtrip.py, of which 60 make a pair of frames: 21 pairs
are always run, 667 in CI, and more by hand:
`CELONIS_FRAMES_EXAMPLES=120000 pytest tests/integration/test_two_frames.py -k every` runs 2,000.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import strategies
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from strategies import equal, physical

from celonis_frames import Celonis, exceptions, plan

COLUMNS, ROWS = 4, 4
PAIRS = int(os.environ.get("CELONIS_FRAMES_EXAMPLES", "1260")) // 60
LIBRARIES = ("arrow", "polars", "pandas")
POOL = "Two frames"

SHOWN = {"BOOLEAN": "INTEGER", "DATETIME": "DATE", "TIME": "STRING"}
"""What the columns call shows of the types that it does not know."""
ERROR = object()
"""Instead of values: the push is an error before its job is executed."""
UNKNOWN = object()
"""Instead of values: the oracle does not say, since its values fit their own type nowhere."""

pytestmark = [
    pytest.mark.usefixtures("impatient"),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]


@dataclass(frozen=True)
class Side:
    """A column of one of the frames: its values, and the type they have by themselves."""

    drawn: strategies.Drawn
    stored: Any  # its values as they are stored by themselves, or REJECTED
    type: str
    untyped: bool
    length: int | None

    def sent_into(self, table: Side) -> tuple[str, Any]:
        """The type and the values that are sent into a column, by docs/existing-table.md."""
        own, shown = self.type, SHOWN.get(table.type, table.type)
        if self.stored is strategies.REJECTED:
            return own, ERROR if shown in ("INTEGER", "DATE") else UNKNOWN
        filled = [value for value in self.stored if value is not None]
        for_nulls = "DATETIME" if shown == "DATE" else shown
        if self.untyped:
            return for_nulls, self.stored
        if SHOWN.get(own, own) == shown:
            return own, self.stored
        if (own, shown) == ("FLOAT", "INTEGER"):
            return shown, self._whole()
        if (own, shown) == ("INTEGER", "FLOAT"):
            exact = all(int(float(value)) == value for value in filled)
            floats = [None if value is None else float(value) for value in self.stored]
            return shown, floats if exact else ERROR
        if (own, shown) == ("INTEGER", "STRING"):
            return shown, [None if value is None else str(value) for value in self.stored]
        return for_nulls, ERROR if filled else self.stored

    def _whole(self) -> Any:
        found: list[int | None] = []
        for value, stored in zip(self.drawn.given, self.stored, strict=True):
            if stored is None:
                found.append(None)
                continue
            exact = None if math.isnan(stored) else self.drawn.exact(value)
            if exact is None or exact.denominator != 1 or not -(2**63) <= exact < 2**63:
                return ERROR
            found.append(int(exact))
        return found


def _side(library: str, drawn: strategies.Drawn, file_type: Any, wanted: str | None) -> Side:
    """The column, planned by itself for its type, which test_types.py checks."""
    values = drawn.stored(file_type)
    if values is strategies.REJECTED:
        return Side(drawn, values, "", untyped=False, length=None)
    frame = strategies.frame(library, {"N": _column(library, [0] * ROWS), "A": drawn.column})
    columns: Any = {"A": wanted} if wanted else None
    upload = {"file_type": file_type}
    found = plan(frame, "", "T", columns=columns, binary="hex", upload=upload).columns[1]
    return Side(drawn, values, found.type, untyped=found.arrow == "null", length=found.length)


@dataclass(frozen=True)
class Draws:
    """What hypothesis draws for a pair of frames."""

    data: st.DataObject
    file_type: Any
    keys: str | None

    def first(self, library: str) -> tuple[dict[str, Side], dict[str, Any]]:
        """The columns of the first frame, and the types that columns= gives some of them."""
        sides: dict[str, Side] = {}
        given: dict[str, Any] = {}
        for drawn in self.data.draw(_columns(library)):
            name, wanted = f"C{len(sides)}", self._wanted(drawn)
            side = _side(library, drawn, self.file_type, wanted)
            if side.stored is not strategies.REJECTED:
                sides[name] = side
                given |= {name: wanted} if wanted else {}
        return sides, given

    def second(self, library: str, first: dict[str, Side]) -> dict[str, Side]:
        """The columns of the second frame, which has as many."""
        found = self.data.draw(_columns(library))
        return {
            name: _side(library, drawn, self.file_type, None)
            for name, drawn in zip(first, found, strict=False)
        }

    def options(self) -> dict[str, Any]:
        """How the second frame is pushed: mostly a DELTA."""
        if self.data.draw(st.integers(0, 3)) == 0:
            return {"mode": "REPLACE", "schema_mode": "align"}
        return {} if self.keys is None else {"missing_columns": "null"}

    def _wanted(self, drawn: strategies.Drawn) -> str | None:
        """A type that only columns= gives: DATE for dates, TIME for times of day in CSV."""
        if all(value is None for value in drawn.given) or not self.data.draw(st.booleans()):
            return None
        if drawn.kind in ("polars Date", "pandas object of date", "arrow date32"):
            return "DATE"
        is_time = drawn.kind in ("arrow time64[us]", "pandas object of time")
        return "TIME" if is_time and self.file_type == "CSV" else None


@pytest.mark.sampled(3)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_pair_of_frames_ends_as_documented(
    library: str, server: Any, connection: Celonis, table: str
) -> None:
    """DONE with the values documented, or an error or a failed job that leaves the table as it is.

    A job fails only where the columns call does not tell two types apart.
    """

    @settings(max_examples=max(1, PAIRS // len(LIBRARIES)), suppress_health_check=list(HealthCheck))
    @given(st.data(), st.sampled_from(["PARQUET", "PARQUET", "CSV"]), st.sampled_from([None, "N"]))
    def check(data: st.DataObject, file_type: Any, keys: str | None) -> None:
        draws = Draws(data, file_type, keys)
        common: dict[str, Any] = {
            "keys": keys, "binary": "hex", "upload": {"file_type": file_type},
        }  # fmt: skip
        # 1. The first frame makes the table.
        other = data.draw(st.sampled_from(LIBRARIES))
        first, given_types = draws.first(other)
        made = _frame(other, range(ROWS), first)
        connection.push(made, POOL, table, mode="REPLACE", columns=given_types, **common)
        before = server.table(POOL, table)
        # 2. Each column of the second follows it, or ends as it must.
        second, options = draws.second(library, first), draws.options()
        replaces = "mode" in options
        numbers, done = range(2, 2 + ROWS), {}
        for name, side in second.items():
            kind, values, ends = _end(side, first[name], replaces=replaces)
            event(str(ends))
            if ends is None:
                done[name] = (side, values)
            elif ends is not Unknown:
                alone = _frame(library, numbers, {name: side})
                with pytest.raises(ends, match=name if ends is exceptions.FrameError else kind):
                    connection.push(alone, POOL, table, **common, **options)
        _assert_unchanged(server.table(POOL, table), before)
        sent = _frame(library, numbers, {name: side for name, (side, _) in done.items()})
        connection.push(sent, POOL, table, **common, **options)
        # 3. The rows of the first frame that stay, and those of the second.
        after = server.table(POOL, table)
        kept = range(0 if replaces else 2 if keys else ROWS)
        expected = {"N": list(numbers)} | {name: values for name, (_, values) in done.items()}
        assert replaces or after.schema == before.schema
        for name in after.schema.names:
            old = dict(zip(before["N"].to_pylist(), physical(before[name]), strict=True))
            want = [(number, old[number]) for number in kept]
            want += zip(numbers, expected.get(name, [None] * ROWS), strict=True)
            got = list(zip(after["N"].to_pylist(), physical(after[name]), strict=True))
            _assert_same(got, want, (first.get(name), second.get(name)))

    check()


class Unknown(Exception):
    """The oracle does not say how the push ends."""


def _end(side: Side, table: Side, *, replaces: bool) -> tuple[str, Any, type[Exception] | None]:
    """The type and the values that are sent into a column, and the error of the push, if any."""
    kind, values = side.sent_into(table)
    if not replaces and _is_cut(values, table):
        values = ERROR
    if replaces and values is ERROR:
        kind, values = side.type, side.stored
    if values is UNKNOWN or (replaces and side.stored is strategies.REJECTED):
        return kind, None, Unknown
    if values is ERROR:
        return kind, None, exceptions.FrameError
    if kind == table.type or replaces:
        return kind, values, None
    assert SHOWN.get(kind, kind) == SHOWN.get(table.type, table.type)
    return kind, None, exceptions.JobFailed


def _is_cut(values: Any, table: Side) -> bool:
    """Whether a string is longer than its column of the table, and Celonis would cut it."""
    if table.length is None or not isinstance(values, list):
        return False
    return any(len(value) > table.length for value in values if isinstance(value, str))


def _assert_unchanged(table: Any, before: Any) -> None:
    assert table.schema == before.schema
    for name in before.schema.names:
        pairs = zip(physical(table[name]), physical(before[name]), strict=True)
        assert all(equal(one, other) for one, other in pairs), name


def _assert_same(got: list[Any], want: list[Any], kinds: Any) -> None:
    """Each row that is wanted is there; those of one number, which appends make, in any order."""
    left = list(want)
    for number, value in got:
        place = next(
            (i for i, (n, wanted) in enumerate(left) if n == number and equal(value, wanted)), None
        )
        assert place is not None, (kinds, number, value, left)
        left.pop(place)
    assert not left, kinds


def _frame(library: str, numbers: range, sides: dict[str, Side]) -> Any:
    columns = {name: side.drawn.column for name, side in sides.items()}
    return strategies.frame(library, {"N": _column(library, list(numbers)), **columns})


def _columns(library: str) -> st.SearchStrategy[list[strategies.Drawn]]:
    column = strategies.any_column(library, ROWS)
    return st.lists(column, min_size=COLUMNS, max_size=COLUMNS)


def _column(library: str, values: list[int]) -> Any:
    return {"arrow": pa.array, "polars": pl.Series, "pandas": pd.Series}[library](values)
