"""The fields of a job as the API expects them, from its frames."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celonis_frames._encoding.csv_writer import CSV_OPTIONS
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH

MARK = "fallbackVarcharLength"
"""The field with a random number by which jobs are recognised, unless the caller sets it."""


def job_mark(
    frames: Sequence[PreparedFrame], connection_id: str | None, options: PushOptions
) -> dict[str, Any]:
    """The fields by which the jobs of one push are recognised.

    ``fallbackVarcharLength`` is for text columns without a length. Ours have one; if a server
    ignores it, the fallback keeps strings from being cut at 80 characters. Any value up to 65,000
    is allowed (Kafka sink), so a random one that is long enough also marks the job as ours, in case
    the response to its creation is lost.
    """
    return {
        "targetName": frames[0].table,
        "type": "REPLACE" if options.replaces else "DELTA",
        "connectionId": connection_id,
        MARK: secrets.randbelow(65_000 - MAX_TEXT_LENGTH) + MAX_TEXT_LENGTH + 1,
    }


def job_body(
    frames: Sequence[PreparedFrame],
    pool_id: str,
    options: PushOptions,
    mark: Mapping[str, Any],
    check: Callable[[], None],
) -> dict[str, Any]:
    """The job's fields by their API names, with every column's type and length.

    `check` is called while the lengths are not known yet, and raises to end the wait.
    """
    lengths: dict[str, int] = {}
    shown = frames[0]
    for frame in frames:
        if shown.deleted:
            shown = frame  # keys to delete are columns of the frames to upsert, if there are any
        for name, length in frame.lengths(check).items():
            lengths[name] = max(length, lengths.get(name, 0))
    body: dict[str, Any] = {
        **mark,
        "fileType": options.upload.file_type,
        "dataPoolId": pool_id,
        "keys": list(shown.layout.keys),
        "tableSchema": shown.layout.table_schema(shown.table, lengths),
    }
    if options.upload.file_type == "CSV":
        body["csvParsingOptions"] = dict(CSV_OPTIONS)
    further = dict(options.upload.job_options)
    if shown.deleted:
        further.pop("upsertStrategy", None)  # nothing is upserted
    return body | further
