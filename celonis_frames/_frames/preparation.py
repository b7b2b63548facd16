"""A frame is read and its schema checked, before any row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from celonis_frames._encoding.passthrough import PassthroughFiles
from celonis_frames._formatting import did_you_mean, listed
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.names import checked_name, stripped_note
from celonis_frames._schema.table_layout import TableLayout, build_layout, key_columns
from celonis_frames._sources.reader import read
from celonis_frames._sources.source import Source
from celonis_frames._staging.spool import MemoryBudget
from celonis_frames._validation.validator import FrameValidator
from celonis_frames.exceptions import ConfigError, KeyColumnError


def prepare(
    frame: Any,
    table: str,
    options: PushOptions,
    *,
    deleted: bool = False,
    spare: MemoryBudget | None = None,
    like: TableLayout | None = None,
    watch: Callable[[Source], Source] | None = None,
) -> PreparedFrame:
    """The frame with its layout, after the checks of its schema; reads no row.

    `deleted` frames have keys of rows to delete. Without a `spare` memory budget, shared with other
    frames, it gets one of its own. Its columns are sent in the order of the layout `like`, if that
    has the same. `watch` returns the source to read in the place of the frame's own, with the same
    rows, which it may reject at their end (`Source.conclude`).

    Raises:
        FrameError: The frame cannot be sent.
        ConfigError: An option does not fit the frame.
    """
    stored = checked_name(table, "The table", ConfigError)
    if deleted:
        source, conversion = _read_keys(frame, options)
    else:
        source, conversion = read(frame, options.reading), options.conversion
    if watch is not None:
        source = watch(source)
    shape = build_layout(source.schema, options.keys, conversion)
    if like is not None:
        shape = shape.ordered_like(like)
    if options.deduplicate_by is not None:
        shape = _ranked_by("deduplicate_by", options.deduplicate_by, shape)
    if options.order_by is not None:
        shape = _ranked_by("order_by", options.order_by, shape)
    warnings = list(source.notes)
    for name, note in source.column_notes.items():
        if name in source.schema.names:
            warnings.append(note)
    if stored != table:
        warnings += stripped_note("table", [table])
    warnings += shape.notes
    prepared = _assembled(stored, source, shape, options, deleted, tuple(warnings), spare)
    if prepared.measure.on_bad != "drop":  # else it is not known yet how many are sent
        prepared.check_rows(source.rows or 0)
    return prepared


def with_layout(
    prepared: PreparedFrame,
    layout: TableLayout,
    *,
    table_lengths: Mapping[str, int],
    warnings: tuple[str, ...],
) -> PreparedFrame:
    """The frame with another layout, before anything was read of it.

    Args:
        prepared: The frame, which is not to be used any more.
        layout: Its layout, with the types of the table that is there.
        table_lengths: Lengths of the table's text columns, which strings must not exceed.
        warnings: Further warnings for the user.
    """
    found = _assembled(
        prepared.table, prepared.source, layout, prepared.options, prepared.deleted,
        prepared.warnings + warnings, prepared.spare,
    )  # fmt: skip
    found.table_lengths = found.measure.limits = table_lengths
    found.existing = prepared.existing
    return found


def _assembled(
    table: str,
    source: Source,
    layout: TableLayout,
    options: PushOptions,
    deleted: bool,  # private
    warnings: tuple[str, ...],
    spare: MemoryBudget | None,
) -> PreparedFrame:
    on_bad = "error" if deleted else options.on_bad
    measure = FrameValidator(
        layout,
        empty=options.replaces and not deleted,
        unique=options.deduplicate_by is None and not deleted,
        ordered=options.ordered and (source.partitions is None or source.partitions.ordered),
        on_bad=on_bad,
    )
    prepared = PreparedFrame(table, source, layout, measure, options, deleted, warnings, spare)
    if source.files is not None and on_bad == "error":
        prepared.passing = PassthroughFiles(
            source.files, layout, compression=options.codec,
            target_bytes=options.upload.chunk_bytes, deleted=deleted,
        )  # fmt: skip
    return prepared


def _read_keys(frame: Any, options: PushOptions) -> tuple[Source, ConversionOptions]:
    """The key columns of a frame of rows to delete, and how they are converted."""
    if not options.keys:
        raise KeyColumnError(
            "A delete needs keys=: the columns that identify the rows to delete.", parameter="keys"
        )
    others: set[str] = set()

    def choose(names: list[str]) -> list[str]:
        chosen = key_columns(names, options.keys, options.conversion)
        others.update(set(names) - set(chosen))
        return chosen

    source = read(frame, replace(options.reading, choose=choose, surrogates=False))
    return source, options.conversion.without(sorted(others))


def _ranked_by(option: str, name: str, shape: TableLayout) -> TableLayout:
    """The layout with the column marked that an option names, which decides between rows."""
    names = [column.name for column in shape.columns]
    if name not in names:
        raise KeyColumnError(
            f"{option}={name!r} is not a column of the frame.{did_you_mean(name, names)} It has "
            f"{listed(names)}.",
            parameter=option,
        )
    place = names.index(name)
    if shape.columns[place].pseudonymised:
        raise KeyColumnError(
            f"{option}={name!r} is to be pseudonymised, and pseudonyms have no order: choose "
            "another column.",
            column=name,
            parameter=option,
        )
    columns = list(shape.columns)
    columns[place] = replace(columns[place], ranks=True, age=option == "order_by")
    return shape.with_columns(tuple(columns))
