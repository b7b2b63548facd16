"""Several files as one polars frame, whose text columns have the types that their values have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from celonis_frames._arrow.casts import MAX_EXACT_INTEGER
from celonis_frames._cli.reading.column_formats import (
    Conversion,
    conversion_error,
    conversions,
)
from celonis_frames._cli.reading.formats import Format
from celonis_frames._cli.reading.local_files import Copies, LocalFile
from celonis_frames._cli.reading.readers import (
    FileFrame,
    read_file,
    reading_errors,
)
from celonis_frames._cli.reading.reading import Reading, Wanted
from celonis_frames._cli.reading.text_types import (
    DATES,
    SAMPLE_ROWS,
    Finding,
    TextType,
    all_types,
    date_formats,
    find_types,
    misfits,
)
from celonis_frames._cli.reading.time_limit import collected
from celonis_frames._formatting import counted, listed, verb
from celonis_frames._schema.names import renamed
from celonis_frames.exceptions import ColumnTypeError, FrameError


def typed(
    files: Sequence[LocalFile],
    kind: Format,
    read_options: Mapping[str, Any],
    wanted: Wanted,
    copies: Copies,
) -> Reading:
    """The files as one frame.

    Raises:
        FrameError: A file cannot be read, or the files have different columns.
        ConfigError: An option makes no sense.
    """
    parts = [read_file(file, kind, read_options, copies) for file in files]
    reader = _Typing(parts, kind, read_options)
    schema = parts[0].frame.collect_schema()
    texts = [name for name, dtype in schema.items() if dtype == pl.String]
    # 1. What --column asks for.
    asked = conversions(
        schema.names(), texts, wanted, all_texts=kind.name not in ("arrow", "parquet")
    )
    # 2. What the values of the other text columns are; what is text in the table stays text.
    kept = {name for name in texts if _is_text(name, wanted) or not wanted.matters(name)}
    left = [name for name in texts if name not in kept | {one.name for one in asked}]
    there = wanted.type_there(left if reader.types else ())
    left = [name for name in left if there.get(name) != "STRING"]
    floats = [name for name in left if there.get(name) == "FLOAT"]
    found, blank = reader.find(left, asked, floats)
    # 3. The columns with these types.
    frame = reader.frame(asked, found, blank=blank)
    notes = [note for part in parts for note in part.notes]
    notes += [one.note for one in found.values() if one.note]
    if blank:
        notes.append(
            f"{counted(blank, 'row')} without any value {verb(blank, 'were', 'was')} left out."
        )
    how = list(dict.fromkeys(part.how for part in parts))
    return Reading(frame, "; ".join(how), tuple(dict.fromkeys(notes)), len(files))


def _is_text(name: str, wanted: Wanted) -> bool:
    """Whether --column says that a column is text."""
    given = wanted.types.get(name, wanted.types.get(renamed(name, wanted.rename)))
    return given is not None and not (isinstance(given, str) and given.upper() != "STRING")


class _Typing:
    """The rows of some files, and which types they have."""

    def __init__(
        self, parts: Sequence[FileFrame], kind: Format, options: Mapping[str, Any]
    ) -> None:
        self._parts, self._kind, self._options = parts, kind, options
        self._names = parts[0].frame.collect_schema().names()
        self._comma = options.get("decimal_comma", False)
        for part in parts[1:]:
            self._check_same_names(part)
        self._check_exact_floats()
        self._all = _stacked([part.frame for part in parts])

    def _check_same_names(self, part: FileFrame) -> None:
        names = part.frame.collect_schema().names()
        if sorted(names) != sorted(self._names):
            first = self._parts[0].file.name
            only = {
                part.file.name: [name for name in names if name not in self._names],
                first: [name for name in self._names if name not in names],
            }
            found = " and ".join(f"only {file} {listed(one)}" for file, one in only.items() if one)
            raise FrameError(
                f"{part.file.name} has other columns than {first}: {found}. Push files with "
                "different columns one after the other."
            )

    def _check_exact_floats(self) -> None:
        """Check that whole numbers stay exact which are fractions in another file.

        Raises:
            ColumnTypeError: A column has some that a FLOAT does not hold.
        """
        schemas = [part.frame.collect_schema() for part in self._parts]
        for name in self._names:
            if not any(schema[name] == pl.Float64 for schema in schemas):
                continue
            for part, schema in zip(self._parts, schemas, strict=True):
                if schema[name] != pl.Int64:
                    continue
                large = (pl.col(name).cast(pl.Float64).abs() >= MAX_EXACT_INTEGER).any()
                if collected(part.frame.select(large)).item():
                    raise ColumnTypeError(
                        f"Column {name!r} has whole numbers in {part.file.name} with more digits "
                        "than FLOAT holds, and fractions in another file. Make it text in all "
                        "files, or push them one after the other.",
                        column=name,
                    )

    def find(
        self, names: Sequence[str], asked: Sequence[Conversion], floats: Sequence[str]
    ) -> tuple[dict[str, Finding], int]:
        """The types of text columns, and the number of rows without any value.

        Raises:
            ColumnTypeError: A column cannot be converted as it was asked for.
        """
        types, found, blank = self.types, dict[str, Finding](), 0
        names = names if types else ()
        with self._errors():
            if names or self._kind.name == "csv":
                # Every value of a CSV file is read: one that is broken is an error now.
                found, blank = find_types(
                    self._all, names, types, self._is_blank, self._first_misfit, floats
                )
            for conversion in asked:
                self._check(conversion)
        return found, blank

    def frame(
        self, asked: Sequence[Conversion], found: Mapping[str, Finding], *, blank: int
    ) -> pl.LazyFrame:
        """All rows, in the types that were found."""
        converted = [one.convert(decimal_comma=self._comma).alias(one.name) for one in asked] + [
            _converted(name, one) for name, one in found.items()
        ]
        constants = [part.file.constants for part in self._parts]
        frames = []
        for part, columns in zip(self._parts, constants, strict=True):
            frame = part.frame
            if blank:
                frame = frame.filter(~self._is_blank)
            fixed = [
                pl.lit(pl.from_arrow(_array(scalar))).first().alias(constant.name)
                for constant, scalar in columns
                if constant.name not in self._names
            ]
            frames.append(frame.with_columns(converted).with_columns(fixed))
        return _stacked(frames)

    @property
    def types(self) -> Sequence[TextType]:
        """The types that text columns may get."""
        dates = self._options.get("try_parse_dates", True)
        if self._kind.name == "csv":
            if not self._options.get("infer_schema", True):
                return ()
            return all_types(decimal_comma=self._comma, dates=dates)
        return DATES if self._kind.name == "jsonl" and dates else ()

    @property
    def _is_blank(self) -> pl.Expr:
        # In a file with one column a line without text is a row without a value.
        if self._kind.name != "csv" or len(self._names) == 1:
            return pl.lit(False)
        return pl.all_horizontal([pl.col(name).is_null() for name in self._names])

    def _check(self, conversion: Conversion) -> None:
        text, value = pl.col(conversion.name), conversion.convert(decimal_comma=self._comma)
        lost = text.is_not_null() & value.is_null()
        for part in self._parts:
            counts = part.frame.select(lost.sum(), text.count().alias("count"))
            number, count = collected(counts).row(0)
            if number:
                row = _first_row(part, lost) or 0
                head = part.frame.select(text).head(SAMPLE_ROWS).collect().to_series()
                formats = date_formats(head)
                raise conversion_error(conversion, part.file.name, number, count, row, formats)

    def _first_misfit(self, name: str, kind: TextType) -> str:
        for part in self._parts:
            row = _first_row(part, misfits(pl.col(name), kind))
            if row is not None:
                return f"row {row:,} of {part.file.name}"
        return "a row that is no longer there"

    def _errors(self) -> Any:
        def explain() -> FrameError | None:
            return next(filter(None, (part.explain() for part in self._parts)), None)

        return reading_errors(self._parts[0].file, self._kind, explain)


def _first_row(part: FileFrame, condition: pl.Expr) -> int | None:
    """The number of the first row, from 1, for which it is true; None if there is none."""
    numbered = part.frame.with_row_index("", offset=1)  # no column of a file has no name
    found = collected(numbered.filter(condition).select("").head(1))
    return int(found.item()) if found.height else None


def _converted(name: str, finding: Finding) -> pl.Expr:
    column = pl.col(name)
    if finding.empty:
        return column.cast(pl.Null)
    return column if finding.type is None else finding.type.convert(column).alias(name)


def _stacked(frames: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """The rows of all frames, in the columns of the first."""
    if len(frames) == 1:
        return frames[0]
    names = frames[0].collect_schema().names()
    ordered = [frame.select(pl.selectors.by_name(*names)) for frame in frames]
    return pl.concat(ordered, how="vertical_relaxed")


def _array(scalar: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.array([scalar.as_py()], scalar.type)
