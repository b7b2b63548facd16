"""PushPlan: what a push would do, without sending anything."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import Any

from celonis_frames._encoding.chunk_sizer import ChunkSizer
from celonis_frames._encoding.chunking import encode
from celonis_frames._encoding.passthrough import PassthroughChunk
from celonis_frames._formatting import counted, format_bytes
from celonis_frames._frames.preparation import prepare
from celonis_frames._frames.prepared_frame import PreparedFrame, Rows
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.table_layout import TableLayout

_SAMPLE_BATCHES = 4


@dataclass(frozen=True)
class PlannedTableColumn:
    """One column of the planned table.

    Attributes:
        name: Its name in Celonis.
        source: Its name in the frame.
        arrow: Its Arrow type in the frame.
        type: Its Celonis column type.
        length: Length in characters that a text column gets; None for others.
        longest: Characters of the longest string; None for others, or if no rows were read.
        key: Whether it is a key.
    """

    name: str
    source: str
    arrow: str
    type: str
    length: int | None
    longest: int | None
    key: bool


@dataclass(frozen=True)
class PushPlan:
    """What `push` would do. Its `repr` is a readable table; the attributes are for code.

    Attributes:
        table: Name of the table.
        mode: ``"DELTA"`` or ``"REPLACE"``.
        columns: The table's columns.
        rows: Rows of the frame; None for a stream, which can be read only once.
        chunks: Estimated number of chunks, from encoding a sample; None for a stream.
        bytes: Estimated bytes to upload; None for a stream.
        requests: Estimated number of API calls without polling; None for a stream.
        warnings: Warnings that `push` would give.
    """

    table: str
    mode: str
    columns: tuple[PlannedTableColumn, ...]
    rows: int | None
    chunks: int | None
    bytes: int | None
    requests: int | None
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [self._headline(), ""]
        head = ("column", "type", "length", "longest", "key", "from")
        rows = [self._cells(column) for column in self.columns]
        widths = [
            min(30, max(len(row[place]) for row in [head, *rows])) for place in range(len(head))
        ]
        for row in [head, *rows]:
            cells = (_fit(cell, width) for cell, width in zip(row, widths, strict=True))
            lines.append("  " + "  ".join(cells).rstrip())
        lines += [f"\n! {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th>{name}</th>" for name in ("column", "type", "length", "longest", "key", "from")
        )
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in self._cells(column)) + "</tr>"
            for column in self.columns
        )
        notes = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return (
            f"<div><b>{escape(self._headline())}</b><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>{f'<ul>{notes}</ul>' if notes else ''}</div>"
        )

    def _headline(self) -> str:
        if self.rows is None:
            return (
                f"PushPlan {self.table} ({self.mode}): a stream, whose size is known after reading"
            )
        return (
            f"PushPlan {self.table} ({self.mode}): {counted(self.rows, 'row')}, about "
            f"{counted(self.chunks or 0, 'chunk')}, {format_bytes(self.bytes or 0)}, "
            f"{counted(self.requests or 0, 'request')}"
        )

    def _cells(self, column: PlannedTableColumn) -> tuple[str, ...]:
        return (
            column.name,
            column.type,
            "" if column.length is None else f"{column.length:,}",
            "" if column.longest is None else f"{column.longest:,}",
            "key" if column.key else "",
            column.arrow if column.source == column.name else f"{column.source} · {column.arrow}",
        )


def plan_frame(frame: Any, table: str, options: PushOptions) -> PushPlan:
    """The plan for a frame. Reads all rows once, unless the frame is a stream.

    Raises:
        FrameError: `push` would raise it before sending.
    """
    prepared = prepare(frame, table, options)
    if not prepared.source.replayable:
        note = "The frame can be read only once, so its rows were neither checked nor counted."
        return _plan(prepared, options, None, None, (*prepared.warnings, note))
    prepared.measure_rows()
    warnings = (*prepared.warnings, *prepared.warnings_of_rows())
    size = chunks = 0
    for part in prepared.parts(ordered=prepared.ordered):
        if isinstance(part, PassthroughChunk):
            size, chunks = size + part.size, chunks + 1
            continue
        rows = part.count or 0
        weight = _estimate(part, prepared.layout, options)
        size += int(weight if not rows else weight * rows)
        uploads = options.uploads(ordered=prepared.ordered)
        sizer = ChunkSizer(options.upload.chunk_bytes, rows, weight, uploads=uploads)
        chunks += sizer.expected_chunks or 1
    return _plan(prepared, options, size, chunks, warnings)


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
        # create, one per chunk, list the chunks, execute; a DELTA reads the table's columns first
        requests=None if chunks is None else chunks + 3 + (options.mode == "DELTA"),
        warnings=warnings,
    )


def _estimate(part: Rows, layout: TableLayout, options: PushOptions) -> float:
    """Bytes per row in a chunk, estimated by encoding the first batches."""
    sample = list(islice(part.batches(), _SAMPLE_BATCHES))
    rows = sum(int(batch.num_rows) for batch in sample)
    encoded = encode(
        (layout.convert(batch) for batch in sample),
        layout.encoded_schema,
        chunk_bytes=options.upload.chunk_bytes,
        file_type=options.upload.file_type,
        compression=options.codec,
    )
    return sum(chunk.size for chunk in encoded) / max(rows, 1)


def _fit(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"
