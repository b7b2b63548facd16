"""`Celonis`: a connection to a team, and all that sends frames over it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from celonis_frames._after_push import AfterPush
from celonis_frames._connection import PlanDefaults
from celonis_frames._event_log.check import watch_event_log
from celonis_frames._event_log.columns import LogColumns
from celonis_frames._jobs.delivery import DeliveryResult
from celonis_frames._options.fields import one_of
from celonis_frames._options.push_options import (
    PushOptions,
    Verify,
    parse_on_event,
    parse_staging,
    parse_storage_options,
)
from celonis_frames._options.upload import Upload, UploadSettings
from celonis_frames._push.call_order import check_frames, check_order
from celonis_frames._push.change_set import Changes
from celonis_frames._push.codec_choice import with_planned_codec
from celonis_frames._push.object_push import push_objects
from celonis_frames._push.once import open_job_once, open_objects_once
from celonis_frames._push.outcome_notes import note_unsent
from celonis_frames._push.pipeline import push_frame
from celonis_frames._push.plan import PushPlan, plan_frame
from celonis_frames._push.progress import in_progress
from celonis_frames._push.push_many import AT_ONCE, keys_by_table, push_tables
from celonis_frames._push.resume import resume_staged
from celonis_frames._push.status import PushStatus, mark_as_delete
from celonis_frames._schema.overrides import Column, ColumnType
from celonis_frames._sources.source import Source
from celonis_frames._tables.table_reading import read_existing
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.events import Event, Operation


@short_tracebacks
class Celonis(AfterPush):
    """A connection to a Celonis team; any number of threads may share it.

    Args:
        url: Any URL of the team, pasted from the browser.
        auth: `ApiKey`, `AppKey` or `OAuth2`; it may be left out with `ingestion`.
        ingestion: `IngestionKeys`, for ``via="ingestion"``.
        verify: True, or the path of a CA file to trust instead; certificates are always checked.
        timeouts: How long to wait for the server.
        upload: How the pushes of this connection make and send chunks: an `Upload`, or a dict of
            some of its names.
        progress: Whether its pushes show a progress bar; None shows it in notebooks and terminals.
        on_event: Called with each record of its pushes, as `on_event` of `push`.

    Attributes:
        url: The base URL.
        local: The embedded local Celonis this connection started, or None.

    Raises:
        ConfigError: If one of them is invalid.
    """

    def push(
        self,
        frame: Any,
        pool: str,
        table: str,
        *,
        mode: Literal["DELTA", "REPLACE", "CREATE", "delta", "replace", "create"] = "DELTA",
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
        columns: Mapping[str, Column | ColumnType | int] | None = None,
        rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None = None,
        index: bool | None = None,
        schema_mode: Literal["align", "evolve", "freeze"] | None = None,
        missing_columns: Literal["error", "null"] | None = None,
        deduplicate_by: str | None = None,
        order_by: str | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        reload: Sequence[str] | str | None = None,
        nested: Literal["error", "json"] = "error",
        binary: Literal["error", "hex", "base64"] = "error",
        infinity: Literal["error", "null"] | None = None,
        times: Literal["utc", "local"] = "utc",
        on_bad: Literal["error", "null", "drop"] = "error",
        via: Literal["push", "ingestion"] | None = None,
        staging: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        push_id: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        client: Celonis | None = None,
        upload: Upload | UploadSettings | None = None,
    ) -> PushStatus:
        """Pushes a frame into a table of a Celonis Data Pool and returns the job's status.

        The frame is only read. Its rows are checked while they are sent: types, keys, and the
        length of every string. The job is executed only once all rows were checked; a push that
        fails before that cancels the job and leaves the table untouched.

        Args:
            frame: A pandas DataFrame, polars DataFrame or LazyFrame, pyarrow Table, RecordBatch,
                RecordBatchReader or Dataset, a Dask or Spark DataFrame, anything with
                ``__arrow_c_stream__``, an iterable of these, or a path, URL, glob or folder of
                Parquet files, or several. Streams and queries are never collected whole. Of frames
                that are read once, such as these, the chunks are kept until the push ends: in
                memory up to a bound, the others in a temporary file.
            pool: Data Pool: id, name, or a URL of it pasted from the browser.
            table: Name of the table, up to 128 UTF-8 bytes. Blanks at the ends of it and of the
                columns' names are stripped, with a warning.

        The table:
            mode: ``"DELTA"`` appends, or upserts on `keys`; ``"REPLACE"`` drops the table and
                creates it again; ``"CREATE"`` does so only if there is none. Case does not matter.
            keys: Names of the key columns, as in the frame or as in the table; they have no nulls,
                and each is named once.
            connection: Data connection: id or name; None is the pool's global schema.
            columns: Overrides by column name: a `Column`, a Celonis type (``"STRING"``) or the
                length of a string column in characters. ``Column(pseudonymise=key)`` sends
                pseudonyms of the values.
            rename: New names by old ones, or ``"snake"`` / ``"upper_snake"`` for all columns.
            index: pandas and Dask only. None sends a named index as columns and leaves out an
                unnamed one; True and False force it.
            schema_mode: ``"align"``, the default for a DELTA, sends each column with the type that
                it has in the table where no value changes: whole floats as INTEGER, exact integers
                as FLOAT, columns of nulls as any type, integers as text for STRING; other values
                are an error that names the first row. With a REPLACE it keeps the old types and
                lengths where all values fit. ``"evolve"``, the default for a REPLACE and only for
                it, takes the frame's types. ``"freeze"`` rejects every difference. The API key
                needs the scope ``integration.data-pools:read`` for it; without, types stay the
                frame's.
            missing_columns: What an upsert does whose frame lacks columns of the table, which sets
                them to NULL in the rows that it writes. ``"error"`` rejects it, also if that cannot
                be checked, and appends too; ``"null"`` sends it, with a warning. None rejects an
                upsert if the API key may read the table's columns, else it logs a warning once per
                connection.
            deduplicate_by: Of rows with the same key in this push the one with the highest value in
                this column wins (the API's ``duplicateRemovalColumn``).
            order_by: The age column, with ``via="ingestion"`` only: a row applies if its value
                there is not less than that of the row that is there. The column and `keys` are set
                up in Celonis; here they are checked: present, without nulls.
            verify: ``"schema"`` also rejects columns of another type without a value, and keys that
                the table lacks, or warns that the API key may not read the table's columns.
                ``"rows"`` counts the table's rows after the job, if the server reports them. No
                call of a Celonis team is known that does, so that there a warning says that the
                rows were not counted; the local Celonis reports them: without keys every row lost
                or doubled is detected, with keys only more rows than were there and sent, or fewer
                than the frame has different keys. None compares columns, types and string lengths
                if the API key may read them, by one call; ``"none"`` compares nothing.
            reload: Data model to load once the rows are in the table: id or name, or a list of
                them. They are looked up before anything is executed. A load that fails does not
                fail the push, whose rows are in the table: it is logged, and in the status's
                ``reload``. The API key needs *Edit* on the pool, an OAuth client the scope
                ``integration.data-pools``.

        The values:
            nested: ``"error"`` rejects lists, structs and maps; ``"json"`` sends them as JSON.
            binary: ``"error"`` rejects bytes; ``"hex"`` and ``"base64"`` send them as strings.
            infinity: ``"error"`` rejects infinite numbers; ``"null"`` sends them as null, counted
                in a warning. None does with them as `on_bad` says.
            times: ``"utc"`` stores times with a zone as their UTC instant; ``"local"`` stores the
                date and the time of day that clocks show in their zone. Celonis stores no zones.
                A warning names each column whose hours are not those of UTC.
            on_bad: What to do with values that Celonis cannot hold: ``"error"`` rejects the frame,
                ``"null"`` sends them as null, ``"drop"`` leaves their rows out. Warnings count them
                by column and reason, and the status's ``rejects`` lists where they are. A key that
                is bad or null is an error with ``"null"``; with ``"drop"`` its row is left out, and
                the table's old row stays.

        The way:
            via: ``"push"`` sends a job of the Data Push API: all or nothing. ``"ingestion"`` stores
                objects for the Data Ingestion API, which Celonis recommends for new work: they are
                loaded later, one by one, upsert or append only. None is what the connection is set
                up for: ``"push"`` if it has `auth`.
            staging: An fsspec URL. All rows are checked and all chunks written there before the
                first is sent, and `resume` can finish a push that a crash interrupted. The chunks
                of a Dask or Spark DataFrame are written by the workers: it must be storage that
                they share with this process. Spark requires it.
            storage_options: fsspec's options for the URLs of `frame` and `staging`, such as
                ``{"key": …, "secret": …}`` for S3; values may be `Secret`. Local paths get none.
                Those of one protocol can be nested under its name: ``{"sftp": {…}}``. They are
                never stored: give them to `resume` again.
            push_id: An id of what is pushed, which holds the date of the run, such as
                ``"events/2026-11-28"``; needs `staging`. The same id again sends nothing and
                returns the earlier push's status, with its ``repeated`` True and a warning; or
                finishes one that was interrupted, from its stage; or sends one again whose job
                failed. Another process that pushes under the id meanwhile is waited for. The
                receipt of the push stays at `staging`: see `prune_receipts`.
            wait: Wait until the job ends; False returns once it is submitted.
            timeout: Seconds for the whole push, all calls, the reading of the frame and `reload`
                included. If it passes before the submission, the job is cancelled, which may take 5
                seconds more; after the submission the job continues on the server.
            progress: True and False force the progress bar; None is the connection's default, else
                it is shown in notebooks and terminals.
            on_event: Called with a record of each stage, chunk, retry, wait, state of a job and
                warning: an `Event` of `celonis_frames.events`, whose `JsonLines` writes them to a
                file. It is called in a thread of its own, ``celonis-events``, with one record after
                the other; the push ends once it has taken all, 5 seconds later at most. If it
                raises an error, that is logged, and it is not called any more during this push.
                None is the connection's default.
            client: The connection to use instead of this one. The function `celonis_frames.push`
                uses the last `connect`, else the environment.
            upload: How chunks are made and sent: an `Upload`, or a dict of some of its names; None
                is the connection's default.

        Returns:
            The job's status, with its state, rows, chunks, bytes, logs, warnings, timings and
            restarts.

        Raises:
            ConfigError: No connection, or an option that makes no sense. Nothing was sent.
            FrameError: The frame cannot be sent as it is; see its subclasses. Nothing was executed.
            ApiError: A request failed. Before execution the job is cancelled.
            JobFailed: The job ended in ERROR or CANCELED, with the server's logs.
            JobTimeout: The time was up.
            UploadUncertain: The server does not have exactly the chunks sent. Nothing was executed,
                unless the message says otherwise.
        """
        connected = client or self
        options = connected._options(locals())
        check_order("push", pool, table)
        return connected._send(frame, pool, table, options)

    def push_event_log(  # noqa: D417  # the other parameters are those of `push`
        self,
        frame: Any,
        pool: str,
        table: str,
        *,
        case: str,
        activity: str,
        timestamp: str,
        end: str | None = None,
        order: str | None = None,
        model: Sequence[str] | str | None = None,
        check: Literal["error", "warn"] = "error",
        mode: Literal["DELTA", "REPLACE", "CREATE", "delta", "replace", "create"] = "DELTA",
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
        columns: Mapping[str, Column | ColumnType | int] | None = None,
        rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None = None,
        index: bool | None = None,
        schema_mode: Literal["align", "evolve", "freeze"] | None = None,
        missing_columns: Literal["error", "null"] | None = None,
        deduplicate_by: str | None = None,
        order_by: str | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        nested: Literal["error", "json"] = "error",
        binary: Literal["error", "hex", "base64"] = "error",
        infinity: Literal["error", "null"] | None = None,
        times: Literal["utc", "local"] = "utc",
        on_bad: Literal["error", "null", "drop"] = "error",
        via: Literal["push", "ingestion"] | None = None,
        staging: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        push_id: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        client: Celonis | None = None,
        upload: Upload | UploadSettings | None = None,
    ) -> PushStatus:
        """Pushes an event log into an activity table and returns the job's status.

        The rows are checked as by `check_event_log` while they are read for the push, once. Errors
        reject the frame: nothing was executed. Warnings are logged, and in the status's
        ``warnings``. The check sees the values of the frame, before `columns`, `rename` and
        `on_bad`, and with the times that ``times="local"`` makes. Parquet files are never sent
        unchanged, since every row has to be checked.

        Args:
            frame: As for `push`. All parameters not named here are those of `push`.
            pool: As for `push`.
            table: As for `push`; the activity table.
            case: Name of the column with the case id, as in the frame or as in the table.
            activity: Name of the column with the activity.
            timestamp: Name of the column with the time at which the activity happened, or began.
            end: Name of the column with the time at which it ended.
            order: Name of a column of numbers that orders events of one case at one time.
            model: Data model to load once the rows are in the table, as `reload` of `push`.
            check: ``"error"`` rejects the frame for errors of the report; ``"warn"`` pushes it,
                with a warning for each.

        Raises:
            ConfigError, ApiError, JobFailed, JobTimeout, UploadUncertain: As for `push`.
            FrameError: As for `push`, or the frame is not an event log: the message lists the
                errors.
        """
        connected = client or self
        options = connected._options(locals(), reload=model)
        check_order("push_event_log", pool, table)
        log = LogColumns.parse(
            case=case, activity=activity, timestamp=timestamp, end=end, order=order
        )
        lenient = one_of("error", "warn")("check", check) == "warn"
        watch = watch_event_log(log, lenient=lenient, rename=options.rename)
        return connected._send(frame, pool, table, options, watch)

    def _send(
        self,
        frame: Any,
        pool: str,
        table: str,
        options: PushOptions,
        watch: Callable[[Source], Source] | None = None,
    ) -> PushStatus:
        """Push a frame the way that the options say."""
        operation: Operation = "push" if watch is None else "push_event_log"
        delivered = DeliveryResult()
        with in_progress(operation, table, self.url, options) as call:
            try:
                if options.by_objects:
                    way = self._way()
                    status = push_objects(
                        way, frame, pool, table, options, progress=call, watch=watch,
                        open_once=open_objects_once(way), delivered=delivered,
                    )  # fmt: skip
                else:
                    status = push_frame(
                        self._api, frame, pool, table, options, progress=call, watch=watch,
                        open_once=open_job_once, delivered=delivered,
                    )  # fmt: skip
            except BaseException as error:
                note_unsent(error, delivered, options.staging)
                raise
            call.result = status
        return status

    def push_many(  # noqa: D417  # the other parameters are those of `push`
        self,
        frames: Mapping[str, Any],
        pool: str,
        *,
        mode: Literal["DELTA", "REPLACE", "CREATE", "delta", "replace", "create"] = "DELTA",
        keys: Sequence[str] | str | Mapping[str, Sequence[str] | str] | None = None,
        connection: str | None = None,
        columns: Mapping[str, Column | ColumnType | int] | None = None,
        rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None = None,
        index: bool | None = None,
        schema_mode: Literal["align", "evolve", "freeze"] | None = None,
        missing_columns: Literal["error", "null"] | None = None,
        deduplicate_by: str | None = None,
        order_by: str | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        reload: Sequence[str] | str | None = None,
        nested: Literal["error", "json"] = "error",
        binary: Literal["error", "hex", "base64"] = "error",
        infinity: Literal["error", "null"] | None = None,
        times: Literal["utc", "local"] = "utc",
        on_bad: Literal["error", "null", "drop"] = "error",
        via: Literal["push", "ingestion"] | None = None,
        staging: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        push_id: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        client: Celonis | None = None,
        upload: Upload | UploadSettings | None = None,
        at_once: int = AT_ONCE,
    ) -> dict[str, PushStatus]:
        """Pushes frames, each into the table of its name, and returns their status by table.

        A few tables are prepared and uploaded in parallel. Submissions keep to the team's quota,
        and one request polls all jobs. A table that fails does not stop the others.

        Args:
            frames: Frames by the names of their tables; each as for `push`. The
                names must differ in more than case, which Celonis ignores.
            pool: As for `push`. All parameters not named here are those of `push`, the same for
                every table.
            keys: As for `push`; or a mapping from tables to their keys, for those that have any.
            push_id: As for `push`; the id of each table is this one, a slash, and its name.
            reload: As for `push`; the data models are loaded once, after all tables, and are in
                each status. If a table failed, none is loaded; a note of the error says so.
            timeout: Seconds for all tables together; no table is begun after that.
            at_once: Tables at the same time. 3 keeps two cores busy while others upload; memory
                grows with it.

        Raises:
            ConfigError, FrameError, ApiError, JobFailed, JobTimeout, UploadUncertain: As for
                `push`, of the first table that failed. Its notes, and those of an interruption or
                of an error of your own frames, name the other tables: which failed, which were
                pushed, which jobs continue on the server, and which were not begun.
        """
        connected, call = client or self, locals()
        check_frames(frames, at_once)
        keys_of = keys_by_table(keys, frames)
        return push_tables(
            connected._api,
            frames,
            pool,
            lambda table: connected._options(call, keys=keys_of(table)),
            at_once=at_once,
            way=connected._way_of(connected._options(call, keys=None)),
        )

    def changes(  # noqa: D417  # the other parameters are those of `push`
        self,
        pool: str,
        table: str,
        *,
        keys: Sequence[str] | str,
        connection: str | None = None,
        columns: Mapping[str, Column | ColumnType | int] | None = None,
        rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None = None,
        index: bool | None = None,
        schema_mode: Literal["align", "freeze"] | None = None,
        missing_columns: Literal["error", "null"] | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        reload: Sequence[str] | str | None = None,
        nested: Literal["error", "json"] = "error",
        binary: Literal["error", "hex", "base64"] = "error",
        infinity: Literal["error", "null"] | None = None,
        times: Literal["utc", "local"] = "utc",
        on_bad: Literal["error", "null", "drop"] = "error",
        staging: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        push_id: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        client: Celonis | None = None,
        upload: Upload | UploadSettings | None = None,
    ) -> Changes:
        """Collects upserts and deletes that take effect together, as one job.

        ::

            with celonis.changes("Purchasing", "EVENTS", keys="EVENT_ID") as changes:
                changes.upsert(new)
                changes.delete(gone)

        They are sent when the block ends, and applied in the order given; the status is then
        ``changes.status``.

        Args:
            pool: As for `push`. All parameters not named here are those of `push`.
            table: As for `push`.
            keys: As for `push`; they identify the rows to upsert and to delete.
            on_bad: As for `push`, for the rows to upsert; a bad key to delete is always an error.
            upload: As for `push`; chunks are uploaded one at a time, since their order matters.

        Raises:
            ConfigError: An option that makes no sense.
        """
        connected = client or self
        options = connected._options(locals(), mode="DELTA")
        check_order("changes", pool, table, frame=False)
        one_by_one = options.upload.changed({"workers": 1})
        return Changes(connected._api, pool, table, replace(options, upload=one_by_one))

    def delete(  # noqa: D417  # the other parameters are those of `push`
        self,
        frame: Any,
        pool: str,
        table: str,
        *,
        keys: Sequence[str] | str,
        connection: str | None = None,
        columns: Mapping[str, Column | ColumnType | int] | None = None,
        rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None = None,
        index: bool | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        reload: Sequence[str] | str | None = None,
        binary: Literal["error", "hex", "base64"] = "error",
        times: Literal["utc", "local"] = "utc",
        staging: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        push_id: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        client: Celonis | None = None,
        upload: Upload | UploadSettings | None = None,
    ) -> PushStatus:
        """Deletes the rows whose keys are in the frame and returns the job's status.

        Only the key columns are read and sent. Keys that the table does not have are no error.

        Args:
            frame: As for `push`; columns other than the keys may have any name and type.
            pool: As for `push`. All parameters not named here are those of `push`.
            table: As for `push`.
            keys: Names of the key columns with which the table was pushed.
            columns: As for `push`; keys that were pushed as pseudonyms need the same
                ``Column(pseudonymise=key)`` here, or they match no row.

        Raises:
            ConfigError, FrameError, ApiError, JobFailed, JobTimeout, UploadUncertain: As for
                `push`.
        """
        connected = client or self
        options = connected._options(locals(), mode="DELTA")
        check_order("delete", pool, table)
        delivered = DeliveryResult()
        with in_progress("delete", table, connected.url, options) as call:
            try:
                status = mark_as_delete(push_frame(
                    connected._api, frame, pool, table, options, progress=call, deleted=True,
                    open_once=open_job_once, delivered=delivered,
                ))  # fmt: skip
            except BaseException as error:
                note_unsent(error, delivered, options.staging)
                raise
            call.result = status
        return status

    def plan(  # noqa: D417  # the other parameters are those of `push`
        self: Celonis | PlanDefaults | None,
        frame: Any,
        pool: str,
        table: str,
        *,
        mode: Literal["DELTA", "REPLACE", "CREATE", "delta", "replace", "create"] = "DELTA",
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
        columns: Mapping[str, Column | ColumnType | int] | None = None,
        rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None = None,
        index: bool | None = None,
        schema_mode: Literal["align", "evolve", "freeze"] | None = None,
        missing_columns: Literal["error", "null"] | None = None,
        deduplicate_by: str | None = None,
        order_by: str | None = None,
        reload: Sequence[str] | str | None = None,
        nested: Literal["error", "json"] = "error",
        binary: Literal["error", "hex", "base64"] = "error",
        infinity: Literal["error", "null"] | None = None,
        times: Literal["utc", "local"] = "utc",
        on_bad: Literal["error", "null", "drop"] = "error",
        via: Literal["push", "ingestion"] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        client: Celonis | None = None,
        upload: Upload | UploadSettings | None = None,
    ) -> PushPlan:
        """Reports what `push` would do with the same parameters; sends nothing.

        All rows are read and measured, as in a push; chunks and bytes are estimated from the first
        rows encoded. A stream that can be read only once is left unread. The function
        `celonis_frames.plan` needs no connection, and uses only the one of ``client=``. With a
        connection the frame is compared with the table that is there, by one call: see
        `PushPlan.differences`.

        Args:
            frame: As for `push`. All parameters not named here are those of `push`.
            pool: Without a connection it is not looked up, and may be empty.
            table: As for `push`.
            connection: As for `push`; not looked up without a connection.
            reload: As for `push`; not looked up.
            client: The connection to use instead of this one; the function needs none.

        Raises:
            ConfigError, FrameError: Those that `push` would raise before it sends, but for what the
                comparison with the table shows.
            ApiError: The pool, the data connection or the table's columns cannot be looked up; a
                key that may not read the columns gives a warning.
        """
        connected = self if client is None else client
        defaults = connected.defaults if isinstance(connected, Celonis) else connected
        check_order("plan", pool, table)
        only_objects = defaults is not None and defaults.only_objects
        options = PushOptions.from_call(
            locals(), Upload() if defaults is None else defaults.upload,
            **({"via": "ingestion"} if only_objects and via is None else {}),
        )  # fmt: skip
        if defaults is not None:
            options = with_planned_codec(defaults.url, pool, options)
        if only_objects or not isinstance(connected, Celonis):
            return plan_frame(frame, table, options)
        read = partial(read_existing, connected._api, pool, options)
        return plan_frame(frame, table, options, read)

    def resume(
        self,
        staging: str | os.PathLike[str],
        *,
        storage_options: Mapping[str, Any] | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        client: Celonis | None = None,
    ) -> list[PushStatus]:
        """Finishes pushes that were staged and did not end, and returns their status.

        For after a crash, a kill or a lost network: the chunks that `push(…, staging=…)` had
        written are sent from there, without reading the frame again. A job that was submitted is
        not submitted again, only followed; one that was cancelled is created again. The stage of a
        push that is finished is removed. The data models of its ``reload=`` are not loaded: call
        `reload` then.

        Args:
            staging: The fsspec URL that was given to `push`, or one push's own folder in it.
            storage_options: As for `push`: fsspec's options for the URL.
            wait: As for `push`.
            timeout: Seconds for all of them; as for `push`.
            progress: As for `push`.
            on_event: As for `push`; each push has records of its own besides those of this call.
            client: As for `push`; a connection to the same team.

        Raises:
            ConfigError: Nothing is staged there, it is for another team, or another process works
                on it.
            FrameError: The stage is not complete: the frame was not read to its end. Nothing was
                sent.
            ApiError: A request failed; the stage stays.
            JobFailed: The job ended in ERROR or CANCELED while it was polled.
            JobTimeout: The time was up.
            UploadUncertain: Which chunks arrived cannot be determined. Nothing was executed, unless
                the message says otherwise.
        """
        connected = client or self
        shown = connected._progress if progress is None else progress
        reported = parse_on_event("on_event", on_event)
        return resume_staged(
            connected._api,
            parse_staging("staging", staging) or "",
            way=connected._way() if connected._gateway is not None else None,
            storage_options=parse_storage_options("storage_options", storage_options),
            wait=wait,
            timeout=timeout,
            progress=shown,
            on_event=connected._on_event if reported is None else reported,
        )
