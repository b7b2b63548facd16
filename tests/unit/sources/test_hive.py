"""Whatever the folders of a partition are named, no value changes."""

from __future__ import annotations

from urllib.parse import quote

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._sources.hive import NULL, constants, partition_of

VALUES = st.one_of(
    st.text(max_size=8),
    st.integers().map(str),
    st.sampled_from(["007", "-0", "1.0", "1e3", "true", "True", "nan", "9223372036854775808"]),
    st.dates().map(str),
    st.datetimes().map(str),
    st.floats().map(str),
)


@given(st.lists(st.one_of(st.none(), VALUES.filter(lambda text: text != NULL)), min_size=1))
def test_every_value_comes_back(values: list[str | None]) -> None:
    """A column's values, as strings, are what the folders say; nulls are nulls."""
    partitions = [
        partition_of([f"P={NULL if value is None else quote(value, safe='')}"], "the file")
        for value in values
    ]
    columns = constants(partitions)
    assert [column[0][1].cast(pa.string()).as_py() for column in columns] == values
    assert len({column[0][0] for column in columns}) == 1


@given(st.text(max_size=8).filter(lambda name: "=" not in quote(name, safe="") and name))
def test_names_are_decoded(name: str) -> None:
    """As writers encode what a folder's name cannot hold."""
    assert partition_of(["x", f"{quote(name, safe='')}=1", "y"], "the file") == {name: "1"}
