"""INT96 times in Parquet files: the unit in which they are read, so that no value changes.

INT96 holds nanoseconds of any year, and 64 bits do not: as nanoseconds Arrow reads the year 9999 as
1816, as microseconds it cuts the last three digits. Arrow up to version 22 also wrote times before
1970 with a negative part of a day, which are right as nanoseconds, if these hold them, and 584
years late as microseconds. Footers say none of this, so the INT96 columns, and no others, are read
once in both units before the rows are read.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._formatting import counted
from celonis_frames._sources.parquet_footer import translate_errors
from celonis_frames._sources.paths import Location
from celonis_frames.exceptions import ColumnTypeError

Unit = Literal["us", "ns"]

_MAX_NS = 9_223_372_036_854_775
"""Microseconds from 1970 that, as nanoseconds, do not fit 64 bits or only just."""


@dataclass
class Int96Times:
    """The INT96 columns that hold something peculiar."""

    nanoseconds: Counter[str] = field(default_factory=Counter)
    """Times with nanoseconds, counted by column."""
    far: set[str] = field(default_factory=set)
    """With times outside the years 1677 to 2262, which nanoseconds cannot hold."""
    negative: dict[str, str] = field(default_factory=dict)
    """With negative parts of a day, and a file that has them."""
    negative_files: set[str] = field(default_factory=set)
    """All files that have such columns."""

    @property
    def best_unit(self) -> Unit:
        """Nanoseconds if there are any and they can hold every time, else microseconds."""
        return "ns" if self.nanoseconds and not self.far else "us"

    @property
    def peculiar(self) -> set[str]:
        """All of these columns."""
        return {*self.nanoseconds, *self.far, *self.negative}

    def notes(self, unit: Unit) -> tuple[str, ...]:
        """Warnings that count what is lost in this unit; an error if a time became another one."""
        names = ", ".join(map(repr, sorted(self.far)))
        verb = "column {} has" if len(self.far) == 1 else "columns {} have"
        outside = f"{verb.format(names)} times outside the years 1677 to 2262"
        for name, file in self.negative.items() if self.far else ():
            raise ColumnTypeError(
                f"Column {name!r} of {file} has times before 1970 that Arrow 22 or older wrote in "
                f"INT96, which are only right as nanoseconds, but {outside}, which nanoseconds "
                "cannot hold: write the files again, without INT96 or with a newer version.",
                column=name,
            )
        if unit == "ns":
            return ()
        reason = f", since {outside}, which nanoseconds cannot hold" if self.far else ""
        return tuple(
            f"Column {name!r}: {counted(count, 'INT96 time')} with nanoseconds; unless the file is "
            f"sent as it is, only microseconds are kept{reason}."
            for name, count in sorted(self.nanoseconds.items())
        )


def find_times(
    files: Iterable[tuple[Location | str, Callable[[], Any]]], batch_rows: int
) -> Int96Times:
    """What the INT96 columns of Parquet files hold, each given by its name and an opener."""
    import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas if that is installed

    times = Int96Times()
    for file, open_file in files:
        with translate_errors(file), open_file() as content:
            opened = [
                pq.ParquetFile(content, coerce_int96_timestamp_unit=unit, buffer_size=1_048_576)
                for unit in ("us", "ns")
            ]
            paths = int96_paths(opened[0].metadata)
            names = [
                name
                for name in opened[0].schema_arrow.names
                # A name with a dot may add a column that is not INT96.
                if any(path == name or path.startswith(f"{name}.") for path in paths)
            ]
            if not names:
                continue
            arrow = str(opened[0].metadata.created_by).startswith("parquet-cpp")
            exact = _columns_without_nanoseconds(opened[0].metadata)
            both = [part.iter_batches(batch_size=batch_rows, columns=names) for part in opened]
            for coarse, fine in zip(*both, strict=True):
                for name, *pair in zip(coarse.schema.names, coarse, fine, strict=True):
                    for micros, nanos in zip(*map(_timestamps, pair), strict=True):
                        by_arrow = str(file) if arrow else None
                        _compare(times, name, micros, nanos, by_arrow, exact=name in exact)
    return times


def int96_paths(metadata: Any) -> list[str]:
    """The INT96 columns of a file, as Parquet names them."""
    columns = map(metadata.schema.column, range(metadata.num_columns))
    return [column.path for column in columns if column.physical_type == "INT96"]


def _columns_without_nanoseconds(metadata: Any) -> set[str]:
    """Columns whose times had none, by the schema that Arrow stores in its files."""
    stored = (metadata.metadata or {}).get(b"ARROW:schema")
    if stored is None:
        return set()
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    return {field.name for field in schema if "timestamp[ns" not in str(field.type)}


def _timestamps(array: Any) -> list[Any]:
    """The timestamps of a column, those inside lists, structs and maps included."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return [array]
    if pa.types.is_map(kind):
        return _timestamps(array.keys) + _timestamps(array.items)
    if pa.types.is_struct(kind):
        return [found for part in array.flatten() for found in _timestamps(part)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _timestamps(array.flatten())
    return []


def _compare(
    times: Int96Times, name: str, micros: Any, nanos: Any, arrow_file: str | None, *, exact: bool
) -> None:
    """Add to `times` how the same values differ by unit.

    `arrow_file` is their file if Arrow wrote it, `exact` whether microseconds held them exactly.
    """
    if (micros.type.unit, nanos.type.unit) != ("us", "ns"):
        return  # no INT96
    micros, nanos = micros.cast(pa.int64()), nanos.cast(pa.int64())
    # This also holds if the nanoseconds overflow, since the product overflows in the same way.
    fine = pc.not_equal(nanos, pc.multiply(micros, 1_000))
    early, late = pc.less_equal(micros, -_MAX_NS), pc.greater_equal(micros, _MAX_NS)
    far = pc.or_(early, late)
    times.nanoseconds += Counter({name: pc.sum(fine).as_py() or 0})
    # Arrow has no far times with nanoseconds: what looks like one is a negative part of a day.
    odd = fine if exact else pc.and_(far, fine)
    if arrow_file is not None and pc.any(odd).as_py():
        times.negative[name] = arrow_file
        times.negative_files.add(arrow_file)
        # Those that look late lie in the years 1677 to 1969, all others before.
        far = pc.and_not(pc.or_(far, odd), pc.and_(late, odd))
    if pc.any(far).as_py():
        times.far.add(name)
