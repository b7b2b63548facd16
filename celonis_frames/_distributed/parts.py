"""In a worker: the rows of one partition become chunks in the stage.

A worker gets a `WritePlan` and its rows, and returns a `PartResult`. It holds no key, knows no
server, and imports no module that does. An engine may run the task of a partition several times,
also at once: each attempt writes files under names that no other attempt uses, and only those are
sent whose `PartResult` the engine returns as that of the partition.
"""

from __future__ import annotations

import re
import socket
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from celonis_frames._encoding.chunking import encode
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import join_path, make_shared_folder
from celonis_frames._filesystem.filesystems import (
    close_filesystem,
    display_url,
    has_buckets,
    open_filesystem,
)
from celonis_frames._filesystem.masking import secrets_of
from celonis_frames._filesystem.private_options import private_options
from celonis_frames._frames.preparation import prepare
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._sources.alignment import SCHEMA, align_to_schema, check_same_names
from celonis_frames._sources.source import Partitions, Source
from celonis_frames._staging.manifest import CHUNK_FIELDS, MANIFEST
from celonis_frames._staging.staged_chunk import write_chunk
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames._tables.fitting import fit
from celonis_frames._validation.part_findings import PartFindings
from celonis_frames.exceptions import CelonisFramesError, ConfigError, FrameError


@dataclass(frozen=True)
class WritePlan:
    """What a worker needs besides its rows. It can be pickled, and holds no secret.

    Attributes:
        kind: What the frame is, for messages, such as ``"Dask DataFrame"``.
        schema: The Arrow schema of the rows, the same for all partitions.
        table: The table's name as it is stored.
        options: The options of the push, without those that are for the sending process only.
        deleted: Whether the rows are keys of rows to delete.
        existing: The table that is there.
        folder: The URL of the stage's folder; an absolute path on a local filesystem.
        storage_options: fsspec's options for it, without secrets.
        withheld: Names of the options that hold a secret: workers have them from elsewhere.
        makes_folder: Whether the worker makes the folder, because no process has begun the stage.
    """

    kind: str
    schema: pa.Schema
    table: str
    options: PushOptions
    deleted: bool
    existing: ExistingTable
    folder: str
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    makes_folder: bool = False

    def in_folder(self, name: str) -> WritePlan:
        """The plan of a push whose stage no process has begun: its folder of this name."""
        return replace(self, folder=join_path(self.folder, name))

    def prepared(
        self, frame: Any, part: int | None = None, *, partitions: Partitions | None = None
    ) -> PreparedFrame:
        """A partition, or with `partitions` the whole frame, with the layout that all have.

        Args:
            frame: Its rows, as anything that `celonis_frames._sources.reader.read` takes.
            part: Its number, for messages.
            partitions: Where the rows are, if `frame` is only their schema.

        Raises:
            FrameError: The rows have other columns than the schema, or types that do not fit.
        """
        where = f"partition {part}"

        def watch(source: Source) -> Source:
            check_same_names(source.schema, self.schema.names, where, SCHEMA)

            def batches() -> Iterator[pa.RecordBatch]:
                for batch in source.batches():
                    same = batch.schema.equals(self.schema)
                    yield batch if same else align_to_schema(batch, self.schema, where, SCHEMA)

            # Read once, so that nothing is decided by the values of this partition alone.
            return replace(
                source, kind=self.kind, schema=self.schema, batches=batches, rows=None,
                replayable=False, immutable=False, files=None, partitions=partitions,
            )  # fmt: skip

        prepared = prepare(frame, self.table, self.options, deleted=self.deleted, watch=watch)
        return fit(prepared, self.existing)


@dataclass(frozen=True)
class PartResult:
    """What one attempt at a partition has staged. It can be pickled, and holds no values.

    Attributes:
        part: Number of the partition, from 0.
        attempt: Unique to the attempt.
        chunks: `CHUNK_FIELDS` of each file, in the order of the rows.
        findings: The statistics of the rows; None with an `error`.
        error: Why the rows cannot be sent, which no other attempt changes; an ImportError if the
            worker lacks the driver of the storage.
        notes: Warnings about the rows.
        repeated_hours: As of a `Source`.
    """

    part: int
    attempt: str
    chunks: tuple[Mapping[str, Any], ...] = ()
    findings: PartFindings | None = None
    error: CelonisFramesError | ImportError | None = None
    notes: tuple[str, ...] = ()
    repeated_hours: Mapping[str, int] = field(default_factory=dict)


def stage_part(plan: WritePlan, part: int, frame: Any, attempt: str = "") -> PartResult:
    """Check and encode the rows of a partition, and write them as finished chunks into the stage.

    An error of the rows is in the result, not raised: no engine then repeats what no attempt can
    change, and the sending process raises the error itself.

    Args:
        plan: The plan of the push.
        part: Number of the partition, from 0; it orders the rows.
        frame: Its rows, as anything that `celonis_frames._sources.reader.read` takes; a
            RecordBatchReader, for example. Rows are read once, batch by batch.
        attempt: How the engine calls this attempt, for people who look at the files. The names are
            unique without.

    Raises:
        ConfigError: A file cannot be written; another attempt may succeed.
    """
    numbered = re.sub(r"\W", "", attempt, flags=re.ASCII)
    attempt = f"{numbered}{'-' * bool(numbered)}{uuid.uuid4().hex[:12]}"
    try:
        filesystem, folder = _open_stage(plan)
    except (CelonisFramesError, ImportError) as error:
        return PartResult(part, attempt, error=error)
    try:
        return _stage_rows(plan, part, frame, attempt, filesystem, folder)
    except FrameError as error:
        return PartResult(part, attempt, error=_located(error, part))
    finally:
        close_filesystem(filesystem)


def _stage_rows(
    plan: WritePlan, part: int, frame: Any, attempt: str, filesystem: Any, folder: str
) -> PartResult:
    prepared = plan.prepared(frame, part)
    measure, options, file_format = prepared.measure, plan.options, prepared.file_format()

    def converted() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in prepared.source.batches():
            yield measure.convert(batch, start)
            start += batch.num_rows

    chunks: list[Mapping[str, Any]] = []
    for chunk in encode(
        converted(), file_format.schema, chunk_bytes=options.upload.chunk_bytes,
        file_type=file_format.file_type, compression=file_format.compression, deleted=plan.deleted,
    ):  # fmt: skip
        if not chunk.rows:  # what stands for no rows
            continue
        ending = chunk.name.rpartition(".")[2]
        name = f"chunk-{part:06d}-{len(chunks):04d}-{attempt}.{ending}"
        with translate_filesystem_errors(
            f"A chunk cannot be staged at {display_url(filesystem, folder)}",
            secrets=secrets_of(filesystem, plan.folder),
        ):
            staged = write_chunk(filesystem, folder, chunk, name)
            if not (plan.makes_folder or _is_begun(filesystem, folder)):
                filesystem.rm_file(staged.path)  # nobody else will
                raise ConfigError(f"The push ended before partition {part} was staged.")
        chunks.append({one: getattr(staged, one) for one in CHUNK_FIELDS})
    source = prepared.source
    notes = (*source.notes, *source.column_notes.values(), *source.conclude())
    return PartResult(
        part, attempt, tuple(chunks), measure.findings(), notes=notes,
        repeated_hours=Counter(source.repeated_hours()),
    )  # fmt: skip


def _open_stage(plan: WritePlan) -> tuple[Any, str]:
    """The filesystem and the folder of the stage.

    Raises:
        ConfigError: It cannot be seen from here.
        ImportError: Its driver is missing here.
    """
    shown = f"from the worker on {socket.gethostname()}"
    private = private_options(plan.folder)
    try:
        filesystem, folder = open_filesystem(plan.folder, private or plan.storage_options)
        with translate_filesystem_errors(
            f"The stage at {display_url(filesystem, folder)} cannot be read {shown}",
            secrets=secrets_of(filesystem, plan.folder),
        ):
            if plan.makes_folder:
                if not has_buckets(filesystem):
                    make_shared_folder(filesystem, folder)
                return filesystem, folder
            there = _is_begun(filesystem, folder)
    except ImportError as error:
        raise ImportError(f"{error} ({shown})") from error.__cause__
    except ConfigError as error:
        if private or not plan.withheld:
            raise
        raise ConfigError(
            f"{error.message}. {', '.join(plan.withheld)} of storage_options= may hold secrets, "
            "which are not sent to these workers: give them there, by fsspec's configuration, the "
            "environment variables of the storage's library, or the role of the machine."
        ) from error.__cause__
    if not there:
        raise ConfigError(
            f"The stage at {display_url(filesystem, folder)} cannot be seen {shown}. Nothing was "
            "sent. staging= must be storage that the sending process and all workers share."
        )
    return filesystem, folder


def _is_begun(filesystem: Any, folder: str) -> bool:
    """Whether the stage is there: its manifest is the first file, and is removed last."""
    filesystem.invalidate_cache()
    return bool(filesystem.exists(join_path(folder, MANIFEST)))


def _located(error: FrameError, part: int) -> FrameError:
    """The error with its partition, in which its rows are counted."""
    where = f"partition {part}"
    if where not in error.message.lower():
        error.message = f"In {where}: {error.message}"
        error.args = (error.message, *error.args[1:])
    return error
