"""How a frame is read: what is known before its job is created, and what becomes of its chunks.

`choose_reading` decides. The job is created with the length of every text column, so at least these
must be known or estimated before; everything else is checked while the rows are encoded, and is
known before the job is executed.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Reading(enum.Enum):
    """How a frame is read."""

    ALL_FIRST = "all rows are checked and encoded before the job is created"
    LENGTHS_FIRST = "text columns are read for their lengths, then all rows while they are sent"
    ONCE = "all rows are read once, while they are sent; lengths are estimated by the first rows"


class Facts(NamedTuple):
    """What `choose_reading` has to know of a frame."""

    one_chunk: bool  # the frame is one small chunk
    stored_first: bool  # the chunks go to a stage, or wait for other frames of the same job
    cheap_lengths: bool  # the lengths of its text columns show without reading all of it
    ordered: bool  # the order of its rows matters, unless all keys turn out to differ


class Choice(NamedTuple):
    """How a frame is read, and whether its chunks are kept until the push ends."""

    reading: Reading
    keeps: bool


def choose_reading(facts: Facts) -> Choice:
    """How a frame is read.

    Chunks are kept if they cannot or should not be made again, and if they wait for each other:
    the sooner all rows were read, the sooner it is known that several can be sent at a time.
    """
    if facts.one_chunk or facts.stored_first:
        return Choice(Reading.ALL_FIRST, keeps=True)
    if facts.cheap_lengths:
        return Choice(Reading.LENGTHS_FIRST, keeps=facts.ordered)
    return Choice(Reading.ONCE, keeps=True)


FRAMES = (
    ("a small one: up to 100,000 values and 1 MB", Facts(True, False, True, False)),
    ("any with `staging=`, and those of `changes`", Facts(False, True, True, False)),
    (
        "pyarrow Table, polars DataFrame, pandas DataFrame without Python objects, Parquet files",
        Facts(False, False, True, False),
    ),
    ("the same with keys", Facts(False, False, True, True)),
    (
        "LazyFrame, Dataset, stream, Python objects; with text that has to be converted for its "
        "length (JSON, floats)",
        Facts(False, False, False, False),
    ),
)
"""The frames that the documentation tells apart; its table is made of them."""
