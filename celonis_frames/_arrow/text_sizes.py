"""How long the strings of a column are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.batching import longest_view


def longest_texts(batches: Iterator[pa.RecordBatch], enough: Mapping[str, int]) -> dict[str, int]:
    """An upper bound of the characters of each column, all of which are strings.

    Bytes bound characters, so these are only counted where there are more bytes than `enough`,
    which has a number for each column. A bound above that is exact.
    """
    found = dict.fromkeys(enough, 0)
    for batch in batches:
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            known = max(found[name], enough[name])
            found[name] = max(found[name], _longest(array, known))
    return found


def _longest(array: Any, enough: int) -> int:
    """Characters of the longest string, or its bytes if these are not more than `enough`."""
    values = array
    if pa.types.is_dictionary(array.type):
        values = array.dictionary
        if _longest_bytes(values) > enough:  # a value that no row uses must not count
            values = values.take(pc.unique(array.indices).drop_null())
    size = _longest_bytes(values)
    if size <= enough:
        return size
    return pc.max(pc.utf8_length(casts.decoded(values))).as_py() or 0


def _longest_bytes(values: Any) -> int:
    if casts.is_view(values.type):
        return longest_view(values)
    return pc.max(pc.binary_length(values)).as_py() or 0
