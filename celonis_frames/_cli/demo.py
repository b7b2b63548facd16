"""`celonis-frames demo`: the main job, end to end on a local Celonis, checked value by value."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from celonis_frames._api.client import INGESTION_PATH
from celonis_frames._formatting import format_bytes
from celonis_frames._http.messages import CallEvent
from celonis_frames._temporary import temporary_folder_errors
from celonis_frames.exceptions import ConfigError

KEYS = ("CASE_ID", "EVENT_ID")
POOL, TABLE = "Purchasing", "EVENTS"

_UUID = re.compile(r"([0-9a-f]{4})[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WIDTH = 80

Say = Callable[..., object]


def run(path: str | None, *, cases: int, keep: bool, say: Say) -> int:
    """Push a purchase-to-pay log from pandas and a second day from polars, and compare.

    The DuckDB file at `path` is left behind; None makes one in a new temporary folder. A case has
    about seven events. Returns 0 if every value in the table is the one sent, else 1.

    Raises:
        ImportError: pandas, polars or the local Celonis is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415  # only the demo needs it
        import polars as pl  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            'The demo needs pandas and polars: pip install "celonis-frames[local,pandas,polars]"'
        ) from error
    from celonis_frames import local  # noqa: PLC0415  # needs an extra
    from celonis_frames.local._sample_data import (  # noqa: PLC0415  # the same
        changed_and_new,
        purchase_to_pay,
    )

    with temporary_folder_errors("The tables of the demo are", kind=ConfigError):
        file = path or str(Path(tempfile.mkdtemp(prefix="celonis-demo-")) / "celonis.duckdb")
    first = purchase_to_pay(cases)
    second = changed_and_new(first)
    with local.start(file) as celonis, celonis.connect() as connection:
        connection._transport.listeners.append(lambda event: say(_line(event)))  # noqa: SLF001
        say(f"A local Celonis runs at {celonis.url}")

        def push(frame: Any, mode: Any, expected: pa.Table) -> bool:
            keys = list(KEYS)
            status = connection.push(frame, POOL, TABLE, mode=mode, keys=keys, progress=False)
            say(_wrapped(repr(status)))
            return _compare(say, celonis.table(POOL, TABLE), expected)

        say(f"\npandas · REPLACE {POOL}.{TABLE} · {first.num_rows:,} events")
        frame: Any = first.to_pandas(integer_object_nulls=False, types_mapper=_nullable(pd))
        ok = push(frame, "REPLACE", first)

        say(f"\npolars · DELTA on {', '.join(KEYS)} · {second.num_rows:,} changed and new events")
        ok = push(pl.from_arrow(second), "DELTA", _upserted(first, second)) and ok

        say("\nEverything arrived as it was sent." if ok else "\nSomething arrived differently.")
        if keep:
            say(f"Look at {celonis.url} — stop with Ctrl-C.")
            _until_interrupted()
    say(f"The tables are in {file} ({format_bytes(Path(file).stat().st_size)}).")
    say(f"Look at them with\n  {_command()} serve {file}")
    return 0 if ok else 1


def _command() -> str:
    """This command as it was called, since it need not be on the PATH."""
    program = Path(sys.argv[0])
    if program.stem != "celonis-frames":
        return f"{sys.executable} -m celonis_frames"
    found = shutil.which(program.stem)
    return program.stem if found and program.samefile(found) else str(program)


def _line(event: CallEvent) -> str:
    """A call as one line of a terminal."""
    path = _UUID.sub(r"\1…", event.path.removeprefix(INGESTION_PATH))
    sent, received = event.bytes_sent, event.bytes_received
    size = f"↑ {format_bytes(sent)}" if sent else f"↓ {format_bytes(received)}"
    result = event.error or event.status
    return f"  {event.method:<4} {path:<44} {result} {event.seconds * 1000:>6,.0f} ms  {size}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def _nullable(pd: Any) -> Callable[[pa.DataType], Any]:
    """Pandas types that keep integers with nulls integers, as a careful user has them."""
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get


def _upserted(first: pa.Table, second: pa.Table) -> pa.Table:
    """What the table must hold after the second day: worked out here, row by row."""
    rows = {tuple(row[key] for key in KEYS): row for row in first.to_pylist()}
    rows |= {tuple(row[key] for key in KEYS): row for row in second.to_pylist()}
    return pa.Table.from_pylist(list(rows.values()), schema=first.schema)


def _compare(say: Say, there: pa.Table, sent: pa.Table) -> bool:
    """Say whether every value that was sent stands in the table, and nothing else."""
    if there.schema.names != sent.schema.names or there.num_rows != sent.num_rows:
        say(
            f"  ✗ {there.num_rows:,} rows, columns {there.schema.names}; "
            f"sent were {sent.num_rows:,} rows, columns {sent.schema.names}"
        )
        return False
    order = [(key, "ascending") for key in KEYS]
    here, back = sent.sort_by(order).to_pydict(), there.sort_by(order).to_pydict()
    different = 0
    for name in sent.schema.names:
        wrong = sum(
            _as_stored(value) != other for value, other in zip(here[name], back[name], strict=True)
        )
        if wrong:
            say(f"  ✗ column {name}: {wrong:,} values differ")
        different += wrong
    if not different:
        values = sent.num_rows * sent.num_columns
        say(f"  ✓ read back: {sent.num_rows:,} rows, {values:,} values, all equal")
    return not different


def _as_stored(value: Any) -> Any:
    """The value as Celonis keeps it: a date is the midnight of its day (see docs/types.md)."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time())
    return value


def _until_interrupted() -> None:
    # A wait without end would miss Ctrl-C: the handler that polars installs lets it go on waiting.
    stop = threading.Event()
    try:
        while not stop.wait(0.5):
            pass
    except KeyboardInterrupt:
        return
