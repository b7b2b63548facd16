"""What a call may have meant by a keyword that its function does not have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from celonis_frames._formatting import did_you_mean

_COLUMNS = 'columns={"NAME": "INTEGER"} sets a type, and columns={"NAME": 500} a length'
_CHUNKS = 'upload={"chunk_bytes": "16 MB"} sets the size of a chunk'
_HERE = {
    "if_exists": 'mode="DELTA" adds rows, mode="REPLACE" recreates the table, and mode="CREATE" '
    "only makes a new one",
    "drop_if_exists": 'mode="REPLACE" recreates the table',
    "primary_keys": "keys= names the key columns",
    "primary_key": "keys= names the key columns",
    "key": "keys= names the key columns",
    "column_config": _COLUMNS,
    "field_length": _COLUMNS,
    "dtype": _COLUMNS,
    "table_name": "table= is the name of the table",
    "data_pool": "pool= is the id or name of the Data Pool",
    "pool_id": "pool= is the id or name of the Data Pool",
    "data_source_id": "connection= is the id or name of the data connection",
    "connection_id": "connection= is the id or name of the data connection",
    "chunksize": _CHUNKS,
    "chunk_size": _CHUNKS,
    "chunk_bytes": _CHUNKS,
    "compression": 'upload={"compression": …} sets the codec',
    "workers": 'upload={"workers": …} sets the parallel uploads',
}
"""What does here what keywords of pandas, pycelonis and `Upload` do, by those keywords."""


def hint_on(function: Callable[..., Any], keywords: Iterable[str]) -> str:
    """A sentence on the first of these keywords that the function does not have, or ""."""
    taken = list(inspect.signature(function).parameters)
    unknown = next((name for name in keywords if name not in taken), None)
    if unknown is None:
        return ""
    text = _HERE.get(unknown, "")
    if text.partition("=")[0] in taken:
        return f": {text}."
    close = did_you_mean(unknown, (name for name in taken if name != "self"))
    return close and f".{close}"
