"""Compare a table of the local Celonis with the rows that a test expects in it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from celonis_frames._formatting import counted, listed, shown
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.types import rule_for
from celonis_frames.exceptions import ConfigError

MAX_SHOWN = 5
"""Rows of each kind that a message shows."""

Row = tuple[Any, ...]


def differences(
    actual: pa.Table, expected: Any, table: str, keys: Sequence[str] | str | None
) -> list[str]:
    """What is wrong with a table, one line each; none if it has exactly the expected rows.

    Args:
        actual: The table, as it is stored.
        expected: As of `assert_table`.
        table: The table's name.
        keys: As of `assert_table`.

    Raises:
        ConfigError: The keys are no columns, or are not unique in the expected rows; or the
            values of a column have types that Arrow cannot combine.
        FrameError: The expected frame could not be pushed.
    """
    wanted = _as_stored(expected, table)
    found = _columns_differ(actual, wanted)
    if found:
        return found
    names = {name.casefold(): name for name in wanted.column_names}
    actual = actual.select(_order(actual, wanted)).rename_columns(wanted.column_names)
    wanted, found = _with_types(actual, wanted)
    if found:
        return found
    chosen = [keys] if isinstance(keys, str) else list(keys or ())
    if unknown := [key for key in chosen if key.casefold() not in names]:
        raise ConfigError(
            f"keys= names {unknown}, but the columns are {listed(wanted.column_names)}."
        )
    if not chosen:
        return list(_rows_differ(actual, wanted))
    return list(_keyed_rows_differ(actual, wanted, [names[key.casefold()] for key in chosen]))


def _as_stored(frame: Any, table: str) -> pa.Table:
    """A frame as a push would store it, but that columns without a type still have none."""
    if isinstance(frame, list) and all(isinstance(row, Mapping) for row in frame):
        if not frame:
            raise ConfigError("expected=[] names no columns: give an empty frame that has them.")
        names = dict.fromkeys(chain.from_iterable(frame))
        frame = {name: [row.get(name) for row in frame] for name in names}
    if isinstance(frame, Mapping):
        frame = pa.table({name: _as_array(name, values) for name, values in frame.items()})
    # REPLACE: a frame without rows is one, too.
    prepared = prepare(frame, table, PushOptions(mode="REPLACE", nested="json"))
    try:
        prepared.begin(None)
        files = [io.BytesIO(b"".join(chunk.blocks())) for chunk in prepared.chunks(_go_on)]
    finally:
        prepared.close()
    stored = pa.concat_tables(map(pq.read_table, files))
    for place, column in enumerate(prepared.layout.columns):
        if pa.types.is_null(column.arrow_type):
            stored = stored.set_column(place, column.name, pa.nulls(stored.num_rows))
    return stored


def _as_array(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(values)
    except pa.ArrowException as error:
        types = sorted({type(value).__name__ for value in values if value is not None})
        raise ConfigError(
            f"expected= column {name!r} has values of types that are not one in Arrow: "
            f"{', '.join(types)}. Give values of one type."
        ) from error


def _go_on() -> None:
    """Nothing ends the reading of a test's frame."""


def _order(actual: pa.Table, wanted: pa.Table) -> list[str]:
    """The names in the table, in the order of the expected columns."""
    names = {name.casefold(): name for name in actual.column_names}
    return [names[name.casefold()] for name in wanted.column_names]


def _columns_differ(actual: pa.Table, wanted: pa.Table) -> list[str]:
    ours = {name.casefold(): name for name in actual.column_names}
    theirs = {name.casefold(): name for name in wanted.column_names}
    missing = [name for key, name in theirs.items() if key not in ours]
    more = [name for key, name in ours.items() if key not in theirs]
    return [
        *([f"columns that it lacks: {listed(missing)}"] if missing else []),
        *([f"columns that were not expected: {listed(more)}"] if more else []),
    ]


def _with_types(actual: pa.Table, wanted: pa.Table) -> tuple[pa.Table, list[str]]:
    """The expected rows with the types of the table, and which columns have others."""
    columns, found = [], []
    for name, theirs in zip(wanted.column_names, wanted.columns, strict=True):
        kind = actual.schema.field(name).type
        column = _with_type(theirs, kind)
        columns.append(column)
        if column is None:
            found.append(f"column {name!r}: its type is {kind}, and {theirs.type} was expected")
    return (wanted if found else pa.table(columns, wanted.column_names)), found


def _with_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """The column with a type of the table; None if its own is another type of Celonis."""
    # A cast alone would do too much: of integers to strings, for example.
    rules = rule_for(column.type), rule_for(kind)
    own, there = (rule and rule.default for rule in rules)
    if own != there and not pa.types.is_null(column.type):
        return None
    try:
        # Times are stored in microseconds.
        return column.cast(kind, safe=not pa.types.is_timestamp(kind))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _rows(table: pa.Table) -> list[Row]:
    columns = [_values(column) for column in table.columns]
    return list(zip(*columns, strict=True))


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_floating(column.type):
        # Celonis stores no NaN; -0.0 equals 0.0.
        column = pc.if_else(pc.is_nan(column), None, column)
    values: list[Any] = column.to_pylist()
    return values


def _rows_differ(actual: pa.Table, wanted: pa.Table) -> Iterator[str]:
    ours, theirs = Counter(_rows(actual)), Counter(_rows(wanted))
    for what, rows in (
        ("missing", theirs - ours),
        ("not expected", ours - theirs),
    ):
        yield from _listed(what, list(rows.elements()), wanted.column_names)


def _keyed_rows_differ(actual: pa.Table, wanted: pa.Table, keys: list[str]) -> Iterator[str]:
    names = wanted.column_names
    places = [names.index(key) for key in keys]

    def by_key(rows: list[Row]) -> dict[Row, list[Row]]:
        found: dict[Row, list[Row]] = {}
        for row in rows:
            found.setdefault(tuple(row[place] for place in places), []).append(row)
        return found

    ours, theirs = by_key(_rows(actual)), by_key(_rows(wanted))
    if any(len(rows) > 1 for rows in theirs.values()):
        raise ConfigError(f"keys={shown(keys)}: rows of the expected frame have the same key.")
    twice = [key for key, rows in ours.items() if len(rows) > 1]
    yield from _listed("with a key that several rows of the table have", twice, keys)
    yield from _listed("missing", [rows[0] for k, rows in theirs.items() if k not in ours], names)
    more = [row for key, rows in ours.items() if key not in theirs for row in rows]
    yield from _listed("not expected", more, names)
    changed = [
        (key, ours[key][0], rows[0])
        for key, rows in theirs.items()
        if key in ours and ours[key][0] != rows[0]
    ]
    for key, mine, other in changed[:MAX_SHOWN]:
        cells = [
            f"{name} is {one!r}, not {two!r}"
            for name, one, two in zip(names, mine, other, strict=True)
            if one != two
        ]
        yield f"row {_shown(key, keys)}: {'; '.join(cells)}"
    if len(changed) > MAX_SHOWN:
        yield f"… and {counted(len(changed) - MAX_SHOWN, 'other row')} with other values"


def _listed(what: str, rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    for row in rows[:MAX_SHOWN]:
        yield f"row {what}: {_shown(row, names)}"
    if len(rows) > MAX_SHOWN:
        yield f"… and {counted(len(rows) - MAX_SHOWN, 'other row')} {what}"


def _shown(row: Row, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in zip(names, row, strict=True))
