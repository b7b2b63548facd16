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
    kind = array.type
    if pa.types.is_run_end_encoded(kind):
        first, runs = array.find_physical_offset(), array.find_physical_length()
        return _longest(array.values.slice(first, runs), enough)
    if pa.types.is_dictionary(kind):
        size = _longest(array.dictionary, enough)
        if size <= enough:
            return size
        used = pc.unique(array.indices).drop_null()  # a value that no row uses must not count
        return _longest(casts.decoded(array.dictionary).take(used), enough)
    size = _longest_bytes(array)
    if size <= enough:
        return size
    return pc.max(pc.utf8_length(casts.decoded(array))).as_py() or 0


def _longest_bytes(values: Any) -> int:
    if casts.is_view(values.type):
        return longest_view(values)
    return pc.max(pc.binary_length(values)).as_py() or 0
