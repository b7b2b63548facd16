"""Which type a column is sent as, by its own type and the table's."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.overrides import COLUMN_TYPES, Column
from celonis_frames._schema.table_layout import build_layout
from celonis_frames._tables.alignment import SHOWN, Follow, align, choose_type
from celonis_frames._tables.existing_table import ExistingColumn, ExistingTable
from celonis_frames.exceptions import ColumnTypeError

CHOICES = [
    ("INTEGER", "INTEGER", {}, Follow.AS_IT_IS),
    ("FLOAT", "INTEGER", {}, Follow.WHOLE_NUMBERS),
    ("FLOAT", "INTEGER", {"key": True}, Follow.WHOLE_NUMBERS),
    ("INTEGER", "FLOAT", {}, Follow.EXACT_FLOATS),
    ("INTEGER", "STRING", {}, Follow.TEXT),
    ("INTEGER", "STRING", {"key": True}, Follow.ONLY_NULLS),
    ("FLOAT", "STRING", {}, Follow.ONLY_NULLS),
    ("STRING", "INTEGER", {}, Follow.ONLY_NULLS),
    ("DATETIME", "STRING", {}, Follow.ONLY_NULLS),
    # What the columns call cannot tell apart is sent as it is.
    ("DATETIME", "DATE", {}, Follow.AS_IT_IS),
    ("DATE", "DATE", {}, Follow.AS_IT_IS),
    ("BOOLEAN", "INTEGER", {}, Follow.AS_IT_IS),
    ("TIME", "STRING", {}, Follow.AS_IT_IS),
    # The user's type wins, or is an error.
    ("FLOAT", "INTEGER", {"given": True}, Follow.NOT),
    ("INTEGER", "INTEGER", {"given": True}, Follow.AS_IT_IS),
    # A column without a type has that of the table.
    ("STRING", "DATE", {"untyped": True}, Follow.ONLY_NULLS),
    ("STRING", "STRING", {"untyped": True}, Follow.AS_IT_IS),
    ("STRING", "DATE", {"untyped": True, "given": True}, Follow.NOT),
]


@pytest.mark.parametrize(("own", "shown", "facts", "follow"), CHOICES)
def test_how_a_column_follows_the_table(
    own: Any, shown: str, facts: dict[str, bool], follow: Follow
) -> None:
    """The table of decisions."""
    assert choose_type(own, shown, **facts) is follow


def test_every_type_fits_what_the_call_shows_of_it() -> None:
    """A table that was made by a push never changes the types of the next one."""
    assert SHOWN.keys() == set(COLUMN_TYPES)
    for own, shown in SHOWN.items():
        for one in shown:
            assert choose_type(own, one) is Follow.AS_IT_IS  # type: ignore[arg-type]


def _sent(values: Any, shown: str, **columns: Any) -> pa.Array:
    """A column named A as it is sent into a table that shows another type."""
    table = pa.table({"A": values})
    options = ConversionOptions(columns={name: Column(kind) for name, kind in columns.items()})
    layout = build_layout(table.schema, (), options)
    existing = ExistingTable("T", {"a": ExistingColumn("A", shown)}, exists=True)
    (batch,) = table.combine_chunks().to_batches()
    return align(layout, existing).convert(batch, 100).column(0)


DURATIONS = pa.array([1_500, 2_000], pa.duration("ms"))


@pytest.mark.parametrize(
    ("values", "shown", "expected"),
    [
        (pa.array([1.0, None, -3.0]), "INTEGER", [1, None, -3]),
        (pa.array([2.0**62]), "INTEGER", [2**62]),
        (pa.array([1, 2], pa.decimal128(20, 2)), "INTEGER", [1, 2]),
        (pa.array([2_000, None], pa.duration("ms")), "INTEGER", [2, None]),
        (pa.array([2**63 - 1, -5], pa.duration("s")), "INTEGER", [2**63 - 1, -5]),
        (pa.array([1, None, 2**53]), "FLOAT", [1.0, None, float(2**53)]),
        (pa.array([2**64 - 1], pa.uint64()), "STRING", ["18446744073709551615"]),
        (pa.array([-5, None]), "STRING", ["-5", None]),
        (pa.nulls(2), "DATE", [None, None]),
        (pa.nulls(2), "FLOAT", [None, None]),
        (pa.array([None, None], pa.float64()), "DATE", [None, None]),
        (pa.array([None, None], pa.string()), "INTEGER", [None, None]),
        (pa.array([None], pa.bool_()).dictionary_encode(), "STRING", [None]),
    ],
)
def test_values_that_fit_are_sent_as_the_tables_type(
    values: Any, shown: str, expected: list[Any]
) -> None:
    """No value changes."""
    assert _sent(values, shown).to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "shown", "row"),
    [
        (pa.array([1.0, 1.5]), "INTEGER", 101),
        (pa.array([1.0, float("nan")]), "INTEGER", 101),
        (pa.array([1e19]), "INTEGER", 100),
        (DURATIONS, "INTEGER", 100),
        (pa.array([1, 2**53 + 1]), "FLOAT", 101),
        (pa.array([None, "x"]), "INTEGER", 101),
        (pa.array([None, None, True]), "STRING", 102),
        (pa.array([None, 2.5]), "STRING", 101),
        (pa.array(["2024-01-01"]), "DATE", 100),
    ],
)
def test_a_value_that_does_not_fit_is_named(values: Any, shown: str, row: int) -> None:
    """The error names the column, both types, the first row and the way out."""
    own = build_layout(pa.table({"A": values}).schema, (), ConversionOptions())
    with pytest.raises(ColumnTypeError) as caught:
        _sent(values, shown)
    message = str(caught.value)
    wanted = "DATETIME" if shown == "DATE" else shown
    for part in ("'A'", own.columns[0].conversion.column_type, wanted, "'T'", f"row {row}"):
        assert part in message
    assert 'mode="REPLACE"' in message


def test_a_type_that_was_given_stays() -> None:
    """The user's type is not changed for the table's sake."""
    assert _sent(pa.array([1, 2]), "FLOAT", A="STRING").to_pylist() == ["1", "2"]
