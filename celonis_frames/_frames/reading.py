"""How a frame is read: what is known before its job is created, and what becomes of its chunks.

`choose_reading` decides. A job is created with the length of every text column, so at least these
must be known or estimated before; everything else is checked while the rows are encoded, and is
known before the job is executed. Objects cannot be recalled, so that all rows are checked before
the first is stored: a frame that is cheap to read is read a second time for that, while its chunks
are sent, since to keep these costs more.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Reading(enum.Enum):
    """How a frame is read."""

    ALL_FIRST = "all rows are checked and encoded before anything is sent"
    CHECKED_FIRST = "all rows are checked, then read again and encoded while they are sent"
    LENGTHS_FIRST = "text columns are read for their lengths, then all rows while they are sent"
    ONCE = "all rows are read once, while they are sent; lengths are estimated by the first rows"


class Facts(NamedTuple):
    """What `choose_reading` has to know of a frame."""

    one_chunk: bool  # the frame is one small chunk
    stored_first: bool  # the chunks go to a stage, or wait for other frames of the same job
    checked_first: bool  # nothing may be sent before all rows were checked
    cheap_lengths: bool  # the lengths of its text columns show without reading all of it
    cheap_rows: bool  # it lies in memory, and its values are quickly read and converted
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
    if facts.checked_first:
        if facts.cheap_rows:
            return Choice(Reading.CHECKED_FIRST, keeps=False)
        return Choice(Reading.ALL_FIRST, keeps=True)
    if facts.cheap_lengths:
        return Choice(Reading.LENGTHS_FIRST, keeps=facts.ordered)
    return Choice(Reading.ONCE, keeps=True)


_IN_MEMORY = "pyarrow Table, polars DataFrame, pandas DataFrame without Python objects"

_JOB = Facts(
    one_chunk=False,
    stored_first=False,
    checked_first=False,
    cheap_lengths=True,
    cheap_rows=True,
    ordered=False,
)
_OBJECTS = _JOB._replace(checked_first=True)

FRAMES = (
    ("a small one: up to 100,000 values and 1 MB", _JOB._replace(one_chunk=True)),
    ("any with `staging=`, and those of `changes`", _JOB._replace(stored_first=True)),
    (f"{_IN_MEMORY}, Parquet files", _JOB._replace(cheap_rows=False)),
    ("the same with keys", _JOB._replace(cheap_rows=False, ordered=True)),
    (
        "LazyFrame, Dataset, stream, Python objects; with text that has to be converted for its "
        "length (JSON, floats)",
        _JOB._replace(cheap_lengths=False, cheap_rows=False),
    ),
    (f'`via="ingestion"`: {_IN_MEMORY}', _OBJECTS),
    ("the same with keys", _OBJECTS._replace(ordered=True)),
    (
        '`via="ingestion"`: any other, Parquet files as well; with pseudonyms, or with text that '
        "has to be converted",
        _OBJECTS._replace(cheap_rows=False),
    ),
)
"""The frames that the documentation tells apart; its table is made of them."""
