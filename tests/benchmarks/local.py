"""The local Celonis against DuckDB alone, on the same files.

    python -m tests.benchmarks.local [--rows 10e6] [--upsert 1e6] [--repeat 3] [--out local.json]

A REPLACE of the whole log, then an upsert into it of which half the rows are new. The server runs
in a process of its own and is given the files by the barest client; what counts is the time from
the submission until the job is seen to be done. DuckDB alone does the same work in a fresh process
as its best user would: ``CREATE TABLE AS`` and the faster of ``MERGE`` and of deletion and
insertion, each in one transaction, into a file of its own, as the server's table is in a file.
`--memory` has both in memory. Each repetition begins with new databases and new processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import frames
from .bare import Bare
from .lines import LINES, sink

TOKEN = "benchmark"
SERVE = """
import sys
from celonis_frames import local
celonis = local.start(sys.argv[1] or None, token=sys.argv[2], limits=False)
print(celonis.url, flush=True)
sys.stdin.read()
celonis.close()
"""
ALONE = """
import json, sys, time
import duckdb
path, way, rows, upsert = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
connection = duckdb.connect(path)
connection.execute("SET enable_progress_bar = false")
def timed(*statements):
    begin = time.perf_counter()
    for statement in statements:
        connection.execute(statement)
    return time.perf_counter() - begin
replace = timed(f"CREATE TABLE log AS SELECT * FROM read_parquet({rows})")
ways = {
    "merge": [f"MERGE INTO log USING read_parquet({upsert}) AS new USING (DOCUMENT) "
              "WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT"],
    "delete": ["BEGIN",
               f"CREATE TEMP TABLE new AS SELECT * FROM read_parquet({upsert})",
               "DELETE FROM log USING new WHERE log.DOCUMENT = new.DOCUMENT",
               "INSERT INTO log SELECT * FROM new",
               "COMMIT"],
}
print(json.dumps({"replace": replace, "upsert": timed(*ways[way]),
                  "rows": connection.execute("SELECT count(*) FROM log").fetchone()[0]}))
"""
TYPES = {"string": "STRING", "timestamp[us]": "DATETIME", "double": "FLOAT", "int64": "INTEGER",
         "bool": "BOOLEAN"}  # fmt: skip


def columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns of a job's table."""
    return [
        {"columnName": field.name, "columnType": TYPES[str(field.type)]}
        | ({"fieldLength": 255} if field.type == pa.string() else {})
        for field in schema
    ]


def encode(folder: Path, rows: int, *, first: int = 0) -> tuple[list[Path], pa.Schema]:
    """The log as files such as a push sends, of about 70 MB each, and its schema."""
    paths = []
    for number, piece in enumerate(map(frames.plain, frames.pieces(rows, first=first)), first):
        paths.append(folder / f"chunk-{number}-{rows}.parquet")
        pq.write_table(
            piece, paths[-1], row_group_size=200_000, use_dictionary=list(frames.DICTIONARY),
            use_deprecated_int96_timestamps=True, store_schema=False, write_statistics=False,
        )  # fmt: skip
    return paths, piece.schema


def upserts(folder: Path, rows: int, size: int) -> list[Path]:
    """Files of rows of which every other is in the log already, with another amount."""
    known = size // 2
    step = max(1, rows // known)
    old = pa.concat_tables(
        piece.take(pa.array(range(0, piece.num_rows, step))) for piece in frames.pieces(rows)
    ).slice(0, known)
    amount = old.schema.get_field_index("AMOUNT")
    old = old.set_column(amount, "AMOUNT", pa.array([0.0] * old.num_rows))
    beyond = -(-rows // frames.PIECE_ROWS)
    new = pa.concat_tables(frames.pieces(size - old.num_rows, first=beyond))
    path = folder / f"upsert-{size}.parquet"
    pq.write_table(
        frames.plain(pa.concat_tables([old, new])), path, row_group_size=200_000,
        use_dictionary=list(frames.DICTIONARY), use_deprecated_int96_timestamps=True,
        store_schema=False, write_statistics=False,
    )  # fmt: skip
    return [path]


@contextlib.contextmanager
def served(path: str) -> Iterator[str]:
    """A local Celonis in a process of its own; its address."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, path, TOKEN],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.communicate()


def through_celonis(
    path: str, files: Sequence[Path], more: Sequence[Path], schema: pa.Schema
) -> dict[str, float]:
    """Seconds of each step at the local Celonis."""
    seconds: dict[str, float] = {}
    with served(path) as url:
        bare = Bare(url, TOKEN)
        for name, mode, paths, keys in (
            ("replace", "REPLACE", files, []),
            ("upsert", "DELTA", more, [frames.KEY]),
        ):
            blocks = [memoryview(file.read_bytes()) for file in paths]
            job = bare.create("LOG", mode, columns(schema), keys=keys)
            begin = time.perf_counter()
            bare.upload(job, blocks)
            seconds[f"{name} upload"] = time.perf_counter() - begin
            seconds[name] = bare.execute(job)
        bare.close()
    return seconds


def to_the_sink(files: Sequence[Path]) -> float:
    """Seconds of the same upload to a server that keeps nothing."""
    with sink(LINES["loopback"]) as target:
        bare = Bare(target.url, TOKEN)
        blocks = [memoryview(file.read_bytes()) for file in files]
        job = bare.create("LOG", "REPLACE", [])
        begin = time.perf_counter()
        bare.upload(job, blocks)
        seconds = time.perf_counter() - begin
        bare.close()
    return seconds


def alone(path: str, way: str, files: Sequence[Path], more: Sequence[Path]) -> dict[str, float]:
    """Seconds of each step in DuckDB alone."""
    listed = [json.dumps([str(file) for file in paths]) for paths in (files, more)]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, path or ":memory:", way, *listed],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def main() -> None:
    """Print and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=10e6)
    parser.add_argument("--upsert", type=float, default=1e6)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="tables in memory, not in files")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    wish = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, schema = encode(folder, int(wish.rows))
        more = upserts(folder, int(wish.rows), int(wish.upsert))
        for number in range(wish.repeat):

            def database(who: str, number: int = number) -> str:
                return "" if wish.memory else str(folder / f"{who}-{number}.duckdb")

            run: dict[str, Any] = {
                "celonis": through_celonis(database("celonis"), files, more, schema),
                "merge": alone(database("merge"), "merge", files, more),
                "delete": alone(database("delete"), "delete", files, more),
            }
            for path in folder.glob("*.duckdb*"):
                if path.is_file():
                    path.unlink()
            best = {
                step: min(run["merge"][step], run["delete"][step]) for step in ("replace", "upsert")
            }
            run["ratio"] = {step: run["celonis"][step] / best[step] for step in best}
            run["sink upload"] = to_the_sink(files)
            run["upload ratio"] = run["celonis"]["replace upload"] / run["sink upload"]
            print(json.dumps(run))
            runs.append(run)
    if wish.out is not None:
        wish.out.write_text(json.dumps({"rows": wish.rows, "upsert": wish.upsert, "runs": runs}))


if __name__ == "__main__":
    main()
