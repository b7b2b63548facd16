"""Several frames as one: their common schema, and rows cast to it.

A column has the type of the first frame with a value in it: an empty first frame, or a column that
begins with nulls, decides nothing. Frames that come before all types are known are spooled to a
temporary file, so that memory stays bounded.
"""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames._sources.alignment import (
    align_to_schema,
    check_same_names,
    is_wide,
    widest_type,
)
from celonis_frames._temporary import temporary_folder_errors
from celonis_frames.exceptions import FrameError

Batches = Iterator[pa.RecordBatch]

SPOOL_BYTES = 16_000_000
"""Bytes of spooled frames that are held in memory before they go to a file."""


class _ColumnTypes:
    """The names and types of the columns of several frames.

    `wide` says by the name of a column whether integers of any size can be sent.
    """

    def __init__(self, wide: Callable[[str], bool]) -> None:
        self.names: list[str] = []
        self.undecided: set[str] = set()
        self._fields: dict[str, pa.Field] = {}
        self._may_be_wide, self._wide = wide, set[str]()

    def add_frame(self, schema: pa.Schema, where: str) -> None:
        """Check the names of a frame; those of the first are the expected ones."""
        if not self._fields:
            self.names, self.undecided = schema.names, set(schema.names)
            self._fields = {field.name: field for field in schema}
            self._wide = set(filter(self._may_be_wide, self.names))
        check_same_names(schema, self.names, where)
        self._wide.update(field.name for field in schema if is_wide(field.type))

    def add_values(self, schema: pa.Schema, batch: pa.RecordBatch | None) -> None:
        """Record the type of every column that has its first value in this batch."""
        for name in list(self.undecided):
            place = schema.get_field_index(name)
            if batch is not None and casts.nulls(batch.column(place)) < batch.num_rows:
                self.undecided.discard(name)
                self._fields[name] = schema.field(place)
            elif pa.types.is_null(self._fields[name].type):
                self._fields[name] = schema.field(place)

    def schema(self) -> pa.Schema:
        """The common schema, as far as it is decided."""
        return pa.schema([self._fields[name].with_type(self._type(name)) for name in self.names])

    def _type(self, name: str) -> pa.DataType:
        kind = widest_type(self._fields[name].type)
        return WideInteger() if kind == pa.int64() and name in self._wide else kind


def _read_on(rows: Batches, schema: pa.Schema, types: _ColumnTypes, number: int) -> Batches:
    """The further rows of a frame that has to wait, in the schema of its first batch."""
    for batch in rows:
        types.add_values(schema, batch)
        later = _decode_views(batch)
        if later.schema != schema:
            later = align_to_schema(later, schema, f"a batch of frame {number}")
        yield later


def _spool_errors() -> contextlib.AbstractContextManager[None]:
    return temporary_folder_errors(
        "The first frames wait", kind=FrameError, instead=", or give the types of columns="
    )


def read_frames(
    frames: Iterator[tuple[pa.Schema, Callable[[], Batches]]],
    wide: Callable[[str], bool] = lambda _: False,
) -> tuple[pa.Schema, Callable[[], Batches]]:
    """The common schema of at least one frame, and a function that yields all rows in it, once.

    Args:
        frames: The schema of each frame, and a function that yields its rows.
        wide: Says by the name of a column whether integers of any size can be sent.

    Raises:
        FrameError: A frame has other columns than the first.
        ColumnTypeError: The types of a column cannot be combined without loss.
    """
    spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  # closed once it is read
    with contextlib.ExitStack() as stack:
        stack.callback(spool.close)  # unless all is well
        numbered = enumerate(frames, start=1)
        types = _ColumnTypes(wide)
        spooled = 0
        head: list[tuple[int, Batches]] = []
        for number, (schema, batches) in numbered:
            types.add_frame(schema, f"frame {number}")
            rows = batches()
            # The first batch is checked before any is spooled: it mostly decides every type.
            first = next(rows, None)
            types.add_values(schema, first)
            if not types.undecided:
                head = [(number, rows if first is None else chain([first], rows))]
                break
            spooled += 1
            first = None if first is None else _decode_views(first)
            kept = schema if first is None else first.schema
            sink = pa.ipc.new_stream(spool, kept)
            later = _read_on(rows, kept, types, number)
            for batch in later if first is None else chain([first], later):
                with _spool_errors():
                    sink.write_batch(batch)
            with _spool_errors():
                sink.close()
        stack.pop_all()
    names, common = types.names, types.schema()

    def all_batches() -> Batches:
        with spool:
            spool.seek(0)
            for number in range(1, spooled + 1):
                with pa.ipc.open_stream(spool) as source:
                    for batch in source:
                        yield align_to_schema(batch, common, f"frame {number}")
        for number, rows in head:
            for batch in rows:
                yield align_to_schema(batch, common, f"frame {number}")
        for number, (schema, batches) in numbered:
            check_same_names(schema, names, f"frame {number}")
            for batch in batches():
                yield align_to_schema(batch, common, f"frame {number}")

    weakref.finalize(all_batches, spool.close)  # if the rows are never read
    return common, all_batches


def infer_schema(frames: Iterable[tuple[pa.Schema, Callable[[list[str]], Batches]]]) -> pa.Schema:
    """The common schema of frames that can be read again, as `read_frames` finds it.

    Each function yields the rows of some columns: only those whose type is undecided are read.
    """
    types = _ColumnTypes(lambda _: False)
    for number, (schema, batches) in enumerate(frames, start=1):
        types.add_frame(schema, f"frame {number}")
        types.add_values(schema, None)
        # The first batch decides most types; only for the others all rows are read.
        for most in (1, None):
            for batch in islice(batches(sorted(types.undecided)), most) if types.undecided else ():
                types.add_values(batch.schema, batch)
                if not types.undecided:
                    break
    return types.schema()


def _decode_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows as they are spooled: a view would take along all the data of its buffers."""
    columns = [
        casts.decoded(column) if casts.is_view(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)
