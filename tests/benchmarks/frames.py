"""The frames that are pushed: a seeded event log of 12 columns, in four kinds of any length.

A row of it takes about 200 bytes in Arrow, half of which is a remark that a third of the log's
writers left out. It is made in pieces, so that a file of it can be written in flat memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Kind = Literal["objects", "arrow", "polars", "lazy"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TITLES: dict[Kind, str] = {
    "objects": "pandas, object strings",
    "arrow": "pandas, Arrow strings and categories",
    "polars": "polars DataFrame",
    "lazy": "polars LazyFrame over Parquet",
}

PIECE_ROWS = 1_000_000
GROUP_ROWS = 131_072
CODED = ("ACTIVITY", "USER_NAME", "ORG", "CURRENCY")
"""The columns with few different texts."""
DICTIONARY = (*CODED, "QUANTITY")
"""The columns that a dictionary makes smaller, and no slower to write."""
KEY = "DOCUMENT"
"""The column in which no two rows are the same."""

_ACTIVITIES = [
    "Create Purchase Requisition", "Approve Purchase Requisition", "Create Purchase Order",
    "Change Price", "Change Quantity", "Send Purchase Order", "Receive Order Confirmation",
    "Record Goods Receipt", "Cancel Goods Receipt", "Record Invoice Receipt", "Set Payment Block",
    "Remove Payment Block", "Clear Invoice", "Block Purchase Order Item",
]  # fmt: skip
_CURRENCIES = ["EUR", "USD", "GBP", "CHF", "PLN"]
_VOCABULARY = """\
delivery invoice supplier please check the amount differs from order by approved after
call with missing goods receipt for item price changed as agreed on phone urgent to be paid
before end of month credit note expected see mail attached contract partial shipment damaged
returned plant warehouse customs released blocked vendor master data tax code wrong corrected
manually purchase requisition confirmed delayed week quantity short over tolerance cost centre
project account clarified purchasing asks again waiting answer not valid duplicate number
reference old new bank details updated reminder sent second third level escalation"""
_PHRASES = 200_000
_EPOCH = 1_640_995_200_000_000  # 2022-01-01, in microseconds


def pieces(rows: int, *, first: int = 0) -> Iterator[pa.Table]:
    """The log in tables of up to `PIECE_ROWS` rows; each row is the same whatever `rows` is.

    Args:
        rows: How many.
        first: Number of the piece to begin with.
    """
    words = _Words()
    for number, start in enumerate(range(0, rows, PIECE_ROWS), start=first):
        yield _piece(number, words).slice(0, min(PIECE_ROWS, rows - start))


def plain(table: pa.Table) -> pa.Table:
    """The same with texts in the place of codes."""
    for position, name in enumerate(table.column_names):
        if name in CODED:
            table = table.set_column(position, name, table.column(position).cast(pa.string()))
    return table


def make(kind: Kind, rows: int, folder: Path) -> Any:
    """A frame of a kind, read from the log's file, so that little is left of its making.

    Args:
        kind: Which.
        rows: How many.
        folder: Where the file is, or is to be written.
    """
    path = write(folder, rows)
    if kind == "lazy":
        return pl.scan_parquet(path)
    if kind == "polars":
        return pl.read_parquet(path).rechunk()
    if kind == "objects":
        return _objects(path)
    table = pq.read_table(path, read_dictionary=list(CODED)).unify_dictionaries().combine_chunks()
    known = {pa.string(): pd.StringDtype("pyarrow"), pa.int64(): pd.Int64Dtype()}
    return table.to_pandas(types_mapper=known.get, self_destruct=True, split_blocks=True)


def write(folder: Path, rows: int) -> Path:
    """The log as a Parquet file of many row groups, written once, in flat memory."""
    path = folder / f"log-{rows}.parquet"
    if not path.exists():
        partial = path.with_suffix(".partial")
        writer = None
        for piece in map(plain, pieces(rows)):
            writer = writer or pq.ParquetWriter(
                partial, piece.schema, compression="zstd", store_schema=False
            )
            writer.write_table(piece, row_group_size=GROUP_ROWS)
        if writer is not None:
            writer.close()
        partial.rename(path)
    return path


class _Words:
    """What texts are put together from: two phrases and a number give a remark."""

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        vocabulary = np.array(_VOCABULARY.split(), dtype=object)
        share = 1 / np.arange(1, len(vocabulary) + 1) ** 0.6
        picked = random.choice(vocabulary, size=(_PHRASES, 6), p=share / share.sum())
        self.phrases = pa.array([" ".join(row) for row in picked], pa.string())
        self.users = pa.array([f"{'UVWXYZ'[n % 6]}{n * 7919 % 100_000:05d}" for n in range(2_000)])
        self.orgs = pa.array([f"Plant {1000 + 10 * n}" for n in range(40)])


def _piece(number: int, words: _Words) -> pa.Table:
    random = np.random.default_rng([number, 5])
    size = PIECE_ROWS
    # Cases of two to twelve events, one after the other as a query with ORDER BY gives them.
    lengths = random.integers(2, 13, size // 4)
    case = np.repeat(np.arange(len(lengths)), lengths)[:size] + number * size
    step = random.integers(60_000, 86_400_000 * 3, size)
    began = _EPOCH + (case // 40) * 3_600_000_000
    place = np.arange(size) - np.maximum.accumulate(
        np.r_[0, np.diff(case)].astype(bool) * range(size)
    )
    start = began + (place * 86_400_000 + step) * 1_000
    end = start + random.integers(1_000, 7_200_000, size) * 1_000
    amount = np.round(random.lognormal(6, 1.5, size), 2)
    quantity = random.integers(1, 500, size)
    row = np.arange(size) + number * size
    return pa.table(
        {
            "CASE_ID": _numbered("C-", case, 9),
            "ACTIVITY": _coded(_ACTIVITIES, random.integers(0, len(_ACTIVITIES), size)),
            "START_TIME": pa.array(start, pa.timestamp("us")),
            "END_TIME": pa.array(end, pa.timestamp("us"), mask=random.random(size) < 0.05),
            "USER_NAME": _coded(words.users, random.zipf(1.3, size) % len(words.users)),
            "ORG": _coded(words.orgs, random.integers(0, len(words.orgs), size)),
            "AMOUNT": pa.array(amount),
            "QUANTITY": pa.array(quantity, mask=random.random(size) < 0.02),
            "CURRENCY": _coded(_CURRENCIES, random.choice(5, size, p=[0.6, 0.2, 0.1, 0.06, 0.04])),
            "DOCUMENT": _numbered("", row * 7_368_787 % 10_000_000_019, 11),
            "FLAG": pa.array(random.random(size) < 0.1),
            "REMARK": _remarks(words.phrases, random, size),
        }
    )


def _coded(values: Any, codes: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values)


def _numbered(prefix: str, numbers: Any, digits: int) -> pa.Array:
    text = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0")
    return pc.binary_join_element_wise(prefix, text, "") if prefix else text


def _remarks(phrases: pa.Array, random: np.random.Generator, size: int) -> pa.Array:
    one, two = (phrases.take(pa.array(random.integers(0, _PHRASES, size))) for _ in range(2))
    number = pa.array(random.integers(4_500_000_000, 4_599_999_999, size)).cast(pa.string())
    text = pc.binary_join_element_wise(one, number, two, " ")
    return pc.if_else(pa.array(random.random(size) < 0.3), pa.scalar(None, pa.string()), text)


def _objects(path: Path) -> pd.DataFrame:
    """Filled row group by row group: to hold the log twice would take too much."""
    file = pq.ParquetFile(path)
    columns: dict[str, Any] = {}
    start = 0
    for number in range(file.num_row_groups):
        group = file.read_row_group(number)
        for name, column in zip(group.column_names, group.columns, strict=True):
            # As a query gives it: a missing number makes floats of whole numbers.
            values = column.to_pandas().to_numpy(object if column.type == pa.string() else None)
            if name not in columns:
                columns[name] = np.empty(file.metadata.num_rows, values.dtype)
            columns[name][start : start + group.num_rows] = values
        start += group.num_rows
    # Named here, object stays object; pandas would make it strings of Arrow.
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=values.dtype, copy=False)
            for name, values in columns.items()
        },
        copy=False,
    )
