"""The functions users call: `push`, `push_many`, `delete`, `resume` and `plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celonis_frames._client import Celonis
from celonis_frames._connect import current
from celonis_frames._push.options import (
    Compression,
    FileType,
    Mode,
    PushOptions,
    UpsertStrategy,
    Verify,
)
from celonis_frames._push.plan import PushPlan, plan_frame
from celonis_frames._push.push_many import AT_ONCE
from celonis_frames._push.status import PushStatus
from celonis_frames._schema.names import Rename
from celonis_frames._schema.overrides import ColumnOverride


def push(
    frame: Any,
    pool: str,
    table: str,
    *,
    mode: Mode = "DELTA",
    keys: Sequence[str] | str | None = None,
    connection: str | None = None,
    columns: Mapping[str, ColumnOverride] | None = None,
    index: bool | None = None,
    rename: Rename | None = None,
    nested: str = "error",
    binary: str = "error",
    infinity: str = "error",
    file_type: FileType = "PARQUET",
    compression: Compression = "snappy",
    chunk_bytes: int | str | None = None,
    staging: str | None = None,
    workers: int | None = None,
    deduplicate_by: str | None = None,
    upsert_strategy: UpsertStrategy | None = None,
    job_options: Mapping[str, Any] | None = None,
    verify: Sequence[Verify] | Verify | None = None,
    wait: bool = True,
    timeout: float | None = None,
    progress: bool | None = None,
    client: Celonis | None = None,
) -> PushStatus:
    """Pushes a frame into a table of a Celonis Data Pool and returns the job's status.

    The frame is read only. All rows are checked before the first byte is sent: names, types, keys,
    and the length of every text, which the table's columns then get. A push that fails before
    the job is executed cancels the job and leaves the table untouched.

    Args:
        frame: A pandas DataFrame, polars DataFrame or LazyFrame, pyarrow Table, RecordBatch,
            RecordBatchReader or Dataset, anything with ``__arrow_c_stream__``, an iterable of
            these, or a path, URL or glob of Parquet files. Streams and queries are never
            collected whole; the chunks of what is read only once are kept until they are sent, in
            memory or, beyond half of `chunk_bytes` * (`workers` + 1), in a temporary folder.
        pool: Data Pool: id, name, or its address pasted from the browser.
        table: Name of the table, up to 128 UTF-8 bytes.
        mode: ``"DELTA"`` appends, or upserts on `keys`; ``"REPLACE"`` drops the table and makes
            it anew. Case does not matter.
        keys: Names of the key columns; no nulls, each named once.
        connection: Data connection: id or name; None is the pool's global schema.
        columns: Overrides by column name: a `Column`, a Celonis type (``"STRING"``) or a text
            length in characters.
        index: pandas only: None sends a named index as columns and leaves an unnamed one; True and
            False force it.
        rename: New names by old ones, or ``"snake"`` / ``"upper_snake"``.
        nested: ``"error"`` refuses lists, structs and maps; ``"json"`` sends them as JSON text.
        binary: ``"error"`` refuses bytes; ``"hex"`` and ``"base64"`` send them as text.
        infinity: ``"error"`` refuses infinite numbers; ``"null"`` sends them as null, counted in
            a warning.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Parquet codec. Only ``"snappy"``, which is certain, and ``"none"`` are known to
            be accepted.
        chunk_bytes: Size of a finished chunk, in bytes or as ``"256 MB"``, at most 1 GB; less than
            10,000 bytes only with a unit (``"5 KB"``). None is what suits the frame: 8 to 32 MB,
            the first ones less; large enough for few requests, small enough to overlap encoding
            and upload.
        staging: An fsspec URL; all chunks are written there before the first is sent, so that
            the frame is read once, and `resume` can finish a push that a crash interrupted.
        workers: Uploads at a time. None is 4; it is 1 where rows may share a key, since the last
            of them wins: where they do, and where the keys are too many to be counted, or the
            chunks are made while they still are (streams, pandas objects, `staging`).
        deduplicate_by: Of rows with the same key in this push the one with the highest value in
            this column wins (the API's ``duplicateRemovalColumn``).
        upsert_strategy: What happens to columns that the frame does not have, as the API names it.
        job_options: Further fields of the job by their API names.
        verify: ``"schema"`` compares types and text lengths with the table, and looks for the key
            columns there, before anything is sent; it says where it may not look. ``"rows"`` counts
            the table's rows after the job, where the server tells them (the local Celonis does):
            without keys it sees every row lost or doubled, with keys only more rows than were there
            and sent, or fewer than there are different keys in the frame. None compares the text
            lengths of a DELTA where the key may look, since a table keeps the lengths it was made
            with; ``"none"`` does not.
        wait: Wait for the job's end; False returns once it is submitted.
        timeout: Seconds for all of it. While uploading, the job is cancelled; after that it goes
            on at the server.
        progress: True and False force the progress bar; None shows it in notebooks and terminals.
        client: The connection; None is the last `connect`, else the environment.

    Returns:
        The job's status: state, rows, chunks, bytes, logs, warnings and timings.

    Raises:
        ConfigError: No connection, or a parameter that makes no sense. Nothing was sent.
        FrameError: The frame cannot be sent as it is; see its subclasses. Nothing was executed.
        ApiError: A call failed. Before execution the job is cancelled.
        JobFailed: The job ended in ERROR or CANCELED, with the server's logs.
        JobTimeout: The time was up.
        UploadUncertain: The server does not have exactly the chunks sent; nothing was executed.
    """
    connected = client if client is not None else current()
    return connected.push(
        frame,
        pool,
        table,
        mode=mode,
        keys=keys,
        connection=connection,
        columns=columns,
        index=index,
        rename=rename,
        nested=nested,
        binary=binary,
        infinity=infinity,
        file_type=file_type,
        compression=compression,
        chunk_bytes=chunk_bytes,
        staging=staging,
        workers=workers,
        deduplicate_by=deduplicate_by,
        upsert_strategy=upsert_strategy,
        job_options=job_options,
        verify=verify,
        wait=wait,
        timeout=timeout,
        progress=progress,
    )


def push_many(
    frames: Mapping[str, Any],
    pool: str,
    *,
    mode: Mode = "DELTA",
    keys: Sequence[str] | str | Mapping[str, Sequence[str] | str] | None = None,
    connection: str | None = None,
    columns: Mapping[str, ColumnOverride] | None = None,
    index: bool | None = None,
    rename: Rename | None = None,
    nested: str = "error",
    binary: str = "error",
    infinity: str = "error",
    file_type: FileType = "PARQUET",
    compression: Compression = "snappy",
    chunk_bytes: int | str | None = None,
    staging: str | None = None,
    workers: int | None = None,
    deduplicate_by: str | None = None,
    upsert_strategy: UpsertStrategy | None = None,
    job_options: Mapping[str, Any] | None = None,
    verify: Sequence[Verify] | Verify | None = None,
    wait: bool = True,
    timeout: float | None = None,
    progress: bool | None = None,
    at_once: int = AT_ONCE,
    client: Celonis | None = None,
) -> dict[str, PushStatus]:
    """Pushes many frames, each into the table of its name, and returns their status by table.

    Some tables are made ready and uploaded at a time; submissions keep to the team's quota, and all
    jobs are followed with one question a round. One that fails does not stop the others.

    Args:
        frames: Frames by the names of their tables; each as for `push`.
        pool: As for `push`.
        mode: As for `push`; the same for all.
        keys: As for `push`; or a mapping from tables to their keys, for those that have any.
        connection: As for `push`.
        columns: As for `push`; every table must have the columns named.
        index: As for `push`.
        rename: As for `push`; a mapping must fit every table.
        nested: As for `push`.
        binary: As for `push`.
        infinity: As for `push`.
        file_type: As for `push`.
        compression: As for `push`.
        chunk_bytes: As for `push`.
        staging: As for `push`.
        workers: As for `push`, for each table.
        deduplicate_by: As for `push`.
        upsert_strategy: As for `push`.
        job_options: As for `push`.
        verify: As for `push`.
        wait: As for `push`.
        timeout: Seconds for all of them together; a table not begun by then is not begun.
        progress: As for `push`.
        at_once: Tables at the same time. 3 keeps two cores busy while others wait for the line;
            memory grows with it.
        client: As for `push`.

    Raises:
        ConfigError, FrameError, ApiError, JobFailed, JobTimeout, UploadUncertain: As for `push`, of
            the first table that failed. Its notes, and those of an interruption or of an error of
            your own frames, tell of the others: which failed, which were pushed, which jobs run on
            at the server, and which tables were not begun.
    """
    connected = client if client is not None else current()
    return connected.push_many(
        frames,
        pool,
        mode=mode,
        keys=keys,
        connection=connection,
        columns=columns,
        index=index,
        rename=rename,
        nested=nested,
        binary=binary,
        infinity=infinity,
        file_type=file_type,
        compression=compression,
        chunk_bytes=chunk_bytes,
        staging=staging,
        workers=workers,
        deduplicate_by=deduplicate_by,
        upsert_strategy=upsert_strategy,
        job_options=job_options,
        verify=verify,
        wait=wait,
        timeout=timeout,
        progress=progress,
        at_once=at_once,
    )


def delete(
    frame: Any,
    pool: str,
    table: str,
    *,
    keys: Sequence[str] | str,
    connection: str | None = None,
    columns: Mapping[str, ColumnOverride] | None = None,
    index: bool | None = None,
    rename: Rename | None = None,
    binary: str = "error",
    file_type: FileType = "PARQUET",
    compression: Compression = "snappy",
    chunk_bytes: int | str | None = None,
    staging: str | None = None,
    workers: int | None = None,
    job_options: Mapping[str, Any] | None = None,
    verify: Sequence[Verify] | Verify | None = None,
    wait: bool = True,
    timeout: float | None = None,
    progress: bool | None = None,
    client: Celonis | None = None,
) -> PushStatus:
    """Deletes the rows whose keys are in the frame and returns the job's status.

    Only the key columns are sent. Keys that the table does not have are no error.

    Args:
        frame: As for `push`; other columns than the keys are ignored.
        pool: As for `push`.
        table: As for `push`.
        keys: Names of the key columns, as the table was pushed with.
        connection: As for `push`.
        columns: As for `push`.
        index: As for `push`.
        rename: As for `push`.
        binary: As for `push`.
        file_type: As for `push`.
        compression: As for `push`.
        chunk_bytes: As for `push`.
        staging: As for `push`.
        workers: As for `push`.
        job_options: As for `push`.
        verify: As for `push`.
        wait: As for `push`.
        timeout: As for `push`.
        progress: As for `push`.
        client: As for `push`.

    Raises:
        ConfigError, FrameError, ApiError, JobFailed, JobTimeout, UploadUncertain: As for `push`.
    """
    connected = client if client is not None else current()
    return connected.delete(
        frame,
        pool,
        table,
        keys=keys,
        connection=connection,
        columns=columns,
        index=index,
        rename=rename,
        binary=binary,
        file_type=file_type,
        compression=compression,
        chunk_bytes=chunk_bytes,
        staging=staging,
        workers=workers,
        job_options=job_options,
        verify=verify,
        wait=wait,
        timeout=timeout,
        progress=progress,
    )


def resume(
    staging: str,
    *,
    wait: bool = True,
    timeout: float | None = None,
    progress: bool | None = None,
    client: Celonis | None = None,
) -> list[PushStatus]:
    """Finishes pushes that were staged and not ended, and returns their status.

    For after a crash, a kill or a lost network: what `push(…, staging=…)` had written is sent from
    there, without reading the frame again. A job that had been submitted already is not submitted
    again, only followed; one that was cancelled is begun anew. What is finished is cleaned up.

    Args:
        staging: The fsspec URL that was given to `push`, or one push's own folder in it.
        wait: As for `push`.
        timeout: Seconds for all of them; as for `push`.
        progress: As for `push`.
        client: The connection, to the same team; None is the last `connect`, else the environment.

    Raises:
        ConfigError: Nothing is staged there, it is for another team, or another process is at it.
        FrameError: The stage is not complete: the frame was not read to its end. Nothing was sent.
        ApiError: A call failed; the stage stays.
        JobFailed: The job ended in ERROR, or was canceled while it was followed.
        JobTimeout: The time was up.
        UploadUncertain: What arrived cannot be settled; nothing was executed.
    """
    connected = client if client is not None else current()
    return connected.resume(staging, wait=wait, timeout=timeout, progress=progress)


def plan(
    frame: Any,
    pool: str,
    table: str,
    *,
    mode: Mode = "DELTA",
    keys: Sequence[str] | str | None = None,
    connection: str | None = None,
    columns: Mapping[str, ColumnOverride] | None = None,
    index: bool | None = None,
    rename: Rename | None = None,
    nested: str = "error",
    binary: str = "error",
    infinity: str = "error",
    file_type: FileType = "PARQUET",
    compression: Compression = "snappy",
    chunk_bytes: int | str | None = None,
    deduplicate_by: str | None = None,
    upsert_strategy: UpsertStrategy | None = None,
) -> PushPlan:
    """Tells what `push` would do with the same parameters; sends nothing, needs no connection.

    All rows are read once and measured, as in a push; chunks and bytes are estimated from the first
    rows encoded. A stream that can be read only once is left unread.

    Args:
        frame: As for `push`.
        pool: Not looked up; there so that the call reads like the push it stands for.
        table: As for `push`.
        mode: As for `push`.
        keys: As for `push`.
        connection: Not looked up.
        columns: As for `push`.
        index: As for `push`.
        rename: As for `push`.
        nested: As for `push`.
        binary: As for `push`.
        infinity: As for `push`.
        file_type: As for `push`.
        compression: As for `push`.
        chunk_bytes: As for `push`.
        deduplicate_by: As for `push`.
        upsert_strategy: As for `push`.

    Raises:
        ConfigError, FrameError: What `push` would raise before it sends.
    """
    del pool
    options = PushOptions(
        mode=mode,
        keys=keys,
        connection=connection,
        columns=columns,
        index=index,
        rename=rename,
        nested=nested,
        binary=binary,
        infinity=infinity,
        file_type=file_type,
        compression=compression,
        chunk_bytes=chunk_bytes,
        deduplicate_by=deduplicate_by,
        upsert_strategy=upsert_strategy,
    )
    return plan_frame(frame, table, options)
