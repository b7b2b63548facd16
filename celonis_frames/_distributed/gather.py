"""In the sending process: workers stage the partitions of a frame, and their results become one.

1. `plan_writes` says what the workers do, once the frame was fitted to the table.
2. The engine calls `stage_part` for each partition, and returns one result for each.
3. The results must be one for each partition, without an error.
4. What they have found in the rows is added up, and checked as that of any frame.
5. The files they name are in the stage, with their sizes: these, and no others, are sent.

No file is listed that no result names: one of an attempt that failed, or came too late, is never
sent. From there the push is as any other that is staged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from celonis_frames._distributed.parts import PartResult, WritePlan, stage_part
from celonis_frames._encoding.chunk import Chunk
from celonis_frames._encoding.small_frame import encode_rows
from celonis_frames._filesystem.files import join_path
from celonis_frames._filesystem.masking import mask_url, split_secrets
from celonis_frames._filesystem.private_options import PrivateOptions
from celonis_frames._formatting import counted, listed
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._sources.source import Partitions
from celonis_frames._staging.stage import Stage
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames.exceptions import ConfigError, FrameError

_R = TypeVar("_R")

FEW_BYTES, MANY_CHUNKS = 1_000_000, 200
"""Chunks that are smaller on average, if they are more than so many, get a warning: each takes a
call, which costs more than its bytes."""


@dataclass(frozen=True)
class FinishedParts:
    """Partitions that workers have staged before: `run` only returns their results."""

    engine: str
    keyed_hash: str
    results: Sequence[PartResult]
    ordered: bool = False

    @property
    def count(self) -> int:
        """Number of partitions."""
        return len(self.results)

    @property
    def files(self) -> frozenset[str]:
        """Names of the files in the stage."""
        return frozenset(chunk["name"] for result in self.results for chunk in result.chunks)

    def run(
        self,
        work: Callable[[int, Any], _R],  # noqa: ARG002  # done
        check: Callable[[], None],
        on_done: Callable[[int], None],
        private: PrivateOptions | None = None,  # noqa: ARG002
    ) -> list[_R]:
        """The results."""
        check()
        on_done(self.count)
        return list(self.results)  # type: ignore[arg-type]  # of this work


def gather(
    prepared: PreparedFrame,
    stage: Stage,
    check: Callable[[], None],
    show: Callable[[str], None],
    *,
    first: int,
) -> float:
    """Let workers stage all rows; `prepared` then has the chunks, and `measure` their statistics.

    Args:
        prepared: The frame, fitted to the table.
        stage: The stage, which is not sealed yet.
        check: Is called now and then, and raises to end the work.
        show: Shows the progress.
        first: Number of the chunk that stands for no rows.

    Returns:
        Seconds that the workers took.

    Raises:
        FrameError: The frame cannot be sent as it is.
        ConfigError: The stage is not storage that the workers share.
        Exception: What the engine raises when a worker fails for good.
    """
    partitions = prepared.source.partitions
    assert partitions is not None  # noqa: S101  # the caller knows
    begin = time.monotonic()
    plan = plan_writes(prepared, stage)

    def on_done(done: int) -> None:
        of = "" if partitions.count is None else f" of {partitions.count:,}"
        show(f"in {partitions.engine}: {done:,}{of} partitions")

    show(f"staging in {partitions.engine}")
    private = None
    if plan.withheld:
        private = PrivateOptions(plan.folder, prepared.options.storage_options or {})
    results = partitions.run(partial(stage_part, plan), check, on_done, private)
    seconds = time.monotonic() - begin
    show("checking")
    merge(prepared, stage, one_for_each(results, partitions), first=first)
    return seconds


def plan_writes(prepared: PreparedFrame, stage: Stage | None) -> WritePlan:
    """What the workers are to do.

    Args:
        prepared: The frame, fitted to the table.
        stage: The stage; None if no process begins it before the workers write. Its folder is then
            to be given by `WritePlan.in_folder`.

    Raises:
        ConfigError: An option needs a secret, which workers do not get.
    """
    options = prepared.options
    check_secrets(prepared)
    public, withheld = split_secrets(options.storage_options or {})
    root = str(options.staging)
    if stage is not None:
        url = stage.folder if stage.is_local else join_path(root, stage.name)
    else:  # a path may be relative, and the working directory of workers another
        url = root if "://" in root else str(Path(root).absolute())
    return WritePlan(
        prepared.source.kind,
        prepared.source.schema,
        prepared.table,
        _for_workers(options),
        prepared.deleted,
        replace(prepared.existing or ExistingTable(prepared.table), error=None),
        url,
        public,
        tuple(withheld),
        makes_folder=stage is None,
    )


def check_secrets(prepared: PreparedFrame) -> None:
    """Check that the workers need no secret but those of their storage.

    Raises:
        ConfigError: They would.
    """
    options, partitions = prepared.options, prepared.source.partitions
    hidden = [column.source for column in prepared.layout.columns if column.pseudonymised]
    if hidden and partitions is not None:
        raise ConfigError(
            f"columns= pseudonymises {listed(hidden)}, and the workers of {partitions.engine} get "
            f"no secret key. Make the pseudonyms in {partitions.engine} itself, with "
            f"{partitions.keyed_hash}."
        )
    url = str(options.staging)
    if mask_url(url) != url:
        raise ConfigError(
            f"staging={mask_url(url)!r} holds a user, a password or a query, which would be in the "
            "plans of the engine: leave them out, and give the workers what they need by fsspec's "
            "configuration or their environment."
        )


def _for_workers(options: PushOptions) -> PushOptions:
    """The options without those that only concern the process that sends."""
    return replace(
        options, connection=None, reload=None, staging=None, storage_options=None, push_id=None,
        wait=True, timeout=None, progress=None,
        upload=options.upload.changed({"job_options": None}),
    )  # fmt: skip


def one_for_each(results: Sequence[PartResult], partitions: Partitions) -> list[PartResult]:
    """The results in the order of their partitions, of which each has exactly one.

    Raises:
        FrameError: A partition has no result, or two; or its rows cannot be sent.
        ConfigError: The stage cannot be seen from a worker.
    """
    counts = Counter(result.part for result in results)
    expected = range(len(results) if partitions.count is None else partitions.count)
    if counts != Counter(expected):
        wrong = sorted({*expected, *counts} - {part for part in expected if counts[part] == 1})
        raise FrameError(
            f"{partitions.engine} returned {counted(len(results), 'result')} for "
            f"{counted(len(expected), 'partition')}: partition {wrong[0]} has {counts[wrong[0]]}. "
            "Nothing was executed. Push again; if it happens again, please report it."
        )
    found = sorted(results, key=lambda result: result.part)
    for result in found:
        if result.error is not None:
            raise result.error
    return found


def merge(
    prepared: PreparedFrame, stage: Stage, results: Sequence[PartResult], *, first: int
) -> None:
    """Add up what was found in all partitions, and take their chunks.

    Raises:
        FrameError: The frame cannot be sent as it is.
        ConfigError: A chunk is not in the stage.
    """
    start, known = 0, set(prepared.warnings)
    hours: Counter[str] = Counter()
    for result in results:
        assert result.findings is not None  # noqa: S101  # there is no error
        prepared.measure.add_findings(result.findings, start)
        start += result.findings.rows_read
        hours.update(result.repeated_hours)
        new = [note for note in dict.fromkeys(result.notes) if note not in known]
        prepared.warnings += (*new,)
        known.update(new)
    prepared.source = replace(prepared.source, repeated_hours=lambda: hours)
    chunks = [chunk for result in results for chunk in result.chunks]
    size = sum(chunk["size"] for chunk in chunks)
    if len(chunks) > MANY_CHUNKS and size < FEW_BYTES * len(chunks):
        prepared.warnings += (
            f"{len(chunks):,} chunks of {size / len(chunks) / 1e6:.1f} MB on average: fewer "
            "partitions make fewer calls.",
        )
    adopted: Sequence[Chunk] = stage.adopt(chunks)
    if not adopted:  # the schema of a file makes the columns of the table
        empty = encode_rows(None, prepared.file_format(), number=first, deleted=prepared.deleted)
        adopted = [stage.put(empty)]
    prepared.adopt(adopted, len(results))
