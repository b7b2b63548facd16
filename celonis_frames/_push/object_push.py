"""A push through the Data Ingestion API: read and check everything, then store objects.

What was stored cannot be recalled, and Celonis loads objects one by one. So nothing is stored
before every row was read and checked. A frame in memory is then read again, and stored while it is
encoded; the chunks of others wait in a spool, or in the stage.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit
from celonis_frames._frames.preparation import prepare
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._ingestion.destination import ObjectDestination
from celonis_frames._ingestion.gateway import IngestionGateway, object_key
from celonis_frames._ingestion.signing import botocore
from celonis_frames._jobs.delivery import Delivery, DeliveryResult
from celonis_frames._jobs.shell import deliver
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.outcome_notes import note_stage
from celonis_frames._push.pipeline import (
    Opening,
    OpenOnce,
    begin_reading,
    check_reading,
    limit,
    log_warnings,
    look_at_table,
    open_stage,
    rows_to_send,
)
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus, StoredObjects
from celonis_frames._push.verification import begin_verification
from celonis_frames._reporting.current import warn
from celonis_frames._sources.source import Source
from celonis_frames._staging.manifest import Manifest, ObjectRecord
from celonis_frames._staging.receipt import stage_name
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget
from celonis_frames._staging.stage import Stage
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames._tables.fitting import fit
from celonis_frames._tables.table_reading import option_that_needs_columns
from celonis_frames._validation.rejects import RejectReport
from celonis_frames.exceptions import CelonisFramesError, ConfigError, PermissionDenied

DEFAULT_LENGTH = 80
"""Characters that a text column without a length holds in Celonis (the official client)."""

_ALLOW = 'upload={"repeat": "allowed"} does so by itself.'
_CHECK = (
    "Check whether its rows are in the table, push those that are missing, and delete the stage."
)

INGESTION_SECONDS = 300.0
"""How long ``verify="rows"`` waits for the rows, unless ``timeout=`` is shorter."""


class IngestionWay(NamedTuple):
    """What a push of objects needs: the gateway, and the API for look-ups, if a key opens it."""

    gateway: IngestionGateway
    api: DataPushApi
    can_look: bool


def push_objects(
    way: IngestionWay,
    frame: Any,
    pool: str,
    table: str,
    options: PushOptions,
    *,
    progress: Progress,
    watch: Callable[[Source], Source] | None = None,
    token: CancelToken | None = None,
    open_once: OpenOnce,
    delivered: DeliveryResult | None = None,
    fitted: PreparedFrame | None = None,
    stage: Stage | None = None,
) -> PushStatus:
    """Read and check a frame, and store it as objects; see `prepare` for `watch`.

    If an earlier process of the push has fitted the frame to the table and begun the stage, these
    are `fitted` and `stage`, which is closed.

    Raises:
        FrameError, ConfigError, ApiError, JobTimeout: As `celonis_frames.push`.
        UploadUncertain: It is unknown whether an object was stored.
        ImportError: botocore is not installed.
    """
    begin, timings = time.monotonic(), dict[str, float]()
    keys = way.gateway.keys
    botocore()
    _check_connection(options, keys.connection)
    delivered = delivered or DeliveryResult()
    with ExitStack() as stack:
        # 1. The frame by itself, then the pool and the table.
        stack.enter_context(termination_as_system_exit())
        token = stack.enter_context(limit(token, begin, options.timeout))
        stack.enter_context(nullcontext() if stage is None else closing(stage))
        api = way.api.within(token)
        prepared = fitted or prepare(frame, table, options, watch=watch)
        object_key(keys, prepared.table, "")  # raises for a name that no key can have
        pool_id, notes = _pool(api, pool, keys.connection, token) if way.can_look else (None, (
            "The pool was not checked: this connection has ingestion keys only.",
        ))  # fmt: skip
        progress.in_pool(pool_id)
        pool_known = pool_id or ""
        # What has begun the stage has chosen the names of the objects.
        prefix = (
            object_prefix(options.push_id)
            if stage is None
            else (stage.manifest.objects or {})["push_id"]
        )
        opened, earlier = (None, None) if stage or options.staging is None else open_stage(
            Opening(way.api, token, [prepared], None, pool_known, keys.connection, options,
                    progress, delivered, None),
            partial(new_objects_manifest, way, pool_known, options, prefix),
            open_once,
        )  # fmt: skip
        if earlier is not None:
            return earlier
        stack.enter_context(nullcontext() if opened is None else closing(opened))
        stage = stage or opened
        progress.stage("checking")
        existing: ExistingTable = prepared.existing
        if fitted is None:
            existing = _existing(api, pool_id, prepared.table, keys.connection, options)
            prepared = fit(prepared, existing, partial(check_reading, token))
        prepared.warnings += notes
        stack.callback(prepared.close)
        verification = begin_verification(
            api, pool_known, prepared.table, keys.connection, options, [prepared],
            can_count=pool_id is not None,
        ) if "rows" in options.verify else None  # fmt: skip
        # 2. Read and check every row; the chunks wait, if they are made yet.
        spool = stack.enter_context(closing(ChunkSpool(MemoryBudget(options.spool_memory))))
        logged = log_warnings([prepared])
        with _stage_notes(stage):
            begin_reading([prepared], stage or spool, token, progress, timings,
                          checked_first=stage is None)  # fmt: skip
        prepared.warnings += _length_notes(prepared, existing)
        log_warnings([prepared], after=logged)
        timings["check"] = time.monotonic() - begin - timings.get("stage", 0.0)
        # 3. Store the objects.
        unique = prepared.measure.different_keys == prepared.measure.rows
        destination = ObjectDestination(
            way.gateway,
            prepared.table,
            prefix,
            repeatable=options.upload.repeat == "allowed",
            consequence=f"{_consequence(options, unique=unique)} {_ALLOW}",
            journal=stage,
        )
        workers = options.uploads(ordered=prepared.ordered)
        if stage is not None:
            _seal(stage, prepared, destination, exact=unique or options.order_by is not None,
                  workers=workers)  # fmt: skip
        prepared.warnings += store(
            api, destination, prepared.chunks, delivered, progress, timings, stage=stage,
            workers=workers, rows=partial(rows_to_send, [prepared]),
        )  # fmt: skip
        # 4. Wait for the rows, where a server tells them.
        ingested = None
        if verification is not None:
            verification.count([prepared])
            progress.stage("waiting")
            ingested, found = verification.wait_for_rows(
                min(INGESTION_SECONDS, token.remaining() or INGESTION_SECONDS)
            )
            prepared.warnings += found
    timings["total"] = time.monotonic() - begin
    return objects_status(
        way, destination, delivered, prepared.table, pool_id,
        warnings=prepared.warnings, timings=timings, ingested=ingested, rejects=prepared.rejects,
        parts=prepared.worker_parts,
    )  # fmt: skip


def store(
    api: DataPushApi,
    destination: ObjectDestination,
    chunks: Any,
    delivered: DeliveryResult,
    progress: Progress,
    timings: dict[str, float],
    *,
    stage: Stage | None,
    workers: int,
    rows: Callable[[], int | None],
) -> tuple[str, ...]:
    """Store the chunks as objects; returns warnings, which are logged.

    Raises:
        ApiError, JobTimeout: A call failed for good; the notes say what was stored.
        UploadUncertain: It is unknown whether an object was stored.
    """
    delivery = Delivery(
        "", lambda _: {}, chunks, workers=lambda: workers, mark={}, destination=destination,
        rows=rows,
    )  # fmt: skip
    with (
        _object_notes(destination, stage),
        DeferredSignals(api.token, lambda: destination.note() or ""),
    ):
        deliver(api, delivery, delivered, progress=progress, timings=timings)
        if stage is None:
            return ()
        return stage.finish(
            "ACCEPTED",
            rows=delivered.rows,
            chunks=delivered.chunks,
            bytes_sent=sum(one.size for one in destination.stored),
            objects=destination.names,
        )


def objects_status(
    way: IngestionWay,
    destination: ObjectDestination,
    delivered: DeliveryResult,
    table: str,
    pool_id: str | None,
    *,
    warnings: Sequence[str],
    timings: dict[str, float],
    ingested: bool | None = None,
    rejects: RejectReport | None = None,
    parts: int | None = None,
) -> PushStatus:
    """The status of objects that were stored."""
    stored = StoredObjects(
        table=table,
        pool_id=pool_id,
        connection=way.gateway.keys.connection,
        objects=destination.names,
        stored_again=len(destination.repeated),
        ingested=ingested,
    )
    return PushStatus(
        way.api if way.can_look else None,
        stored,
        rows=delivered.rows,
        chunks=delivered.chunks,
        bytes_sent=sum(one.size for one in destination.stored),
        warnings=warnings,
        timings=timings,
        rejects=rejects,
        parts=parts,
    )


def fit_objects(
    way: IngestionWay, api: DataPushApi, prepared: PreparedFrame, pool: str, options: PushOptions
) -> tuple[PreparedFrame, str]:
    """The frame as it can be stored, with the types of the table that is there, and the pool's id.

    Raises:
        FrameError, ConfigError, ApiError: As `push_objects`, before it reads any row.
    """
    keys = way.gateway.keys
    botocore()
    _check_connection(options, keys.connection)
    object_key(keys, prepared.table, "")  # raises for a name that no key can have
    pool_id = _pool(api, pool, keys.connection, api.token)[0] if way.can_look else None
    existing = _existing(api, pool_id, prepared.table, keys.connection, options)
    return fit(prepared, existing), pool_id or pool


def object_prefix(push_id: str | None) -> str:
    """Begins the names of a push's objects: those of later pushes sort behind.

    The same id has the same names: an object that is stored again takes the place of the first.
    """
    if push_id is not None:
        return stage_name(push_id)
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def _check_connection(options: PushOptions, connection: str) -> None:
    if options.connection not in (None, connection):
        raise ConfigError(
            f"connection={options.connection!r} is not the data connection of the ingestion keys "
            f"({connection}): leave it out, or use the keys of that connection."
        )


def _pool(
    api: DataPushApi, pool: str, connection: str, token: CancelToken
) -> tuple[str | None, tuple[str, ...]]:
    """The pool's id if it can be checked to have the connection, and warnings."""
    with timeout_error(token, "while the pool was looked up"):
        try:
            pool_id = lookup.pool_id(api, pool, for_push=False)
            connections = api.connections(pool_id)
        except PermissionDenied:
            return None, (
                "The pool was not checked: the API key may not read it. The rows go where the "
                "ingestion keys lead.",
            )
    if connection not in {one.id for one in connections}:
        raise ConfigError(
            f"Pool {pool!r} has no data connection {connection}, to which the ingestion keys "
            "belong: give the pool in which it was set up."
        )
    return pool_id, ()


def _existing(
    api: DataPushApi, pool_id: str | None, table: str, connection: str, options: PushOptions
) -> ExistingTable:
    if pool_id is not None:
        return look_at_table(api, pool_id, table, connection, options)
    needed = option_that_needs_columns(options)
    if needed:
        raise ConfigError(
            f"{needed} needs the columns of table {table!r}, which cannot be read: connect with an "
            "API key that may read the pool besides the ingestion keys, or leave it out."
        )
    return ExistingTable(table)


def _length_notes(prepared: PreparedFrame, existing: ExistingTable) -> tuple[str, ...]:
    """A warning for texts of which it is not known whether the table's columns hold them."""
    measure, known = prepared.measure, prepared.table_lengths
    unknown = [
        column.source
        for column in prepared.layout.text_columns
        if column.name not in known and measure.longest(column.name)[0] > DEFAULT_LENGTH
    ]
    if existing.exists or not unknown:
        return ()
    return (
        f"Columns {unknown} have strings longer than {DEFAULT_LENGTH} characters, and it is not "
        "known what the table's columns hold: check in Celonis that none is cut.",
    )


def _consequence(options: PushOptions, *, unique: bool) -> str:
    if options.order_by is not None:
        what = "Storing it again would change nothing, since the age column decides"
    elif unique:
        what = "Storing it again would change nothing, unless a later push has the same keys"
    elif options.keys:
        what = "Storing it again could bring back older rows with the same keys"
    else:
        what = "Storing it again could add its rows twice, since there are no keys"
    return f"{what}."


def new_objects_manifest(
    way: IngestionWay, pool_id: str, options: PushOptions, prefix: str
) -> Manifest:
    """The manifest with which the stage of a push of objects begins."""
    keys = way.gateway.keys
    record = ObjectRecord(keys.connection, keys.bucket, prefix, repeatable=False, consequence="")
    return Manifest(way.gateway.url, pool_id, objects=vars(record), push_id=options.push_id)


def _seal(
    stage: Stage,
    prepared: PreparedFrame,
    destination: ObjectDestination,
    *,
    exact: bool,
    workers: int,
) -> None:
    objects = dict(stage.manifest.objects or {})
    objects["repeatable"] = exact or destination.repeatable
    objects["consequence"] = f"{_consequence(prepared.options, unique=exact)} {_CHECK}"
    stage.manifest.objects = objects
    stage.seal({"targetName": prepared.table}, prepared.warnings, workers=workers)


@contextmanager
def _stage_notes(stage: Stage | None) -> Iterator[None]:
    """Add a note to an error: how to finish a staged push."""
    try:
        yield
    except BaseException as error:
        if stage is not None and not stage.finished:
            note_stage(error, stage)
        raise


@contextmanager
def _object_notes(destination: ObjectDestination, stage: Stage | None) -> Iterator[None]:
    """Add notes to an error: what was stored, and how to finish a staged push."""
    with _stage_notes(stage):
        try:
            yield
        except BaseException as error:
            note = destination.note()
            if note:
                warn(note)
                error.add_note(note)
                if isinstance(error, CelonisFramesError):
                    error.outcome_known = False
            raise
