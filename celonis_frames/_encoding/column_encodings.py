"""How the columns of Parquet files are encoded: chosen by the bytes that the first rows take.

A dictionary pays where it makes a file smaller. What the codec makes of repeated values decides
that, so some rows are written both ways; only columns with very few or mostly distinct values need
no trial. The trial has fewer rows than a row group, in which values repeat more often; how many
distinct values that will have is estimated from how many half of the trial has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from celonis_frames._arrow import casts
from celonis_frames._arrow.batching import batch_bytes

GROUP_BYTES = 16_000_000
"""Largest row group, in Arrow and in the file: what a thread holds in memory beside the chunk."""

_DICTIONARY_BYTES = 4_000_000
"""Size at which a writer gives up a dictionary: that of a row group in most files."""

_MIN_ROWS = 100
"""Fewer rows get no dictionary: its page and its entry in the footer take as much as it saves."""

_TRIAL_ROWS, _MIN_TRIAL_ROWS, _TRIAL_SHARE = 5_000, 1_000, 0.25
"""Rows of a trial: a share of a small frame, so that it costs little, but not too few."""

SAMPLE_ROWS = 20_000
"""First rows that are enough to choose by. If there are fewer, they are taken for all."""

WORTH_ROWS = 5_000
"""Of fewer rows none are written twice."""

_FEW, _SOME, _MOST = 0.02, 0.5, 0.9
"""Shares of distinct values: up to the first a dictionary pays, beyond the last it does not; the
second decides without a trial."""

_DICTIONARY_GAIN, _LEVEL_GAIN = 0.05, 0.05
"""Least shares of a column's bytes that a dictionary, or a higher level of compression, must save:
both cost time."""

_HIGH_LEVELS = {"zstd": 3}
"""Levels of a codec that make long texts smaller than its lowest level does."""


@dataclass(frozen=True)
class ColumnEncodings:
    """How columns differ from plain ones at the codec's lowest level."""

    dictionaries: tuple[str, ...] = ()
    levels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """A column as it was written both ways.

    `distinct` values were among the rows, `early` ones among half of them; `value_bytes` are those
    of the distinct values in Arrow, the others those in the files.
    """

    rows: int
    distinct: int
    early: int
    value_bytes: int
    plain_bytes: int
    dictionary_bytes: int
    index_bytes: int

    def dictionary_pays(self, group_rows: int) -> bool:
        """Whether a row group of so many rows is smaller with a dictionary."""
        scale = group_rows / self.rows
        distinct = self.distinct_in(group_rows)
        growth = distinct / self.distinct
        if growth * self.value_bytes > _DICTIONARY_BYTES:
            return False
        indices = scale * self.index_bytes * _bits(distinct) / _bits(self.distinct)
        expected = growth * self.dictionary_bytes + indices
        return expected < (1 - _DICTIONARY_GAIN) * scale * self.plain_bytes

    def distinct_in(self, rows: int) -> float:
        """About how many distinct values so many rows have.

        Between the number if it grows by a power, as that of the words of a language, which is too
        high for names out of a list, and if it nears a bound, as that of such names, which is too
        low for others.
        """
        scale, later = rows / self.rows, min(self.distinct / self.early - 1, 1)
        power = self.distinct * scale ** math.log2(1 + later)
        halves = 2 * scale
        bound = self.early * (halves if later == 1 else (1 - later**halves) / (1 - later))
        return float(min(math.sqrt(power * max(bound, self.distinct)), rows))


def parquet_writer(sink: Any, schema: pa.Schema, codec: str, encodings: ColumnEncodings) -> Any:
    """A writer of files as Celonis is certain to accept them: INT96 timestamps, data pages v1."""
    return pq.ParquetWriter(
        sink,
        schema,
        compression=codec,
        compression_level=dict(encodings.levels) or None,
        use_dictionary=list(encodings.dictionaries) or False,
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        use_deprecated_int96_timestamps=True,
        data_page_version="1.0",
        store_schema=False,
        write_statistics=False,
    )


def choose_encodings(first: pa.Table, codec: str) -> ColumnEncodings:
    """The encodings for a frame, by its first rows."""
    rows, kinds = first.num_rows, dict(zip(first.schema.names, first.schema.types, strict=True))
    given, others = list[str](), list[str]()
    for name, kind in kinds.items():
        if pa.types.is_dictionary(kind):
            given.append(name)
        elif not (pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            others.append(name)
    if rows < _MIN_ROWS or not others:
        return ColumnEncodings(tuple(given))
    trial = min(max(int(_TRIAL_SHARE * rows), _MIN_TRIAL_ROWS), _TRIAL_ROWS, rows)
    sample = first.select(others).slice(0, trial)
    distinct = dict(zip(others, map(_distinct, sample.columns), strict=True))
    worth = rows >= WORTH_ROWS
    few = (_FEW if worth else _SOME) * trial
    coded = {*given, *(name for name, values in distinct.items() if len(values) <= few)}
    levels: dict[str, int] = {}
    if worth:
        open_ = {
            name: values for name, values in distinct.items() if few < len(values) <= _MOST * trial
        }
        row_bytes = sum(map(batch_bytes, first.to_batches())) / rows
        group_rows = max(trial, int(GROUP_BYTES / max(row_bytes, 1)))
        if rows < SAMPLE_ROWS:
            group_rows = min(group_rows, rows)
        coded |= _paying_dictionaries(sample, open_, codec, group_rows)
        texts = [name for name in others if name not in coded and casts.is_text(kinds[name])]
        levels = _paying_levels(sample.select(texts), codec)
    return ColumnEncodings(tuple(name for name in kinds if name in coded), levels)


def _paying_dictionaries(
    sample: pa.Table, distinct: Mapping[str, Any], codec: str, group_rows: int
) -> set[str]:
    """Those of some columns, given with their distinct values, that a dictionary makes smaller."""
    if not distinct:
        return set()
    names = tuple(distinct)
    sample = sample.select(names)
    plain = _written(sample, codec, ColumnEncodings())
    coded = _written(sample, codec, ColumnEncodings(names))
    half = sample.slice(0, sample.num_rows // 2)
    found = set()
    for name, column, before, after in zip(names, half.columns, plain, coded, strict=True):
        indices = after.total_compressed_size
        dictionary = 0
        if after.has_dictionary_page:
            dictionary = after.data_page_offset - after.dictionary_page_offset
        trial = Trial(
            rows=sample.num_rows,
            distinct=len(distinct[name]),
            early=len(_distinct(column)),
            value_bytes=distinct[name].nbytes,
            plain_bytes=before.total_compressed_size,
            dictionary_bytes=dictionary,
            index_bytes=indices - dictionary,
        )
        if trial.dictionary_pays(group_rows):
            found.add(name)
    return found


def _paying_levels(texts: pa.Table, codec: str) -> dict[str, int]:
    """The levels of compression of some columns, where a higher one than the lowest pays."""
    level, names = _HIGH_LEVELS.get(codec), texts.schema.names
    if level is None or not names:
        return {}
    low = _written(texts, codec, ColumnEncodings())
    high = _written(texts, codec, ColumnEncodings(levels=dict.fromkeys(names, level)))
    return {
        name: level
        for name, before, after in zip(names, low, high, strict=True)
        if after.total_compressed_size < (1 - _LEVEL_GAIN) * before.total_compressed_size
    }


def _written(sample: pa.Table, codec: str, encodings: ColumnEncodings) -> Sequence[Any]:
    """The columns' entries in the footer of a file of these rows."""
    sink = pa.BufferOutputStream()
    writer = parquet_writer(sink, sample.schema, codec, encodings)
    writer.write_table(sample, row_group_size=sample.num_rows)
    writer.close()
    group = pq.read_metadata(pa.BufferReader(sink.getvalue())).row_group(0)
    return [group.column(place) for place in range(sample.num_columns)]


def _distinct(column: Any) -> Any:
    return pc.unique(casts.decoded(column))


def _bits(distinct: float) -> int:
    """Bits of an index into so many values."""
    return max(1, math.ceil(math.log2(distinct)))
