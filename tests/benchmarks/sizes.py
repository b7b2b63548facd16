"""Bytes of a push beside those of the usual recipe, and what each way to encode columns brings.

    python -m tests.benchmarks.sizes [--rows 1e6] [--repeat 5] [--folder F] [LOG ...]

The frames are the benchmark's and the logs given: CSV or Parquet files, as Polars reads them. First
come the files of a push, then variants, each with one thing changed from the first, `as chosen`:
row groups of 65,536 rows, with the dictionaries that a push chooses. Figures are ratios to the
bytes of the recipe (pandas, 100,000 rows a file, SNAPPY), and the CPU of writing to that of `as
chosen`: the least of all repetitions, because others use the machine too. `column by column` has
each column plain or with a dictionary, whichever is smaller: less than that these files cannot be.
"""

from __future__ import annotations

import argparse
import gc
import io
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from celonis_frames._encoding.column_encodings import ColumnEncodings, choose_encodings
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions

from . import frames

CODECS = ("snappy", "zstd")
_RECIPE_ROWS = 100_000
_GROUP_ROWS = 65_536
_LEAST_CPU_SECONDS = 0.05
"""Work whose CPU is shown: shorter work is mostly noise."""


@dataclass(frozen=True)
class Variant:
    """One way to write a table; `dictionaries` None are those chosen."""

    group_rows: int = _GROUP_ROWS
    dictionaries: Callable[[pa.Table], list[str]] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


VARIANTS: dict[str, Variant] = {
    "as chosen": Variant(),
    "no dictionaries": Variant(dictionaries=lambda _: []),
    "all dictionaries": Variant(dictionaries=lambda table: table.schema.names),
    "dictionaries up to 1 MB": Variant(more={"dictionary_pagesize_limit": 1_048_576}),
    "row groups of 16,384": Variant(group_rows=16_384),
    "row groups of 262,144": Variant(group_rows=262_144),
    "pages of 128 KB": Variant(more={"data_page_size": 131_072}),
    "pages of 8 MB": Variant(more={"data_page_size": 8_388_608}),
    "lowest level only": Variant(more={"compression_level": None}),
}


def recipe_bytes(table: pa.Table) -> int:
    """Bytes of the files of the usual recipe."""
    frame, size = table.to_pandas(), 0
    for start in range(0, len(frame), _RECIPE_ROWS):
        buffer = io.BytesIO()
        frame.iloc[start : start + _RECIPE_ROWS].to_parquet(
            buffer, index=False, use_deprecated_int96_timestamps=True, compression="snappy"
        )
        size += len(buffer.getvalue())
    return size


def push_bytes(table: pa.Table, codec: str) -> int:
    """Bytes of the chunks of a push."""
    prepared = prepare(table, "LOG", PushOptions.parse(upload={"compression": codec}))
    prepared.begin()
    size = 0
    for chunk in prepared.chunks():
        size += chunk.size
        chunk.release()
    prepared.close()
    return size


def write(table: pa.Table, codec: str, variant: Variant) -> tuple[Any, float]:
    """A file's footer, and the CPU seconds of writing it."""
    chosen = choose_encodings(table.slice(0, _GROUP_ROWS), codec)
    if variant.dictionaries is not None:
        chosen = ColumnEncodings(tuple(variant.dictionaries(table)), chosen.levels)
    options = {
        "compression_level": dict(chosen.levels) or None,
        "dictionary_pagesize_limit": 4_000_000,
        "use_dictionary": list(chosen.dictionaries) or False,
        **variant.more,
    }
    gc.collect()
    sink, begin = pa.BufferOutputStream(), time.process_time()
    pq.write_table(
        table, sink, row_group_size=variant.group_rows, compression=codec, store_schema=False,
        use_deprecated_int96_timestamps=True, write_statistics=False, **options,
    )  # fmt: skip
    seconds = time.process_time() - begin
    return pq.read_metadata(pa.BufferReader(sink.getvalue())), seconds


def column_bytes(footer: Any) -> list[int]:
    """Bytes of each column."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    return [
        sum(group.column(place).total_compressed_size for group in groups)
        for place in range(footer.num_columns)
    ]


def measure(table: pa.Table, codec: str, repeat: int) -> list[tuple[str, float, float | None]]:
    """What was written, its bytes ÷ the recipe's, and its CPU ÷ that of `as chosen`."""
    recipe = recipe_bytes(table)
    rows: list[tuple[str, float, float | None]] = [
        ("push", push_bytes(table, codec) / recipe, None)
    ]
    written: dict[str, list[int]] = {}
    seconds: dict[str, float] = {}
    for _ in range(repeat):
        for name, variant in VARIANTS.items():
            footer, cpu = write(table, codec, variant)
            written[name] = column_bytes(footer)
            seconds[name] = min(cpu, seconds.get(name, cpu))
    base = seconds["as chosen"]
    for name, sizes in written.items():
        cpu = seconds[name] / base if base > _LEAST_CPU_SECONDS else None
        rows.append((name, sum(sizes) / recipe, cpu))
    least = map(min, written["no dictionaries"], written["all dictionaries"])
    return [*rows, ("column by column", sum(least) / recipe, None)]


def read(path: Path) -> pa.Table:
    """A log, with all times as dates and times."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    else:
        separator = ";" if ";" in path.open().readline() else ","
        table = pl.read_csv(
            path, separator=separator, try_parse_dates=True, infer_schema_length=None
        ).to_arrow()
    for place, one in enumerate(table.schema):
        if pa.types.is_temporal(one.type):
            table = table.set_column(place, one.name, table[place].cast(pa.timestamp("us")))
    return table


def show(titles: Sequence[str], found: Mapping[tuple[str, str], list[Any]]) -> str:
    """The figures as a table in Markdown: bytes, and CPU in brackets."""
    names = [name for name, _, _ in next(iter(found.values()))]
    heads = [f"{title}, {codec}" for title in titles for codec in CODECS]
    lines = [
        "| bytes ÷ recipe's (CPU) | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for place, name in enumerate(names):
        cells = []
        for title in titles:
            for codec in CODECS:
                _, size, cpu = found[title, codec][place]
                cells.append(f"{size:.3f}" + ("" if cpu is None else f" ({cpu:.2f})"))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", nargs="*", type=Path, metavar="LOG")
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keeps the log's file for the next time")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = frames.write(wish.folder or Path(folder), int(wish.rows))
        tables = {f"{int(wish.rows):,} rows": pq.read_table(path)}
    tables |= {path.stem: read(path) for path in wish.logs}
    found = {
        (title, codec): measure(table, codec, wish.repeat)
        for title, table in tables.items()
        for codec in CODECS
    }
    print(show(list(tables), found))


if __name__ == "__main__":
    main()
