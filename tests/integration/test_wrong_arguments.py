"""Arguments in the wrong place or of the wrong kind: what the errors say, and what they never show.

No message shows a cell of a frame, and a traceback shows the caller's line and at most three frames
of the library.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, Column, Timeouts, Upload, exceptions, local
from celonis_frames.exceptions import ConfigError, FrameError

CELL, NUMBER = "CELL-4711", 47110815.5  # longer than a port
DF = pd.DataFrame({"CASE_ID": [CELL], "EVENT_TIME": ["2024-01-02 03:04"], "AMOUNT": [NUMBER]})
FRAMES = {
    "pandas": DF,
    "polars": pl.from_pandas(DF),
    "lazy": pl.from_pandas(DF).lazy(),
    "pyarrow": pa.Table.from_pandas(DF),
    "series": DF["CASE_ID"],
}
ROWS = [{"CASE_ID": CELL}]
OURS = str(Path(celonis_frames.__file__).parent)


def fails(call: Callable[[], Any], kind: type[Exception] = ConfigError) -> str:
    """The message of a call's error, which shows no cell, in a short traceback."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert CELL not in message
    assert "47110815" not in message
    assert frames_of_ours(caught.value) <= 3
    return message


def frames_of_ours(error: BaseException) -> int:
    """The frames of the library that a traceback shows, causes included."""
    shown = traceback.TracebackException.from_exception(error)
    found = 0
    stacks = [shown]
    while stacks:
        one = stacks.pop()
        found += sum(frame.filename.startswith(OURS) for frame in one.stack)
        below = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        stacks += [below] if below is not None else []
    assert any(frame.filename == __file__ for frame in shown.stack), "the caller's line"
    return found


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_frame_in_the_wrong_place_is_named(connection: Celonis, frame: Any) -> None:
    """The message says what stands where, and the order of the arguments."""
    order = r"The order is push\(frame, pool, table\), or df.celonis.push\(pool, table\)"
    calls: list[Callable[[], Any]] = [
        lambda: connection.push("P", "T", frame),
        lambda: connection.push("P", frame, "T"),
        lambda: connection.push(DF, "P", frame),
        lambda: connection.push(DF, frame, "T"),
        lambda: DF.celonis.push(frame, "P", client=connection),
        lambda: pl.from_pandas(DF).celonis.push(frame, "P", client=connection),
        lambda: celonis_frames.push("P", "T", frame, client=connection),
    ]
    for call in calls:
        message = fails(call)
        assert type(frame).__name__ in message
        assert order.replace("\\", "") in message
    assert "The order is delete(frame" in fails(
        lambda: connection.delete("P", "T", frame, keys="K")
    )
    assert "The order is plan(frame" in fails(lambda: celonis_frames.plan("P", "T", frame))
    assert "The order is changes(pool, table)" in fails(
        lambda: connection.changes(frame, "P", keys="K")
    )
    for frames in ("P", [frame], frame):
        message = fails(lambda frames=frames: connection.push_many(frames, "P"))
        assert "The order is push_many(frames, pool)" in message
    with connection.changes("P", "T", keys="K") as changes:
        assert "str" not in fails(lambda: changes.upsert("P"), FrameError)


OPTIONS = ("keys", "columns", "rename", "index", "deduplicate_by", "verify", "nested", "binary",
           "infinity", "on_bad", "staging", "wait", "timeout", "progress", "client", "upload",
           "connection", "mode", "push_id")  # fmt: skip


OTHERS = {"rows": ROWS, "list": [4711.5], "bytes": CELL.encode()}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("frame", (FRAMES | OTHERS).values(), ids=FRAMES | OTHERS)
def test_no_option_shows_a_cell(connection: Celonis, option: str, frame: Any) -> None:
    """Whatever is given for an option by mistake, its type is named and not its content."""
    call: dict[str, Any] = {"client": connection, option: frame}
    kinds = (ConfigError, FrameError)
    message = fails(lambda: celonis_frames.push(DF, "P", "T", **call), kinds)  # type: ignore[arg-type]
    assert option in message or "deduplicate_by" in message


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_no_other_argument_shows_a_cell(connection: Celonis, frame: Any) -> None:
    """The same of everything else that takes arguments."""
    url, key = "https://team.eu-1.celonis.cloud", ApiKey("key-4f1c9a")
    calls: list[Callable[[], Any]] = [
        lambda: Column(frame),
        lambda: Column(length=frame),
        *(lambda name=name: Upload(**{name: frame}) for name in
          ("file_type", "compression", "chunk_bytes", "workers", "job_options")),
        lambda: Timeouts(connect=frame),
        lambda: Timeouts(read=frame),
        lambda: celonis_frames.connect(frame),
        *(lambda name=name: celonis_frames.connect(url, auth=key, **{name: frame}) for name in
          ("verify", "timeouts", "upload", "progress")),
        lambda: celonis_frames.connect(url, auth=frame),
        lambda: connection.resume(frame),
        lambda: connection.jobs(frame),
        lambda: connection.job("P", frame),
        lambda: connection.delete_job("P", frame),
        lambda: connection.pool(frame),
        lambda: connection.push_many({"T": DF}, "P", at_once=frame),
        lambda: connection.push_many({"T": DF}, "P", keys=frame),
        lambda: connection.push(DF, "P", "T", columns={"CASE_ID": frame}),
        lambda: connection.push(DF, "P", "T", upload={"workers": frame}),
    ]  # fmt: skip
    for call in calls:
        fails(call)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ROWS, ("list of dict", "pa.Table.from_pylist(rows)")),
        ((row for row in ROWS), ("generator of dict", "pl.DataFrame(rows)")),
        ([[CELL]], ("list of list", "pd.DataFrame(rows, columns=[…])")),
        ({"CASE_ID": [CELL]}, ("a dict", "pa.table(…)", "push_many")),
        (5, ("an int",)),
        (None, ("a NoneType",)),
        (pd.DataFrame, ("the class DataFrame",)),
        (f"A,B\n{CELL},2\n", ("line breaks", "pl.read_csv")),
        (CELL.encode(), ("a bytes",)),
    ],
    ids=["rows", "generator", "lists", "columns", "number", "none", "class", "text", "bytes"],
)
def test_what_is_no_frame_is_named(connection: Celonis, frame: Any, words: tuple[str, ...]) -> None:
    """The message says what was given, and how to make a frame of it."""
    message = fails(lambda: connection.push(frame, "P", "T"), FrameError)
    for word in words:
        assert word in message


def test_a_connection_is_no_frame(connection: Celonis) -> None:
    """A connection given first belongs to client=."""
    assert "client=" in fails(
        lambda: celonis_frames.push(connection, "P", "T", client=connection), FrameError
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keys": "CASEID"}, "Did you mean 'CASE_ID'?"),
        ({"keys": ["case_id"]}, "Did you mean 'CASE_ID'?"),
        ({"keys": "CASE_ID,AMOUNT"}, "keys=['CASE_ID', 'AMOUNT']"),
        ({"keys": "CASE_ID; AMOUNT"}, "keys=['CASE_ID', 'AMOUNT']"),
        ({"columns": {"EVENTTIME": "STRING"}}, "Did you mean 'EVENT_TIME'?"),
        ({"rename": {"Amount": "A"}}, "Did you mean 'AMOUNT'?"),
        ({"keys": "CASE_ID", "deduplicate_by": "EVENTTIME"}, "Did you mean 'EVENT_TIME'?"),
        ({"columns": {"AMOUNT": "DECIMAL"}}, "Did you mean 'FLOAT'?"),
        ({"columns": {"AMOUNT": "FLOATT"}}, "Did you mean 'FLOAT'?"),
        ({"columns": {5: "FLOAT"}}, "by strings, not by 5"),
        ({"upload": {"filetype": "CSV"}}, "Did you mean 'file_type'?"),
        ({"columns": {"EVENT_TIME": "DATETIME"}}, "pd.to_datetime(df['EVENT_TIME']"),
        ({"columns": {"EVENT_TIME": "DATETIME"}}, "pl.col('EVENT_TIME').str.to_datetime("),
        ({"columns": {"EVENT_TIME": "DATE"}}, "pl.col('EVENT_TIME').str.to_date("),
        ({"columns": {"CASE_ID": "INTEGER"}}, "pd.to_numeric(df['CASE_ID'])"),
    ],
)  # fmt: skip
def test_near_misses_are_suggested(connection: Celonis, options: Any, words: str) -> None:
    """A name or type that is nearly right is suggested, and a conversion is spelled out."""
    kinds = (ConfigError, FrameError)
    assert words in fails(lambda: connection.push(DF, "P", "T", **options), kinds)  # type: ignore[arg-type]
    assert words in fails(lambda: DF.celonis.plan("P", "T", **options), kinds)  # type: ignore[arg-type]
    category = DF.astype({"EVENT_TIME": "category", "CASE_ID": "category"})
    assert words in fails(lambda: category.celonis.plan("P", "T", **options), kinds)  # type: ignore[arg-type]


def test_of_many_columns_only_some_are_listed(connection: Celonis) -> None:
    """A wide frame does not make a message of its two thousand names."""
    wide = pa.table({f"COLUMN_{number}": [1] for number in range(2_000)})
    message = fails(lambda: connection.push(wide, "P", "T", keys="COLUMN1234"), FrameError)
    assert "Did you mean 'COLUMN_1234'" in message
    assert "(2,000 in all)" in message
    assert len(message) < 2_000


def test_a_port_in_use_suggests_a_free_one() -> None:
    """`--port 0`, or port=0, takes any free port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        message = fails(lambda: local.start(port=taken.getsockname()[1]))
    assert "port=0 (--port 0)" in message


def test_wrong_calls_show_only_the_callers_line(connection: Celonis) -> None:
    """A missing or misspelt argument is Python's TypeError, without frames of the library."""
    calls: list[Callable[[], Any]] = [
        lambda: connection.push(DF, "T"),  # type: ignore[call-arg]
        lambda: celonis_frames.push(DF, "P", "T", key="CASE_ID", client=connection),  # type: ignore[call-arg]
        lambda: DF.celonis.push("P", client=connection),
    ]
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call()
        assert frames_of_ours(caught.value) == 0


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("if_exists", 'mode="DELTA" adds rows, mode="REPLACE" recreates the table'),
        ("drop_if_exists", 'mode="REPLACE" recreates'),
        ("column_config", 'columns={"NAME": "INTEGER"} sets a type'),
        ("field_length", 'columns={"NAME": 500} a length'),
        ("primary_keys", "keys= names the key columns"),
        ("key", "keys= names"),
        ("table_name", "table= is the name"),
        ("data_pool", "pool= is the id or name"),
        ("data_source_id", "connection= is"),
        ("chunksize", 'upload={"chunk_bytes": "16 MB"}'),
        ("compression", 'upload={"compression": …}'),
        ("modes", "Did you mean 'mode'"),
        ("deduplicate", "Did you mean 'deduplicate_by'?"),
    ],
)
def test_keywords_of_other_libraries_name_what_does_it_here(
    connection: Celonis, keyword: str, words: str
) -> None:
    """Once, on the method, the function and the accessors alike; a far word gets no hint."""
    call: dict[str, Any] = {keyword: "x"}
    far: dict[str, Any] = {"zzz": "x"}
    calls: list[Callable[..., Any]] = [
        lambda **given: connection.push(DF, "P", "T", **given),
        lambda **given: celonis_frames.push(DF, "P", "T", client=connection, **given),
        lambda **given: DF.celonis.push("P", "T", client=connection, **given),
        lambda **given: pl.from_pandas(DF).celonis.push("P", "T", client=connection, **given),
        lambda **given: celonis_frames.plan(DF, "P", "T", **given),
    ]
    for push in calls:
        with pytest.raises(TypeError, match=rf"unexpected keyword argument '{keyword}'") as caught:
            push(**call)
        assert str(caught.value).count(words) == 1
        assert frames_of_ours(caught.value) == 0
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'$"):
            push(**far)


def test_a_hint_names_only_what_the_function_takes(connection: Celonis) -> None:
    """A delete has no mode; a function of the package without such words gives none."""
    call: dict[str, Any] = {"if_exists": "replace"}
    with pytest.raises(TypeError, match=r"'if_exists'$"):
        connection.delete(DF, "P", "T", keys="CASE_ID", **call)
    with pytest.raises(TypeError, match="Did you mean 'workers'"):
        Upload(worker=2)  # type: ignore[call-arg]


def test_errors_of_the_frame_and_the_job_are_short_too(
    local_celonis: local.LocalCelonis, tmp_path: Path
) -> None:
    """Whatever a push finds, at any step: the caller's line, and where it was found."""
    nulls = pd.DataFrame({"K": [1, None], "O": [1, CELL]})
    kinds = exceptions.CelonisFramesError
    with local_celonis.connect() as connection:
        pushes: list[Callable[[], Any]] = [
            lambda: connection.push(nulls[["K"]], "P", "T", keys="K"),
            lambda: connection.push(nulls, "P", "T"),
            lambda: connection.push(str(tmp_path / "none.parquet"), "P", "T"),
            lambda: connection.push(iter([DF, nulls]), "P", "T"),
            lambda: connection.push(DF, "P", "T", staging=str(tmp_path / "a\0b")),
            lambda: connection.push_many({"A": nulls}, "P"),
            lambda: connection.job("P", "j"),
        ]
        for push in pushes:
            fails(push, kinds)
        local_celonis.faults.fail_jobs("broken on purpose", times=3)
        for push in (
            lambda: connection.push(DF, "P", "T"),
            lambda: connection.push_many({"A": DF}, "P"),
            lambda: DF.celonis.push("P", "T", client=connection),
        ):
            assert "broken on purpose" in fails(push, exceptions.JobFailed)


def test_the_callers_own_errors_keep_their_lines(connection: Celonis) -> None:
    """An error in a generator of frames is raised as it is, with the line where it happened."""

    def frames() -> Iterator[pd.DataFrame]:
        yield DF
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError) as caught:
        connection.push(frames(), "P", "T")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.name) == (__file__, "frames")


def test_a_notebook_shows_the_same(tmp_path: Path) -> None:
    """IPython's traceback has the line of the cell and at most three frames of the library."""
    pytest.importorskip("IPython")
    cell = """import pandas as pd, celonis_frames
frame = pd.DataFrame({"CASE_ID": ["CELL-" + "4711"]})
frame.celonis.plan("P", "T", keys=["CASEID"])"""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--HistoryManager.enabled=False", "-c", cell],
        capture_output=True, text=True, check=False, env=os.environ | {"IPYTHONDIR": str(tmp_path)},
    )  # fmt: skip
    shown = re.sub("\x1b\\[[0-9;]*m", "", done.stdout + done.stderr)
    assert 'frame.celonis.plan("P", "T", keys=["CASEID"])' in shown
    assert 1 <= shown.count(f"File {OURS}".replace(str(Path.home()), "~")) <= 3, shown
    assert (
        "KeyColumnError: Key column 'CASEID' is not in the frame. Did you mean 'CASE_ID'?" in shown
    )
    assert CELL not in shown
