"""PushPlan: what a push would do, without sending anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from celonis_frames._encoding.chunk_sizer import ChunkSizer, stream_chunks
from celonis_frames._encoding.chunking import encode
from celonis_frames._encoding.passthrough import PassthroughChunk
from celonis_frames._formatting import counted, format_bytes
from celonis_frames._frames.preparation import prepare
from celonis_frames._frames.prepared_frame import PreparedFrame, Rows
from celonis_frames._html import report as html
from celonis_frames._html.elements import joined
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.names import name_key
from celonis_frames._tables.alignment import SHOWN
from celonis_frames._tables.differences import Level, TableDifference
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames._tables.fitting import planned_fit, planned_lengths

_SAMPLE_BATCHES = 4
_ONE_BY_ONE = (
    "Stored objects are loaded one by one, some time later, and cannot be recalled: this way is "
    "not all or nothing."
)
_LEVELS: tuple[Level, ...] = ("fatal", "lossy", "safe")
_SHOWN_AS: dict[Level | None, html.Level] = {"fatal": "bad", "lossy": "warn", "safe": "good"}
_EXISTS = {True: "compared with the table", False: "a new table", None: ""}
_SHOWN_DIFFERENCES = 50
"""Differences that the text shows, the worst first; `PushPlan.differences` has all."""


@dataclass(frozen=True)
class PlannedTableColumn:
    """One column of the planned table.

    Attributes:
        name: Its name in Celonis.
        source: Its name in the frame.
        arrow: Its Arrow type in the frame.
        type: Its Celonis column type, as it would be sent.
        length: Length in characters that a text column gets; None for others.
        longest: Characters of the longest string; None for others, or if no rows were read.
        key: Whether it is a key.
        existing_type: Its type in the table that is there, as the server shows it; None if it is
            new, or not known.
        existing_length: Its length there, in characters.
    """

    name: str
    source: str
    arrow: str
    type: str
    length: int | None
    longest: int | None
    key: bool
    existing_type: str | None = None
    existing_length: int | None = None


@dataclass(frozen=True)
class PushPlan:
    """What `push` would do. Its `repr` is a readable table; the attributes are for code.

    Attributes:
        table: Name of the table.
        mode: ``"DELTA"``, ``"REPLACE"`` or ``"CREATE"``.
        columns: The table's columns.
        rows: Rows of the frame; None for a stream, which can be read only once.
        chunks: Estimated number of chunks, from encoding a sample; None for a stream.
        bytes: Estimated bytes to upload; None for a stream.
        requests: Estimated number of API calls without polling; None for a stream.
        warnings: Warnings that `push` would give.
        exists: Whether the table is there; None without a connection, or if the API key may not
            read it.
        differences: How the frame differs from the table that is there.
        via: ``"push"`` or ``"ingestion"``.
    """

    table: str
    mode: str
    columns: tuple[PlannedTableColumn, ...]
    rows: int | None
    chunks: int | None
    bytes: int | None
    requests: int | None
    warnings: tuple[str, ...]
    exists: bool | None = None
    differences: tuple[TableDifference, ...] = ()
    via: str = "push"

    @property
    def level(self) -> Level | None:
        """The worst level of the differences; None if there are none."""
        found = {difference.level for difference in self.differences}
        return next((level for level in _LEVELS if level in found), None)

    def to_dict(self) -> dict[str, Any]:
        """The attributes and the level, for JSON."""
        return {**asdict(self), "level": self.level}

    def __repr__(self) -> str:
        lines = [self._headline(), ""]
        head, rows = self._head(), [self._cells(column) for column in self.columns]
        widths = [
            min(30, max(len(row[place]) for row in [head, *rows])) for place in range(len(head))
        ]
        for row in [head, *rows]:
            cells = (_fit(cell, width) for cell, width in zip(row, widths, strict=True))
            lines.append("  " + "  ".join(cells).rstrip())
        lines += ["", *self._difference_lines()] if self.differences else []
        lines += [f"\n! {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        level: html.Level = _SHOWN_AS.get(self.level, "open")
        about = [f"({self.mode})", "via ingestion" if self.via == "ingestion" else ""]
        about += [_EXISTS[self.exists], "a stream" if self.rows is None else ""]
        order = sorted(self.differences, key=lambda one: _LEVELS.index(one.level))
        differences = [
            joined(html.marked(_SHOWN_AS[one.level], one.level), f": {one}") for one in order
        ]
        head = self._head()
        return html.report(
            level,
            html.headline(
                level, "PushPlan", self.table, " · ".join(filter(None, about)), mark=False
            ),
            html.facts({
                "rows": self.rows,
                "chunks (about)": self.chunks,
                "bytes (about)": None if self.bytes is None else format_bytes(self.bytes),
                "requests": self.requests,
            }),
            html.table(
                head, map(self._cells, self.columns),
                numbers=[head.index("length"), head.index("longest")],
            ),
            html.notes(counted(len(differences), "difference"), differences, level=level),
            html.warnings(self.warnings),
        )  # fmt: skip

    def _headline(self) -> str:
        there = {True: "", False: ", a new table", None: ""}[self.exists]
        way = " via ingestion" if self.via == "ingestion" else ""
        start = f"PushPlan {self.table} ({self.mode}{way}{there})"
        if self.rows is None:
            return f"{start}: a stream, whose size is known after reading"
        return (
            f"{start}: {counted(self.rows, 'row')}, about {counted(self.chunks or 0, 'chunk')}, "
            f"{format_bytes(self.bytes or 0)}, {counted(self.requests or 0, 'request')}"
        )

    def _difference_lines(self) -> list[str]:
        order = sorted(self.differences, key=lambda one: _LEVELS.index(one.level))
        lines = [f"{one.level}: {one}" for one in order[:_SHOWN_DIFFERENCES]]
        left = len(order) - len(lines)
        return [*lines, f"… and {counted(left, 'more difference')}"] if left else lines

    def _head(self) -> tuple[str, ...]:
        head = ("column", "type", "length", "longest", "key", "from")
        return (*head[:2], "in the table", *head[2:]) if self.exists else head

    def _cells(self, column: PlannedTableColumn) -> tuple[str, ...]:
        cells = (
            column.name,
            column.type,
            "" if column.length is None else f"{column.length:,}",
            "" if column.longest is None else f"{column.longest:,}",
            "key" if column.key else "",
            column.arrow if column.source == column.name else f"{column.source} · {column.arrow}",
        )
        if not self.exists:
            return cells
        return (*cells[:2], _in_the_table(column), *cells[2:])


def _in_the_table(column: PlannedTableColumn) -> str:
    shown = column.existing_type
    if shown is None:
        return "new"
    # Celonis shows DATETIME as DATE, BOOLEAN as INTEGER, and TIME as STRING: no difference.
    alike = shown != column.type and shown in SHOWN.get(column.type, ())
    length = "" if column.existing_length is None else f", {column.existing_length:,}"
    return f"{shown}{length}{f' or {column.type}' if alike else ''}"


class PlanText(NamedTuple):
    """A plan in words."""

    headline: str
    head: tuple[str, ...]  # of the columns
    columns: tuple[tuple[str, ...], ...]
    differences: list[str]


def plan_text(plan: PushPlan) -> PlanText:
    """The plan in words, for the command line. Not a public method."""
    cells = tuple(map(plan._cells, plan.columns))  # noqa: SLF001  # of this module
    return PlanText(plan._headline(), plan._head(), cells, plan._difference_lines())  # noqa: SLF001


def plan_frame(
    frame: Any,
    table: str,
    options: PushOptions,
    read: Callable[[str], ExistingTable] | None = None,
) -> PushPlan:
    """The plan for a frame. Reads all rows once, unless the frame is a stream.

    `read` reads the table that is there by its name; without it nothing is compared.

    Raises:
        FrameError: `push` would raise it before sending.
    """
    prepared = prepare(frame, table, options)
    existing = ExistingTable(prepared.table) if read is None else read(prepared.table)
    prepared, differences = planned_fit(prepared, existing)
    if not prepared.source.replayable:
        note = _why_unread(prepared)
        found = _plan(prepared, options, None, None, (*prepared.warnings, note))
        return _compared(found, existing, differences)
    prepared.measure_rows()
    differences += planned_lengths(prepared, existing)
    warnings = (*prepared.warnings, *prepared.warnings_of_rows())
    size = chunks = 0
    for part in prepared.parts(ordered=prepared.ordered):
        if isinstance(part, PassthroughChunk):
            size, chunks = size + part.size, chunks + 1
            continue
        rows = part.count or 0
        weight = _estimate(part, prepared, options)
        size += int(weight if not rows else weight * rows)
        uploads = options.uploads(ordered=prepared.ordered)
        chunk_bytes = options.upload.chunk_bytes
        if prepared.source.rows is None and chunk_bytes is None:
            # As if its keys were not known to differ: a push cuts it before it has read them.
            uploads = options.uploads(ordered=options.ordered)
            expected: int | None = stream_chunks(weight * rows, uploads=uploads)
        else:
            sizer = ChunkSizer(chunk_bytes, rows, weight, uploads=uploads)
            expected = sizer.expected_chunks
        chunks += expected or 1
    return _compared(_plan(prepared, options, size, chunks, warnings), existing, differences)


def _why_unread(prepared: PreparedFrame) -> str:
    partitions = prepared.source.partitions
    why = (
        "The frame can be read only once, so its rows"
        if partitions is None
        else f"The rows are with the workers of {partitions.engine}, so they"
    )
    return f"{why} were neither checked nor counted."


def _compared(
    found: PushPlan, existing: ExistingTable, differences: tuple[TableDifference, ...]
) -> PushPlan:
    """The plan beside the table that is there."""
    warnings = found.warnings
    if existing.error is not None:
        warnings += (
            f"The frame could not be compared with the table: {existing.reason} A push may find "
            "differences.",
        )
    columns = []
    for column in found.columns:
        known = existing.known.get(name_key(column.name))
        if known is not None:
            column = replace(column, existing_type=known.type, existing_length=known.length)  # noqa: PLW2901
        columns.append(column)
    return replace(
        found,
        columns=tuple(columns),
        exists=existing.exists if existing.exists or existing.absent else None,
        differences=differences,
        warnings=warnings,
    )


def _plan(
    prepared: PreparedFrame,
    options: PushOptions,
    size: int | None,
    chunks: int | None,
    warnings: tuple[str, ...],
) -> PushPlan:
    known = size is not None
    lengths = prepared.measure.lengths() if known else {}
    columns = tuple(
        PlannedTableColumn(
            column.name,
            column.source,
            str(column.arrow_type),
            column.conversion.column_type,
            lengths.get(column.name, column.length),
            prepared.measure.longest(column.name)[0] if column.name in lengths else None,
            column.key,
        )
        for column in prepared.layout.columns
    )
    return PushPlan(
        table=prepared.table,
        mode=options.mode,
        columns=columns,
        rows=prepared.measure.rows if known else None,
        chunks=chunks,
        bytes=size,
        requests=None if chunks is None else chunks + _other_requests(options),
        warnings=(*warnings, _ONE_BY_ONE) if options.by_objects else warnings,
        via="ingestion" if options.by_objects else "push",
    )


def _other_requests(options: PushOptions) -> int:
    """Requests besides one for each chunk, without polling."""
    if options.by_objects:
        return 1
    # Read the table's columns, create, list the chunks, execute; list the data models, and of each
    # read the last load and begin one.
    return 4 + (1 + 2 * len(options.models) if options.models else 0)


def _estimate(part: Rows, prepared: PreparedFrame, options: PushOptions) -> float:
    """Bytes per row in a chunk, estimated by encoding the first batches."""
    sample = list(islice(part.batches(), _SAMPLE_BATCHES))
    rows = sum(int(batch.num_rows) for batch in sample)
    encoded = encode(
        map(prepared.measure.restarted().convert, sample),
        prepared.layout.encoded_schema,
        chunk_bytes=options.upload.chunk_bytes,
        file_type=options.upload.file_type,
        compression=options.codec,
    )
    return sum(chunk.size for chunk in encoded) / max(rows, 1)


def _fit(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"
