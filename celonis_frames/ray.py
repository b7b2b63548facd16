"""Ray Data's way into Celonis: ``ds.write_datasink(CelonisDatasink(pool, table, staging=…))``.

Experimental, as the interface of Ray is that it implements: both may change. The tasks of Ray write
the chunks, and the process that called ``write_datasink`` sends those of the tasks that Ray says
have succeeded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack

import pyarrow as pa

try:
    from ray.data import Datasink
    from ray.data.block import BlockAccessor
except ImportError as error:
    raise ImportError(
        "celonis_frames.ray needs Ray Data: pip install 'celonis-frames[ray]'."
    ) from error

from celonis_frames._client import Celonis
from celonis_frames._connect import current
from celonis_frames._distributed.parts import PartResult, stage_part
from celonis_frames._options.push_options import PushOptions, Verify
from celonis_frames._options.upload import Upload, UploadSettings
from celonis_frames._push.call_order import check_order
from celonis_frames._push.detached import (
    DetachedPush,
    Engine,
    abort_detached,
    begin_detached,
    finish_detached,
)
from celonis_frames._push.status import PushStatus
from celonis_frames._schema.overrides import Column, ColumnType
from celonis_frames._sources.alignment import align_to_schema, check_same_names
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.events import Event
from celonis_frames.exceptions import ConfigError

__all__ = ["CelonisDatasink"]

_ENGINE = Engine(
    "Ray", "ds.map_batches(…) and Python's hmac, with a key that the workers have", "Ray Dataset"
)


TASK_BYTES = 16_000_000
"""Bytes of rows, uncompressed, that a task of Ray gets at least: some MB of a chunk."""


class PushSettings(TypedDict, total=False):
    """Parameters of `celonis_frames.push`, with their meaning and defaults."""

    mode: Literal["DELTA", "REPLACE", "CREATE", "delta", "replace", "create"]
    keys: Sequence[str] | str | None
    connection: str | None
    columns: Mapping[str, Column | ColumnType | int] | None
    rename: Mapping[str, str] | Literal["snake", "upper_snake"] | None
    schema_mode: Literal["align", "evolve", "freeze"] | None
    missing_columns: Literal["error", "null"] | None
    deduplicate_by: str | None
    order_by: str | None
    verify: Sequence[Verify] | Verify | None
    reload: Sequence[str] | str | None
    nested: Literal["error", "json"]
    binary: Literal["error", "hex", "base64"]
    infinity: Literal["error", "null"] | None
    times: Literal["utc", "local"]
    on_bad: Literal["error", "null", "drop"]
    via: Literal["push", "ingestion"] | None
    storage_options: Mapping[str, Any] | None
    wait: bool
    timeout: float | None
    progress: bool | None
    on_event: Callable[[Event], object] | None
    upload: Upload | UploadSettings | None


@short_tracebacks
class CelonisDatasink(Datasink[PartResult]):  # type: ignore[misc]
    """Where ``Dataset.write_datasink`` writes a Ray Dataset; for one write only.

    Args:
        pool: As for `celonis_frames.push`.
        table: As for `push`.
        staging: An fsspec URL, or an absolute path, of storage that this process and the workers
            share. What is secret in ``storage_options=`` is not sent to workers.
        schema: The Arrow schema of the rows; None takes the one that Ray knows when the write
            begins.
        client: The connection; None is the one of `celonis_frames.push`.
        settings: Parameters of `push`. ``timeout=`` counts before the tasks, and after them.

    Attributes:
        status: The job's status, after the write.

    Raises:
        ConfigError: As `push`, here and when the write begins.
    """

    status: PushStatus | None

    def __init__(
        self,
        pool: str,
        table: str,
        *,
        staging: str | os.PathLike[str],
        schema: pa.Schema | None = None,
        client: Celonis | None = None,
        **settings: Unpack[PushSettings],
    ) -> None:
        unknown = sorted(settings.keys() - PushSettings.__annotations__.keys())
        if unknown:
            raise ConfigError(f"A CelonisDatasink does not take {', '.join(unknown)}.")
        check_order("push", pool, table)
        self.status = None
        self._pool, self._table, self._schema = pool, table, schema
        self._client: Celonis | None = client or current()
        self._options: PushOptions | None = self._client._options({**settings, "staging": staging})
        self._begun: DetachedPush | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Tasks get the plan, and nothing of the connection."""
        return {**self.__dict__, "_client": None, "_options": None, "status": None}

    @property
    def min_bytes_per_write(self) -> int | None:
        """Bytes of rows that a task gets at least, so that its chunks are not small.

        Ray does not fuse such a write with the step before it, so that it knows the schema of the
        rows when the write begins.
        """
        return TASK_BYTES

    def get_name(self) -> str:
        """The name that Ray shows."""
        return "Celonis"

    def on_write_start(self, schema: Any = None) -> None:
        """Begin the stage. Ray calls it before the tasks."""
        client, options = self._known()
        known = self._schema or getattr(schema, "base_schema", schema)
        if not isinstance(known, pa.Schema):
            raise ConfigError(
                "The types of the Dataset are not known as an Arrow schema when the write begins: "
                "give CelonisDatasink(…, schema=…), such as pa.schema(…) or "
                "ds.schema().base_schema."
            )
        self._begun = begin_detached(
            client._api, client._way_of(options), known, self._pool,
            self._table, options, engine=_ENGINE, holder=f"a write of Ray in process {os.getpid()}",
        )  # fmt: skip

    def write(self, blocks: Iterable[Any], ctx: Any) -> PartResult:
        """Stage the rows of a task. Ray calls it in a worker."""
        assert self._begun is not None  # noqa: S101  # on_write_start came before
        plan = self._begun.plan

        where, known = f"partition {ctx.task_idx}", "the schema of the Dataset"

        def batches() -> Iterable[pa.RecordBatch]:
            for block in blocks:
                for batch in BlockAccessor.for_block(block).to_arrow().to_batches():
                    if batch.num_rows:
                        check_same_names(batch.schema, plan.schema.names, where, known)
                        yield align_to_schema(batch, plan.schema, where, known)

        rows = pa.RecordBatchReader.from_batches(plan.schema, batches())
        return stage_part(plan, ctx.task_idx, rows)

    def on_write_complete(self, write_result: Any) -> None:
        """Send what the tasks have staged. Ray calls it after the last task."""
        client, options = self._known()
        if self._begun is None:  # no rows, and a version of Ray that begins nothing then
            self.on_write_start(self._schema)
        assert self._begun is not None  # noqa: S101
        results = _numbered(write_result.write_returns)
        way = client._way_of(options)
        self.status = finish_detached(client._api, way, self._begun, results, options)

    def on_write_failed(self, error: Exception) -> None:  # noqa: ARG002  # Ray's signature
        """Remove the stage, unless the push can be resumed. Ray calls it after an error."""
        if self._begun is not None and self._options is not None:
            abort_detached(self._begun, self._options)

    def _known(self) -> tuple[Celonis, PushOptions]:
        if self._client is None or self._options is None:
            raise ConfigError(
                "This CelonisDatasink was sent to another process, which has no connection: make "
                "it in the process that calls write_datasink."
            )
        return self._client, self._options


def _numbered(results: Sequence[PartResult]) -> list[PartResult]:
    """The results with numbers from 0: a task that had no rows may have left a gap."""
    found = sorted(results, key=lambda result: result.part)
    if len({result.part for result in found}) < len(found):
        return found  # it is an error that two tasks have one number
    return [replace(result, part=number) for number, result in enumerate(found)]
