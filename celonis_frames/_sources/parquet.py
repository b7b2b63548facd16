"""Parquet files as a frame: what each of them is, by its footer, and the rows of any of them."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow.batching import BATCH_ROWS, rows_per_batch
from celonis_frames._filesystem import address, translated
from celonis_frames._sources.iterables import align_to_schema, check_same_names, infer_schema
from celonis_frames.exceptions import FrameError

__all__ = ["LeafColumn", "ParquetFile", "ParquetFiles", "read_footer", "translate_errors"]

_UNIT = "us"
"""INT96 read as nanoseconds, the default, would turn the year 9999 into 1816 without a word."""
_FINE_UNIT = "ns"
"""For files that have nanoseconds, and no time that these do not reach."""
_FAR = 9_223_372_036_854_775
"""Microseconds from 1970, of which nanoseconds do not fit 64 bits, or just so."""


class LeafColumn(NamedTuple):
    """One column as a file stores it, in Parquet's own words."""

    path: str
    physical: str
    logical: str
    definition: int
    repetition: int


@dataclass(frozen=True)
class ParquetFile:
    """What a file is, by its footer.

    Attributes:
        path: Where it is, in its filesystem.
        size: Bytes; 0 where the filesystem does not tell.
        rows: Rows.
        schema: Arrow schema of its rows.
        leaves: Its columns as they are stored.
        codecs: Codecs of its column chunks, by Parquet's names.
        encodings: Encodings of its pages.
        width: Bytes of a row before compression, in the row group where they are most.
    """

    path: str
    size: int
    rows: int
    schema: pa.Schema
    leaves: tuple[LeafColumn, ...]
    codecs: frozenset[str]
    encodings: frozenset[str]
    width: float


class ParquetFiles:
    """Parquet files whose rows are one frame.

    Args:
        filesystem: Where they are.
        files: What they are; at least one.
        unit: Unit in which INT96 is read.

    Attributes:
        schema: Arrow schema of all rows.
        notes: Warnings about what their rows lose when they are read.

    Raises:
        FrameError: Their columns differ.
    """

    def __init__(self, filesystem: Any, files: Sequence[ParquetFile], unit: str = _UNIT) -> None:
        self.filesystem, self.files, self._unit = filesystem, tuple(files), unit
        self.notes: tuple[str, ...] = ()
        first = files[0].schema
        self._same_schema = all(file.schema is first or file.schema.equals(first) for file in files)
        width = max(16.0 * len(first), *(file.width for file in files))
        self._batch_rows = rows_per_batch(BATCH_ROWS, width)
        self.schema = first
        if not self._same_schema:
            for number, file in enumerate(files, start=1):
                check_same_names(file.schema, first.names, number)
            self.schema = infer_schema(
                (file.schema, functools.partial(self._read, [file])) for file in files
            )

    @classmethod
    def find(cls, patterns: Sequence[str]) -> Self:
        """The files at some paths, URLs or globs, in order.

        Raises:
            FrameError: There is none, one is no Parquet file, or their columns differ.
        """
        filesystem, paths = _paths(patterns)
        try:
            found = cls(filesystem, _footers(filesystem, paths, _UNIT))
            fine, far = found._times()
            if fine and not far:
                return cls(filesystem, _footers(filesystem, paths, _FINE_UNIT), _FINE_UNIT)
            found.notes = tuple(
                f"Column {name!r}: {count:,} times of INT96 have nanoseconds, of which only "
                f"microseconds are kept where rows are written anew, since {sorted(far)} have "
                "times that nanoseconds do not reach (1677 to 2262)."
                for name, count in sorted(fine.items())
            )
        except (ValueError, OSError, pa.ArrowException) as error:
            raise FrameError(f"{', '.join(patterns)} cannot be read as Parquet: {error}") from error
        return found

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of some files, or of all, in order.

        Args:
            positions: Which, counted from 0.
        """
        chosen = range(len(self.files)) if positions is None else positions
        if self._same_schema:
            # As one data set: it opens the next file while the last one is still read.
            yield from self._read([self.files[position] for position in chosen])
            return
        for position in chosen:
            for batch in self._read([self.files[position]]):
                yield align_to_schema(batch, self.schema, position + 1)

    def read_content(self, position: int, content: Any) -> tuple[ParquetFile, list[int], _Batches]:
        """What a file is and where its pages begin, and its rows, from its content.

        Args:
            position: Which file, counted from 0.
            content: A binary file, or a reader of Arrow; it is read as the rows are asked for.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = self.files[position]
        # Buffered, a file of one enormous row group is read piece by piece.
        opened = pq.ParquetFile(
            content, coerce_int96_timestamp_unit=self._unit, buffer_size=1_048_576
        )

        def rows() -> _Batches:
            for batch in opened.iter_batches(batch_size=self._batch_rows):
                yield (
                    batch
                    if self._same_schema
                    else align_to_schema(batch, self.schema, position + 1)
                )

        found = read_footer(opened, file.path, file.size, file)
        return found, _page_offsets(opened.metadata), rows()

    def page_offsets(self, position: int) -> list[int]:
        """Where the first data page of each column chunk of a file begins."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        metadata = pq.read_metadata(self.files[position].path, filesystem=self.filesystem)
        return _page_offsets(metadata)

    def _display_name(self, files: Sequence[ParquetFile]) -> str:
        more = f" or one of the {len(files) - 1:,} after it" if len(files) > 1 else ""
        return address(self.filesystem, files[0].path) + more

    def _times(self) -> tuple[Counter[str], set[str]]:
        """How many times of INT96 have nanoseconds, by column, and columns that these do not reach.

        Footers tell neither, so these columns, and no others, are read once more.

        Raises:
            FrameError: Times that are read rightly as nanoseconds alone, beside such columns.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        fine: Counter[str] = Counter()
        far: set[str] = set()
        odd: dict[str, str] = {}
        for file in self.files:
            names = [name for name in file.schema.names if _may_be_int96(name, file.leaves)]
            if not names or not file.rows:
                continue
            shown = address(self.filesystem, file.path)
            with translate_errors(shown), self.filesystem.open(file.path, "rb") as content:
                opened = [
                    pq.ParquetFile(content, coerce_int96_timestamp_unit=unit, buffer_size=1_048_576)
                    for unit in (_UNIT, _FINE_UNIT)
                ]
                arrow = str(opened[0].metadata.created_by).startswith("parquet-cpp")
                both = [
                    part.iter_batches(batch_size=self._batch_rows, columns=names) for part in opened
                ]
                for coarse, exact in zip(*both, strict=True):
                    for name, *pair in zip(coarse.schema.names, coarse, exact, strict=True):
                        for micros, nanos in zip(*map(_times_in, pair), strict=True):
                            found = _nanoseconds(micros, nanos)
                            fine[name] += found.fine
                            far |= {name} if found.far or (found.both and not arrow) else set()
                            if arrow and found.both:
                                odd[name] = shown
                                far |= {name} if found.early else set()
        if odd and far:
            name, shown = next(iter(odd.items()))
            raise FrameError(
                f"Column {name!r} of {shown} has times before 1970 as older versions of Arrow "
                f"wrote them in INT96, which can only be read as nanoseconds, but {sorted(far)} "
                "have times that these do not reach (1677 to 2262): write the files anew, without "
                "INT96 or by a newer version."
            )
        return +fine, far

    def _read(self, files: Sequence[ParquetFile], names: list[str] | None = None) -> _Batches:
        """The rows of files of one schema, or some of their columns."""
        import pyarrow.dataset as ds  # noqa: PLC0415

        options = ds.ParquetReadOptions(coerce_int96_timestamp_unit=self._unit)
        dataset = ds.dataset(
            [file.path for file in files],
            schema=files[0].schema,
            filesystem=self.filesystem,
            format=ds.ParquetFileFormat(read_options=options),
        )
        # Without a bound on rows and read-ahead a scan of wide files holds many decoded batches.
        with translate_errors(self._display_name(files)):
            yield from dataset.to_batches(
                columns=names,
                batch_size=self._batch_rows,
                batch_readahead=2,
                fragment_readahead=1,
            )


_Batches = Iterator[pa.RecordBatch]


def translate_errors(shown: str) -> contextlib.AbstractContextManager[None]:
    """Turns what reading a file raises into an error of this library.

    Args:
        shown: Which file, as it is to be shown.
    """
    return translated(
        f"The Parquet file {shown} cannot be read",
        "If it is damaged, write it anew.",
        kind=FrameError,
    )


def read_footer(opened: Any, path: str, size: int, before: ParquetFile | None) -> ParquetFile:
    """What the footer of an opened file says.

    Args:
        opened: A ``pyarrow.parquet.ParquetFile``.
        path: Where it is.
        size: Its bytes.
        before: Another file, with which it shares what is the same: there may be thousands.
    """
    metadata, schema = opened.metadata, opened.schema_arrow
    leaves = tuple(
        _leaf_column(metadata.schema.column(position)) for position in range(metadata.num_columns)
    )
    codecs, encodings, width = set(), set(), 0.0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        width = max(width, group.total_byte_size / max(group.num_rows, 1))
        for position in range(metadata.num_columns):
            column = group.column(position)
            codecs.add(str(column.compression))
            encodings.update(column.encodings)
    if before is not None and before.schema.equals(schema) and before.leaves == leaves:
        schema, leaves = before.schema, before.leaves
    return ParquetFile(
        path,
        size,
        int(metadata.num_rows),
        schema,
        leaves,
        _interned(frozenset(codecs)),
        _interned(frozenset(encodings)),
        width,
    )


def _footers(filesystem: Any, paths: Sequence[str], unit: str) -> list[ParquetFile]:
    import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas where that is installed

    files: list[ParquetFile] = []
    for path in paths:
        with pq.ParquetFile(
            path, filesystem=filesystem, coerce_int96_timestamp_unit=unit
        ) as opened:
            before = files[-1] if files else None
            files.append(read_footer(opened, path, filesystem.size(path) or 0, before))
    return files


def _may_be_int96(name: str, leaves: Sequence[LeafColumn]) -> bool:
    """Whether a column is, or holds within it, INT96; a name with a dot may mislead."""
    return any(
        leaf.physical == "INT96" and (leaf.path == name or leaf.path.startswith(f"{name}."))
        for leaf in leaves
    )


def _times_in(array: Any) -> list[Any]:
    """The times in a column, also those within lists, structs and maps."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return [array]
    if pa.types.is_map(kind):
        return _times_in(array.keys) + _times_in(array.items)
    if pa.types.is_struct(kind):
        return [found for part in array.flatten() for found in _times_in(part)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _times_in(array.flatten())
    return []


class _Moments(NamedTuple):
    """What times of INT96 are like.

    Attributes:
        fine: How many have nanoseconds.
        far: Whether there are any that nanoseconds do not reach, and that have none.
        both: Whether there are any that nanoseconds do not reach, and that have some. Arrow has no
            such times, but its older versions (18) wrote negative parts of a day for times before
            1970, which it reads as nanoseconds rightly, and else as 584 years later.
        early: Whether one of these comes before what nanoseconds reach.
    """

    fine: int
    far: bool
    both: bool
    early: bool


def _nanoseconds(coarse: Any, exact: Any) -> _Moments:
    """What times are like that were read to the microsecond, and to the nanosecond."""
    if (coarse.type.unit, exact.type.unit) != (_UNIT, _FINE_UNIT):
        return _Moments(0, far=False, both=False, early=False)  # no INT96
    micros, nanos = coarse.cast(pa.int64()), exact.cast(pa.int64())
    # It holds where the nanoseconds overflow too, for the product does so likewise.
    fine = pc.not_equal(nanos, pc.multiply(micros, 1_000))
    early, late = pc.less_equal(micros, -_FAR), pc.greater_equal(micros, _FAR)
    far = pc.or_(early, late)
    return _Moments(
        int(pc.sum(fine).as_py() or 0),
        far=bool(pc.any(pc.and_not(far, fine)).as_py()),
        both=bool(pc.any(pc.and_(far, fine)).as_py()),
        early=bool(pc.any(pc.and_(early, fine)).as_py()),
    )


def _leaf_column(column: Any) -> LeafColumn:
    return LeafColumn(
        column.path,
        column.physical_type,
        str(column.logical_type),
        column.max_definition_level,
        column.max_repetition_level,
    )


def _page_offsets(metadata: Any) -> list[int]:
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return [
        column.data_page_offset
        for group in groups
        for position in range(metadata.num_columns)
        if (column := group.column(position)).num_values
    ]


@functools.lru_cache(maxsize=64)
def _interned(words: frozenset[str]) -> frozenset[str]:
    return words


def _paths(patterns: Sequence[str]) -> tuple[Any, list[str]]:
    filesystem, files = None, []
    try:
        for pattern in patterns:
            filesystem, _, paths = fsspec.get_fs_token_paths(pattern)
            if len(paths) == 1 and filesystem.isdir(paths[0]):
                paths = filesystem.glob(paths[0].rstrip("/") + "/**/*.parquet")
            if not paths or not filesystem.exists(paths[0]):
                raise FrameError(f"No Parquet file at {pattern!r}: nothing to push.")
            files += sorted(paths)
    except (ImportError, ValueError, OSError) as error:
        raise FrameError(f"{', '.join(patterns)} cannot be read as Parquet: {error}") from error
    return filesystem, files
