"""Upserts and deletes in one job, which takes effect as a whole or not at all."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Self

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.data_models import DataModel
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._formatting import counted
from celonis_frames._frames.preparation import prepare
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.codec_choice import with_codec
from celonis_frames._push.once import open_job_once
from celonis_frames._push.pipeline import limit, look_at_table, push_prepared
from celonis_frames._push.progress import Progress
from celonis_frames._push.reloading import find_models
from celonis_frames._push.status import PushStatus
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames._tables.fitting import fit
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.exceptions import ConfigError, FrameError


@short_tracebacks
class Changes:
    """Rows to upsert and keys to delete, collected and then sent as one job. See `Celonis.changes`.

    Frames are checked when they are added and sent when the ``with`` block ends, unless it ends
    with an error. They are applied in the order in which they were added.
    """

    def __init__(self, api: DataPushApi, pool: str, table: str, options: PushOptions) -> None:
        self._api, self._pool, self._table = api, pool, table
        self._options = options
        self._frames: list[PreparedFrame] = []
        self._layouts: list[TableLayout] = []  # as they are by themselves
        self._existing: ExistingTable | None = None
        self._models: tuple[DataModel, ...] | None = None
        self._spool = ChunkSpool(MemoryBudget(options.spool_memory))
        self._status: PushStatus | None = None
        self._entered = self._open = False
        self._progress: Progress | None = None

    @property
    def status(self) -> PushStatus:
        """The job's status, after the ``with`` block.

        Raises:
            ConfigError: Nothing was sent: the block has not ended, or no frame was added.
        """
        if self._status is None:
            raise ConfigError(
                "There is no status: the changes are sent when the with block ends, and only if a "
                "frame was added."
            )
        return self._status

    def upsert(self, frame: Any) -> None:
        """Add rows that replace the rows with the same keys, or are new.

        Args:
            frame: As for `celonis_frames.push`; all frames to upsert have the same columns, in
                any order.

        Raises:
            FrameError, ConfigError: The frame cannot be sent; see `celonis_frames.push`.
        """
        with self._adding():
            self._add(frame, deleted=False)

    def delete(self, frame: Any) -> None:
        """Add the keys of rows to delete.

        Args:
            frame: As for `celonis_frames.push`; other columns than the keys are ignored.

        Raises:
            FrameError, ConfigError: The frame cannot be sent; see `celonis_frames.delete`.
        """
        with self._adding():
            self._add(frame, deleted=True)

    def __repr__(self) -> str:
        if self._status is not None:
            return f"<Changes of {self._table!r}: sent, job {self._status.job_id}>"
        upserts = sum(not one.deleted for one in self._frames)
        added = (
            f"{counted(upserts, 'frame')} to upsert, "
            f"{counted(len(self._frames) - upserts, 'frame')} of keys to delete"
        )
        return f"<Changes of {self._table!r}: {added}{'' if self._open else ', not open'}>"

    def __enter__(self) -> Self:
        self._entered = self._open = True
        self._progress = Progress("changes", self._table, self._api.url, self._options)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._open, progress = False, self._progress
        assert progress is not None  # noqa: S101  # the block was entered
        try:
            if error is None and self._frames:
                with progress.active():
                    self._send(progress)
        except BaseException as failure:
            error = failure
            raise
        finally:
            for prepared in self._frames:
                prepared.close()
            self._spool.close()
            progress.end(error)

    def _send(self, progress: Progress) -> None:
        progress.result = self._status = push_prepared(
            self._api,
            self._frames,
            self._pool,
            self._options,
            # The work of the block itself, which is the user's, is not part of the push.
            begin=time.monotonic(),
            progress=progress,
            open_once=open_job_once,
            layouts=self._layouts,
            checked=self._options.staging is None,
            models=self._models,
        )

    def _adding(self) -> AbstractContextManager[None]:
        """What is reported while a frame is added belongs to the changes."""
        if not self._entered:
            raise ConfigError(
                "Changes are sent when their with block ends: write "
                "'with celonis.changes(…) as changes:'."
            )
        if not self._open:
            raise ConfigError("These changes were already sent. Call changes() again for new ones.")
        assert self._progress is not None  # noqa: S101  # the block was entered
        return self._progress.active()

    def _add(self, frame: Any, *, deleted: bool) -> None:
        # The chunks of one kind have the same columns in the same order.
        alike = (other.layout for other in self._frames if other.deleted == deleted)
        if not self._frames:
            with self._limit() as token:
                self._pool, self._options = with_codec(self._api, self._pool, self._options, token)
        options = self._options
        if deleted:  # what concerns other columns is for the frames to upsert
            kept = options.conversion.for_keys(options.keys)
            options = replace(options, columns=kept.columns, rename=kept.rename)
        prepared = prepare(frame, self._table, options, deleted=deleted, like=next(alike, None))
        own = prepared.layout
        prepared = fit(prepared, self._table_that_is_there(prepared))
        said = {warning for other in self._frames for warning in other.warnings}
        prepared.warnings = tuple(one for one in prepared.warnings if one not in said)
        self._check_columns(prepared)
        if self._options.staging is None:
            try:
                prepared.begin(self._spool)
            except BaseException:
                prepared.close()
                raise
        self._frames.append(prepared)
        self._layouts.append(own)

    def _table_that_is_there(self, prepared: PreparedFrame) -> ExistingTable:
        """The table as it is before the changes, which is looked up once.

        Once more for the first rows to upsert, if it could not be read when only keys to delete
        were known. A table that is not there is made by the first rows to upsert.
        """
        written = any(not other.deleted for other in self._frames)
        found = self._existing
        if found is not None and found.absent and written:
            return ExistingTable(found.name)
        unread = found is None or (found.error is not None and not (written or prepared.deleted))
        if found is None or unread:
            with self._limit() as token:
                api = self._api.within(token)
                with timeout_error(token, "while the pool was looked up"):
                    pool_id = lookup.pool_id(api, self._pool)
                with timeout_error(token, "while the data connection was looked up"):
                    connection_id = lookup.connection_id(api, pool_id, self._options.connection)
                if self._models is None:
                    self._models = find_models(api, pool_id, self._options)
                self._existing = look_at_table(
                    api, pool_id, prepared.table, connection_id, self._options,
                    deleted=prepared.deleted,
                )  # fmt: skip
            self._pool, self._options = pool_id, replace(self._options, connection=connection_id)
            return self._existing
        return found

    def _limit(self) -> CancelToken:
        """A token for look-ups in the block, which ``timeout=`` bounds like a push of their own."""
        return limit(None, time.monotonic(), self._options.timeout)

    def _check_columns(self, prepared: PreparedFrame) -> None:
        """Check that the frame's columns fit the frames added before.

        A job has one type per column, and the same columns in all frames to upsert.
        """
        mine = {column.name: column.conversion.column_type for column in prepared.layout.columns}
        for other in self._frames:
            theirs = {column.name: column.conversion.column_type for column in other.layout.columns}
            common = mine.keys() & theirs.keys()
            different = sorted(name for name in common if mine[name] != theirs[name])
            if different:
                raise FrameError(
                    f"Columns {different} have other types than in the frames added before. All "
                    "frames of one job need the same types; columns= can set them."
                )
            if not prepared.deleted and not other.deleted and mine.keys() != theirs.keys():
                raise FrameError(
                    "The frames to upsert have different columns: "
                    f"{sorted(mine.keys() ^ theirs.keys())} are not in all of them. All frames to "
                    "upsert in one job need the same columns."
                )
