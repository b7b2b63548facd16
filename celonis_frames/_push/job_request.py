"""A job as the API wants it, from the frames that it is to hold."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from celonis_frames._encoding.csv_writer import CSV_OPTIONS
from celonis_frames._push.options import PushOptions
from celonis_frames._push.prepared_frame import PreparedFrame
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH

__all__ = ["job_body"]


def job_body(
    frames: Sequence[PreparedFrame],
    pool_id: str,
    table: str,
    connection_id: str | None,
    options: PushOptions,
) -> dict[str, Any]:
    """The job as the API wants it, with every column's type and length.

    ``fallbackVarcharLength`` is for text columns that have no length of their own. Ours have one;
    should a server pass it over, the fallback keeps texts from being cut at 80 characters. It may
    be anything up to 65,000 (Kafka sink), so it is drawn at random from what is long enough, and
    tells a job of ours from all others, should the answer to its creation get lost.

    Args:
        frames: What the job is to hold; those with rows to upsert have the same columns.
        pool_id: The pool.
        table: Name of the table.
        connection_id: The data connection; None is the pool's global schema.
        options: How it is to be sent.
    """
    # Keys to delete are columns of the rows to upsert, if there are any.
    shown = next((frame for frame in frames if not frame.deleted), frames[0])
    lengths: dict[str, int] = {}
    for frame in frames:
        for name, length in frame.measure.lengths().items():
            lengths[name] = max(length, lengths.get(name, 0))
    body: dict[str, Any] = {
        "targetName": table,
        "type": options.mode,
        "fileType": options.file_type,
        "dataPoolId": pool_id,
        "connectionId": connection_id,
        "keys": list(shown.layout.keys),
        "tableSchema": shown.layout.table_schema(table, lengths),
        "fallbackVarcharLength": secrets.randbelow(65_000 - MAX_TEXT_LENGTH) + MAX_TEXT_LENGTH + 1,
    }
    if options.file_type == "CSV":
        body["csvParsingOptions"] = dict(CSV_OPTIONS)
    if options.upsert_strategy is not None and not shown.deleted:
        body["upsertStrategy"] = options.upsert_strategy
    return body | dict(options.job_options or {})
