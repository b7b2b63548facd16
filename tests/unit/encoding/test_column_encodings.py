"""How columns are encoded: by the bytes that they take, which the files then show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames._encoding import column_encodings as module
from celonis_frames._encoding.codecs import CODECS
from celonis_frames._encoding.column_encodings import (
    ColumnEncodings,
    Trial,
    choose_encodings,
    parquet_writer,
)
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions

ROWS = 40_000
RANDOM = np.random.default_rng(3)
LONG = np.array([RANDOM.bytes(100).hex() for _ in range(8_000)])


def _words(values: Any) -> pa.Array:
    return pa.array([str(value) for value in values])


COLUMNS: dict[str, tuple[Callable[[], pa.Array], dict[str, bool]]] = {
    # What it is, and whether a dictionary makes it smaller, by codec.
    "a few words": (lambda: _words(RANDOM.choice(["yes", "no", "perhaps"], ROWS)),
                    {"snappy": True, "zstd": True, "none": True}),
    "all distinct": (lambda: _words(RANDOM.permutation(ROWS) + 10**9),
                     {"snappy": False, "zstd": False, "none": False}),
    "one of 3,000 names": (lambda: _words(RANDOM.integers(10**9, 10**9 + 3_000, ROWS)),
                           {"snappy": True, "zstd": True, "none": True}),
    "cases of seven rows": (lambda: _words(np.arange(ROWS) // 7 + 10**12),
                            {"snappy": False, "zstd": False, "none": True}),
    "long texts that come again": (lambda: pa.array(RANDOM.choice(LONG, ROWS)),
                                   {"snappy": True, "none": True}),
    "whole numbers": (lambda: pa.array(RANDOM.integers(0, 500, ROWS)),
                      {"snappy": True, "zstd": True, "none": True}),
    "amounts": (lambda: pa.array(np.round(RANDOM.lognormal(6, 1.5, ROWS), 2)),
                {"snappy": False, "zstd": False}),
    "times": (lambda: pa.array(RANDOM.integers(0, 10**15, ROWS), pa.timestamp("us")),
              {"snappy": False, "zstd": False, "none": False}),
    "nulls": (lambda: pa.nulls(ROWS, pa.string()), {"snappy": True}),
    "flags": (lambda: pa.array(RANDOM.random(ROWS) < 0.1), {"snappy": False, "none": False}),
    "categories": (lambda: _words(np.arange(ROWS)).dictionary_encode(),
                   {"snappy": True, "zstd": True}),
}  # fmt: skip


def _size(column: pa.Array, codec: str, encodings: ColumnEncodings) -> int:
    sink = pa.BufferOutputStream()
    table = pa.table({"C": column})
    with parquet_writer(sink, table.schema, codec, encodings) as writer:
        writer.write_table(table, row_group_size=ROWS)
    return int(sink.getvalue().size)


@pytest.mark.parametrize("what", COLUMNS)
def test_a_dictionary_is_chosen_where_it_saves_bytes(what: str) -> None:
    """By what the codec makes of the values; what is chosen is the smaller file, or nearly."""
    make, expected = COLUMNS[what]
    column = make()
    for codec, pays in expected.items():
        chosen = choose_encodings(pa.table({"C": column}), codec)
        assert chosen.dictionaries == (("C",) if pays else ()), codec
        if not pa.types.is_dictionary(column.type):
            other = ColumnEncodings(() if pays else ("C",), chosen.levels)
            assert _size(column, codec, chosen) < 1.05 * _size(column, codec, other) + 50, codec


def test_long_dictionaries_are_not_given_up() -> None:
    """A dictionary of more than a megabyte, at which Arrow stops by default, is written whole."""
    column = pa.array(RANDOM.choice(LONG, ROWS))
    assert sum(map(len, LONG)) > 1_500_000
    chosen = _size(column, "snappy", ColumnEncodings(("C",)))
    assert chosen < 0.5 * _size(column, "snappy", ColumnEncodings())


@pytest.mark.parametrize(
    ("changed", "pays"),
    [
        ({}, True),
        ({"plain_bytes": 9_900}, False),
        ({"early": 500}, False),  # the second half has as many new values
        ({"value_bytes": 4_000_000}, False),  # would be given up
        ({"index_bytes": 24_000}, False),
        ({"distinct": 1, "early": 1, "index_bytes": 1}, True),
    ],
)
def test_a_trial_is_extended_to_a_row_group(changed: dict[str, int], pays: bool) -> None:
    """Values that come again come again more often; indices into more values are longer."""
    given = {
        "rows": 10_000, "distinct": 1_000, "early": 900, "value_bytes": 20_000,
        "plain_bytes": 25_000, "dictionary_bytes": 9_000, "index_bytes": 12_000,
    }  # fmt: skip
    assert Trial(**(given | changed)).dictionary_pays(100_000) is pays


def test_the_number_of_distinct_values_is_estimated() -> None:
    """Of names from a list, of words, and where all rows differ: within a factor of three."""
    lists = {
        "names": RANDOM.integers(0, 4_000, 80_000),
        "words": RANDOM.zipf(1.5, 80_000),
        "amounts": np.round(RANDOM.lognormal(6, 1.5, 80_000), 2),
        "numbers": np.arange(80_000),
        "one": np.zeros(80_000),
    }
    for what, values in lists.items():
        first, half = (len(np.unique(values[:rows])) for rows in (5_000, 2_500))
        found = Trial(5_000, first, half, 0, 0, 0, 0).distinct_in(80_000)
        assert 0.33 < found / len(np.unique(values)) < 3, what
    late = Trial(1_000, 501, 1, 0, 0, 0, 0)  # the first half is one value
    assert 501 < late.distinct_in(10**8) < 10**8


def test_long_texts_get_a_higher_level_of_zstd_only() -> None:
    """Where it makes them smaller; numbers as text, and other codecs, keep theirs."""
    vocabulary = [f"{word:x}"[: 2 + word % 7] for word in RANDOM.integers(16**7, 16**8, 1_000)]
    phrases = [" ".join(words) for words in RANDOM.choice(vocabulary, (ROWS, 6))]
    texts = [
        f"{one} {number} {two}"
        for number, (one, two) in enumerate(RANDOM.choice(phrases, (ROWS, 2)), start=10**9)
    ]
    table = pa.table({"T": texts, "N": _words(RANDOM.integers(0, 10**9, ROWS))})
    assert choose_encodings(table, "zstd").levels == {"T": 3}
    for codec in set(CODECS) - {"zstd"}:
        assert choose_encodings(table, codec).levels == {}


def test_a_few_rows_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small frames are sent all day: they are not written twice to save a kilobyte."""
    monkeypatch.setattr(module, "_written", None)
    rows = pa.table({"A": ["x", "y"] * 2_000, "B": range(4_000)})
    assert choose_encodings(rows, "snappy") == ColumnEncodings(("A",))
    assert choose_encodings(rows.slice(0, 90), "snappy") == ColumnEncodings()
    assert choose_encodings(rows.slice(0, 0), "zstd") == ColumnEncodings()


def test_files_hold_what_is_certain() -> None:
    """Whatever the choice: INT96, data pages of version 1, plain or with a dictionary."""
    table = pa.table({name: make() for name, (make, _) in COLUMNS.items()})
    sink = pa.BufferOutputStream()
    with parquet_writer(sink, table.schema, "snappy", choose_encodings(table, "snappy")) as writer:
        writer.write_table(table)
    metadata = pq.read_metadata(pa.BufferReader(sink.getvalue()))
    group = metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert {column.compression for column in columns} == {"SNAPPY"}
    assert {encoding for column in columns for encoding in column.encodings} <= {
        "PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY",
    }  # fmt: skip
    assert metadata.schema.column(metadata.schema.names.index("times")).physical_type == "INT96"


def test_a_short_first_batch_decides_nothing() -> None:
    """Frames of several readers begin with few rows: those of the first row group decide."""
    cases = pa.table({"CASE": [f"case {row // 12:09}" for row in range(12_000)]})
    parts = pa.concat_tables([cases.slice(0, 1_500), cases.slice(1_500)])
    prepared = prepare(parts, "T", PushOptions.parse(upload={"compression": "zstd"}))
    prepared.begin()
    found = []
    for chunk in prepared.chunks():
        group = pq.read_metadata(pa.BufferReader(b"".join(chunk.blocks()))).row_group(0)
        found.append(group.column(0).has_dictionary_page)
    assert found == [False]
