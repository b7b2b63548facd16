"""Files on the command line: formats, types, and what is wrong with them, up to the table."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import lzma
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pyarrow as pa
import pytest
from command_line import exit_status

Result = tuple[int, str, str]
Run = Callable[..., Result]

CSV = "ID;PLZ;WHEN;DAY;NET\n1;01067;2024-01-02 03:04:05;31.12.2024;1,5\n2;10115;;01.01.2025;2\n"
ROWS = [
    {"ID": 1, "PLZ": "01067", "WHEN": dt.datetime(2024, 1, 2, 3, 4, 5),
     "DAY": dt.datetime(2024, 12, 31), "NET": 1.5},
    {"ID": 2, "PLZ": "10115", "WHEN": None, "DAY": dt.datetime(2025, 1, 1), "NET": 2.0},
]  # fmt: skip
GERMAN = ("--read-option", "decimal_comma=true", "--column", "DAY=DATETIME:%d.%m.%Y")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], server: Any, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path) -> Run:  # fmt: skip
    """A function that runs a command in this process, connected, in a folder of its own."""
    monkeypatch.setenv("CELONIS_URL", server.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", server.token)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: (exit_status(*arguments), *capsys.readouterr())


@pytest.fixture
def push(run: Run, table: str) -> Run:
    """A function that pushes files into the table of the test."""
    return lambda *arguments: run("push", *arguments, "--pool", "Files", "--table", table)


def _stored(server: Any, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = server.table("Files", table).to_pylist()
    return sorted(rows, key=str)


def _write(name: str) -> None:
    frame = pl.DataFrame(ROWS)
    path = Path(name)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix in (".arrow", ".feather"):
        frame.write_ipc(path)
    elif path.suffix == ".arrows":
        frame.write_ipc_stream(path)
    elif path.suffix == ".jsonl":
        text = "\n".join(json.dumps(row, default=lambda value: f"{value:%Y-%m-%dT%H:%M:%S}")
                         for row in ROWS)  # fmt: skip
        path.write_text(text, "utf-8")
    elif path.suffix == ".xlsx":
        frame.write_excel(path)
    else:
        opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix, open)
        if path.suffix == ".zst":
            with pa.CompressedOutputStream(name, "zstd") as file:
                file.write(CSV.encode())
            return
        with opener(path, "wb") as file:
            file.write(CSV.encode())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.parquet", ()),
        ("x.parquet", ("--read-option", "columns=ID,PLZ,WHEN,DAY,NET")),
        ("x.arrow", ()),
        ("x.arrows", ()),
        ("x.jsonl", ()),
        ("x.xlsx", ()),
        ("x.csv", GERMAN),
        ("x.csv.gz", GERMAN),
        ("x.csv.bz2", GERMAN),
        ("x.csv.xz", GERMAN),
        ("x.csv.zst", GERMAN),
        ("[x]*.csv", GERMAN),
        ("noname", (*GERMAN, "--format", "csv")),
    ],
)
def test_each_format_arrives(
    push: Run, server: Any, table: str, name: str, options: tuple[str, ...]
) -> None:
    """Compressed or not, with the types and values of the file."""
    _write(name)
    status, out, err = push(name, *options, "--keys", "ID")
    assert (status, "DONE" in out) == (0, True), err
    assert _stored(server, table) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings(push: Run, server: Any, table: str, encoding: str) -> None:
    """A mark at the start is recognised and no part of the first name; others are named."""
    Path("x.csv").write_bytes("NAME,ORT\nJürgen,Köln\n".encode(encoding))
    status, _, err = push("x.csv")
    if encoding == "cp1252":
        assert (status, "x.csv is not UTF-8: line 2" in err) == (3, True)
        assert push("x.csv", "--read-option", "encoding=cp1252")[0] == 0
    assert _stored(server, table) == [{"NAME": "Jürgen", "ORT": "Köln"}]


def test_several_files_globs_and_urls(push: Run, server: Any, table: str) -> None:
    """They are one table: a column is a number only if it is one in every file."""
    memory = fsspec.filesystem("memory")
    with memory.open("/cli/c.csv", "wb") as file:
        file.write(b"B,A\n4,0045\n")
    for name, text in (("a.csv", "A,B\n1,1\n"), ("b1.csv", "A,B\n2,2\n"), ("b2.csv", "A,B\n3,3\n")):
        Path(name).write_text(text)
    assert push("a.csv", "b*.csv", "memory://cli/c.csv")[0] == 0
    assert [(row["A"], row["B"]) for row in _stored(server, table)] == [
        ("0045", 4), ("1", 1), ("2", 2), ("3", 3)
    ]  # fmt: skip
    Path("YEAR=2024").mkdir()
    Path("YEAR=2024/d.csv").write_text("A,B\n9,9\n")
    assert push("YEAR=2024/*.csv", "--mode", "replace", "--column", "A=STRING")[0] == 0
    assert _stored(server, table) == [{"A": "9", "B": 9, "YEAR": 2024}]


def test_standard_input(server: Any, table: str) -> None:
    """A file that is piped in, in a process of its own."""
    command = [sys.executable, "-m", "celonis_frames", "push", "-", "--pool", "Files"]
    environment = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token, "PATH": ""}

    def piped(*options: str, data: bytes = b"A\n1\n") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*command, "--table", table, *options], input=data, env=environment,
                              capture_output=True, check=False)  # fmt: skip

    assert piped("--format", "csv").returncode == 0
    assert _stored(server, table) == [{"A": 1}]
    done = piped()
    assert (done.returncode, b"needs --format" in done.stderr) == (2, True)
    done = piped("--format", "csv", data=b"")
    assert (done.returncode, b"Standard input is empty" in done.stderr) == (3, True)


def test_columns_that_are_asked_for(push: Run, server: Any, table: str) -> None:
    """Types by the name in the file or in the table; text that has no such type is an error."""
    Path("x.csv").write_text("Plz,Nr,Tag\n01067,7,2024-01-02\n10115,8,2024-01-03\n")
    assert push("x.csv", "--rename", "upper_snake", "--column", "PLZ=INTEGER", "--column",
                "Nr=20", "--column", "TAG=STRING")[0] == 0  # fmt: skip
    assert _stored(server, table)[1] == {"PLZ": 1067, "NR": "7", "TAG": "2024-01-02"}
    for options, expected, words in (
        (["Tag=DATETIME:%d.%m.%Y"], 3, "2 of 2 values cannot be read as DATETIME of the form"),
        (["Tag=INTEGER"], 3, "the first is in row 1"),
        (["Nope=DATE:%d"], 2, "'Nope', which the file does not have"),
    ):
        status, _, err = push("x.csv", "--column", *options)
        assert (status, words in err) == (expected, True), err
    status, _, err = push("x.csv", "--column", "Nr=INTEGER:%d")
    assert (status, "a format is for DATE, DATETIME, TIME" in err) == (2, True), err


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("", 3, "x.csv is empty"),
        ("A,B\n1,2,3\n", 3, "line 2 has 3 values, and the header has 2"),
        ('A,B\n1,2\n"x,3\n', 3, "a quote that opens in line 3 does not close"),
        ("A,A\n1,2\n", 3, "has 'A' twice"),
        (",A\n0,1\n", 3, "Column 1 of x.csv has no name; pandas writes its index so"),
        ("A,B\n1,2\n\n3,4\n", 0, "1 row without any value was left out"),
        ("1,2\n3,4\n", 0, "--read-option has_header=false"),
    ],
)
def test_what_is_wrong_with_a_csv_file(push: Run, text: str, status: int, words: str) -> None:
    """An error names the line, without its values; what is only odd is a note."""
    Path("x.csv").write_text(text)
    found, _, err = push("x.csv")
    assert (found, words in err) == (status, True), err
    assert "Traceback" not in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nope.csv"], 2, "No file at 'nope.csv'"),
        (["x.csv", "x.jsonl"], 2, "x.csv is CSV, x.jsonl is JSON lines"),
        (["x.txt"], 2, "The format of x.txt is not known by its name: give --format"),
        (["x.csv", "--read-option", "seperator=;"], 2, "Did you mean 'separator'"),
        (["x.csv", "--read-option", "separator"], 2, "must be NAME=VALUE"),
        (["x.csv", "--read-option", "has_header=maybe"], 2, "must be true or false"),
        (["x.csv", "--read-option", "columns=A,Z"], 2, "names 'Z', which x.csv does not have"),
        (["x.csv", "--read-option", "encoding=nope"], 2, "encoding='nope' is unknown"),
        (["x.jsonl"], 3, "x.jsonl: line 2 is no JSON object"),
        (["x.jsonl", "--format", "parquet"], 3, "cannot be read"),
        (["x.csv", "--format", "excel"], 3, "x.csv cannot be read as Excel"),
        (["oci://b/x.csv"], 2, 'since its driver is missing: pip install "ocifs"'),
        (["x.csv", "--keys", "Z"], 2, "Key column 'Z' is not in the frame"),
        (["x.csv", "--keys", "A,A"], 2, "is given twice"),
        (["x.csv", "--rename", "Y=Z"], 2, "columns that the frame does not have"),
        (["x.csv", "--rename", "A=B"], 2, "'B' and 'B' have the same name for Celonis"),
        (["x.csv", "--rename", "A= "], 2, "A column has an empty name"),
        (["x.csv", "--rename", "A=_CELONIS_CHANGE_DATE"], 2, "that Celonis adds itself"),
        (["n.csv"], 3, "have the same name for Celonis"),
        (["s.csv", "--column", "Ship mode=DATE"], 3, "--column 'Ship mode=DATE:%d.%m.%Y'."),
        (["x mode=DELTA.csv"], 3, "x mode=DELTA.csv"),
        (["n.csv", "--format", "parquet"], 3, "is read as Parquet: leave out --format. If"),
        (["t.txt", "--format", "parquet"], 3, "is read as Parquet: give --format csv. If"),
        (["x.csv", "--column", "Z=INTEGER"], 2, "'Z', which is not in the frame"),
        (["x.csv", "--column", "Z=DATE:%d"], 2, "'Z', which the file does not have"),
        (["x.csv", "--keys", "A", "--deduplicate-by", "Z"], 2, "is not a column of the frame"),
        (["x.csv", "--schema-mode", "freeze"], 2, "does not exist"),
        (["x.csv", "--staging", "memory://x"], 2, "in memory is lost when the command ends"),
        (["x.csv", "--staging", "memory://u:hunter2@x/y"], 2, "memory://x/y: what"),
        (["x.csv", "e.csv"], 3, "only e.csv ['C'] and only x.csv ['B']. Push"),
        (["gone.csv"], 2, "No file at 'gone.csv'"),
        (["gone-*.csv"], 2, "No file at 'gone-*.csv'"),
        (["gone.parquet"], 2, "No Parquet file at"),
        (["nope://b/x.csv"], 2, "fsspec knows no protocol"),
        (["x.csv", "--storage-option", "secret=env:NOT_SET_AT_ALL"], 2, "NOT_SET_AT_ALL is not"),
        (["x.csv", "--mode", "upsert"], 2, "--mode upsert is unknown"),
        (
            ["x.csv", "--mode", "repl"],
            2,
            "use DELTA, REPLACE or CREATE. Did you mean 'REPLACE'?",
        ),
        (["x.csv", "--on-bad", "dro"], 2, "use error, null or drop. Did you mean 'drop'?"),
        (["x.csv", "--column", "A=DATE:dd.mm.yyyy"], 2, "begin with %, 'A=DATE:%d.%m.%Y'."),
        (["x.csv", "--column", "A=DATETIME:YYYY-MM-DD hh:mm:ss"], 2, "%Y-%m-%d %H:%M:%S'."),
        (["x.csv", "--column", "A=DATETIME:yyyymmddThhmm"], 2, "'A=DATETIME:%Y%m%dT%H%M'."),
        *(
            (["x.csv", "--column", f"A=DATETIME:{form}"], 2, "begin with %, such as %d.%m.%Y.")
            for form in ("iso", "HH24:MI:SS", "dd-mon-yyyy", "mm:ss", "hh:mm am", "d.m.yyyy")
        ),
        (
            ["d.csv", "--column", "D=DATETIME"],
            3,
            "Give the format of its dates: --column D=DATETIME:%d.%m.%Y.",
        ),
        (["d.csv", "--column", "D=DATE:%Y-%m-%d"], 3, "--column D=DATE:%d.%m.%Y."),
        (["x.csv", "--rename", "snake", "--rename", "A=B"], 2, "leave the others out"),
        (["x.csv", "--pseudonymise", "A"], 2, "CELONIS_PSEUDONYM_KEY"),
    ],
)
def test_mistakes(push: Run, arguments: list[str], status: int, words: str) -> None:
    """Each is a sentence that says what to do, before anything is sent."""
    Path("x.csv").write_text("A,B\n1,2\n")
    Path("x.txt").write_text("A,B\n1,2\n")
    Path("e.csv").write_text("A,C\n1,2\n")
    Path("n.csv").write_text("a,A\n1,2\n")
    Path("s.csv").write_text("Ship mode;N\n31.12.2024;1\n")
    Path("x mode=DELTA.csv").write_bytes(b"")
    Path("t.txt").write_text("A,B\n1,2\n")
    Path("d.csv").write_text("D;N\n31.12.2024;1\n")
    Path("x.jsonl").write_text('{"A": 1}\n{"A":\n')
    found, out, err = push(*arguments)
    assert (found, out, words in err) == (status, "", True), err
    assert "Traceback" not in err


def test_infinite_numbers(push: Run, server: Any, table: str) -> None:
    """They stay text, with the options by which they are sent as NULL."""
    Path("x.csv").write_text("N,M\n1.5,a\ninf,b\n-Infinity,c\n")
    status, _, err = push("x.csv")
    words = "'N' is sent as text: besides its numbers it has infinite ones"
    assert (status, words in err) == (0, True), err
    options = ("--column", "N=FLOAT", "--infinity", "null")
    assert all(word in err for word in options)
    assert push("x.csv", "--mode", "replace", *options)[0] == 0
    assert [row["N"] for row in _stored(server, table)].count(None) == 2


def test_rows_that_are_too_short_are_counted(push: Run, server: Any, table: str) -> None:
    """What they lack is NULL; a quoted line break and a blank line make no such row."""
    Path("x.csv").write_text('A;B;C\n1;"x\ny";z\n6\n\n7;8\n;;1\n')
    status, _, err = push("x.csv")
    assert (status, "2 rows of x.csv have fewer values than the 3 of the first" in err) == (0, True)
    assert {"A": 6, "B": None, "C": None} in _stored(server, table)
    Path("x.csv").write_text('A;B\n1;"x\ny"\n;\n')
    status, _, err = push("x.csv", "--mode", "replace")
    assert (status, "fewer values" in err) == (0, False), err


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"A,B,C\n1,x,y\r3\n2,3,4\n", "quote_char=none"),  # no line ends at the bare CR
        (b"A,B,C\n#no row\n1,2\n1,2,3\n", "comment_prefix=# skip_rows_after_header=1"),
        (b'"Report\n2024"\nA,B,C\n1,2,3\n', "skip_rows=1"),
        (b"A,B,C\n1,2,3\n4,5\n", "n_rows=1"),
        (b"A,B,C\n1,2\n1,%s,3\n1\n" % (b"x" * 3_000_000), "columns=A,C"),
    ],
)
def test_short_rows_are_not_counted_where_the_number_is_not_sure(
    run: Run, content: bytes, options: str
) -> None:
    """A wrong number would be worse than none."""
    Path("x.csv").write_bytes(content)
    given = [f"--read-option={option}" for option in options.split()]
    status, out, err = run("plan", "x.csv", "--table", "T", *given)
    assert (status, "fewer values" in out + err) == (0, False), out + err


@pytest.mark.usefixtures("run")
def test_short_rows_of_a_file_that_is_not_utf8() -> None:
    """They print nothing, not even past the streams of Python; the error says what to do."""
    Path("x.csv").write_bytes(b"A,B,C\n1,\xff\n2,x,3\n")
    call = [sys.executable, "-m", "celonis_frames", "plan", "x.csv", "--table", "T"]
    found = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (found.returncode, "Traceback" in found.stderr) == (3, False), found.stderr
    assert "x.csv is not UTF-8: line 2 has other bytes" in found.stderr


@pytest.mark.parametrize("columns", [(), ("--read-option", "columns=C")])
def test_a_row_with_too_many_values(
    push: Run, server: Any, table: str, columns: tuple[str, ...]
) -> None:
    """An error, also if the column that is read comes before what is too much."""
    Path("x.csv").write_text("A,B,C\n1,x,3\n2,x,y,4\n")
    status, _, err = push("x.csv", *columns)
    assert (status, "line 3 has 4 values, and the header has 3" in err) == (3, True), err
    assert push("x.csv", *columns, "--read-option", "truncate_ragged_lines=true")[0] == 0
    assert [row["C"] for row in _stored(server, table)] == ["3", "y"]


def test_advice_on_dates_is_a_way_on(push: Run) -> None:
    """It names no format that was given, none of dates for a time, and is quoted for the shell."""
    quoted = "it's=DATE:%d.%m.%Y"
    Path("x.csv").write_text("D,it's\n31.02.2024,31.12.2024\n")
    for option, words in (
        ("D=DATETIME:%d.%m.%Y", "Correct the values, or send the column as text."),
        ("D=TIME", "Correct the values or the format, or send the column as text."),
        ("it's=DATE", f"--column {shlex.quote(quoted)}."),
    ):
        status, _, err = push("x.csv", "--column", option)
        assert (status, words in err, "Give the format" in err) == (3, True, option[0] == "i"), err


def test_excel_sheets_and_mixed_cells(push: Run, server: Any, table: str) -> None:
    """The first sheet unless another is named; identifiers beside numbers stay text."""
    workbook = pytest.importorskip("xlsxwriter").Workbook("x.xlsx")
    sheet = workbook.add_worksheet("Data")
    sheet.write_row(0, 0, ["MIXED", "LATE", "TIME"])
    clock = workbook.add_format({"num_format": "hh:mm"})
    for row in range(1, 300):
        sheet.write(row, 0, f"00{row}" if row == 250 else row)
        sheet.write(row, 1, "x" if row == 299 else row)
        sheet.write_datetime(row, 2, dt.time(8, 30), clock)
    workbook.add_worksheet("Other").write_column(0, 0, ["N", 5])
    workbook.close()
    status, _, err = push("x.xlsx", "--file-type", "csv")
    assert (status, "has 2 sheets, of which the first is read, 'Data'" in err) == (0, True), err
    stored = server.table("Files", table)
    assert stored["MIXED"].to_pylist()[248:251] == ["249", "00250", "251"]
    assert stored["LATE"].to_pylist()[297:] == ["298", "x"]
    assert push("x.xlsx", "--mode", "replace", "--read-option", "sheet_name=Other")[0] == 0
    assert _stored(server, table) == [{"N": 5}]
    status, _, err = push("x.xlsx", "--read-option", "sheet_name=Othr")
    assert (status, "Did you mean 'Other'?" in err) == (2, True)
    status, _, err = push("x.xlsx", "--column", "MIXED=INTEGER", "--column", "TIME=DATE:%d")
    assert (status, "'TIME' is no text" in err) == (2, True), err
    status, _, err = push("x.xlsx", "--column", "MIXED=INTEGER", "--read-option", "columns=Z")
    assert (status, "'Z', which x.xlsx (sheet 'Data') does not" in err) == (2, True), err


@pytest.mark.parametrize("cells", [[], ["Report of 2024"]])
def test_an_excel_title_page(push: Run, server: Any, table: str, cells: list[str]) -> None:
    """A first sheet without rows is named with the others, and empties no table."""
    workbook = pytest.importorskip("xlsxwriter").Workbook("x.xlsx")
    workbook.add_worksheet("Title").write_row(0, 0, cells)
    workbook.add_worksheet("Data").write_column(0, 0, ["N", 5])
    workbook.close()
    status, _, err = push("x.xlsx", "--mode", "replace")
    words = "x.xlsx (sheet 'Title') has no rows. Choose another sheet: --read-option sheet_name="
    assert (status, words in err, "['Title', 'Data']" in err) == (3, True, True), err
    assert push("x.xlsx", "--read-option", "sheet_name=Data")[0] == 0
    assert _stored(server, table) == [{"N": 5}]


def test_large_json_numbers_beside_fractions_stay_text(push: Run, server: Any, table: str) -> None:
    """As a FLOAT they would be other numbers."""
    Path("x.jsonl").write_text('{"N": 9007199254740993}\n{"N": 1.5}\n')
    status, _, err = push("x.jsonl")
    assert (status, "Column 'N' is sent as text" in err) == (0, True), err
    assert _stored(server, table) == [{"N": "1.5"}, {"N": "9007199254740993"}]
    Path("y.jsonl").write_text('{"N": 12345678901234567890}\n')
    assert push("y.jsonl", "--mode", "replace")[0] == 0
    assert _stored(server, table) == [{"N": "12345678901234567890"}]
    Path("z.jsonl").write_text('{"N": 9007199254740993}\n')
    Path("f.jsonl").write_text('{"N": 0.5}\n')
    status, _, err = push("z.jsonl", "f.jsonl", "--mode", "replace")
    assert (status, "'N' has whole numbers in z.jsonl with more digits" in err) == (3, True), err
    Path("z.jsonl").write_text('{"N": 7}\n')
    assert push("z.jsonl", "f.jsonl", "--mode", "replace")[0] == 0
    assert _stored(server, table) == [{"N": 0.5}, {"N": 7.0}]


def test_plan_shows_how_files_are_read(run: Run) -> None:
    """The types, the separator, and what stays text; as JSON too."""
    Path("x.csv").write_text(CSV)
    status, out, err = run("plan", "x.csv", "--table", "T")
    assert (status, err) == (0, "")
    assert "read from 1 file, CSV, separated by semicolon, UTF-8" in out
    assert "! Column 'NET' is sent as text: its numbers have decimal commas" in out
    _, out, _ = run("plan", "x.csv", "--table", "T", "--json")
    found = json.loads(out)
    assert found["reading"]["how"] == "CSV, separated by semicolon, UTF-8"
    assert len(found["reading"]["notes"]) == 3
    assert {one["name"]: one["type"] for one in found["columns"]} == {
        "ID": "INTEGER", "PLZ": "STRING", "WHEN": "DATETIME", "DAY": "STRING", "NET": "STRING",
    }  # fmt: skip


def test_a_later_file_follows_the_table(push: Run, run: Run, server: Any, table: str) -> None:
    """What is text there stays text, whatever this file has; a REPLACE finds the types anew."""
    Path("first.csv").write_text("V,DAY,N,F\n0100,x,1,2.50\n1.10,2024-01-01,2,1.25\n")
    assert push("first.csv", "--keys", "V")[0] == 0
    Path("next.csv").write_text("v,DAY,N,F\n100,2024-01-02,3,1.1\n1.50,2024-01-02,4,2.50\n")
    rename = ("--rename", "upper_snake")
    _, out, _ = run("plan", "next.csv", "--pool", "Files", "--table", table, "--keys", "V",
                    *rename, "--json")  # fmt: skip
    assert (json.loads(out)["level"], json.loads(out)["reading"]["notes"]) == (None, [])
    status, _, err = push("next.csv", "--keys", "V", *rename)
    assert (status, err) == (0, "")
    rows = {row["V"]: row for row in _stored(server, table)}
    assert set(rows) == {"0100", "1.10", "100", "1.50"}
    assert rows["100"] == {"V": "100", "DAY": "2024-01-02", "N": 3, "F": 1.1}
    call = ("next.csv", "--pool", "Files", "--table", table, "--keys", "V")
    assert "2 rows deleted" in run("delete", *call, *rename)[1]
    Path("points.csv").write_text("V,DAY,N,F\n1,x,1,1.234\n2,x,1,5.678\n")
    status, _, err = push("points.csv", "--keys", "V")
    words = "Column 'F' is FLOAT in the table, so that its points are read as decimal points. If"
    assert (status, words in " ".join(err.replace("!", "").split())) == (0, True), err
    assert {row["V"]: row["F"] for row in _stored(server, table)} == {
        "0100": 2.5, "1.10": 1.25, "1": 1.234, "2": 5.678,
    }  # fmt: skip
    Path("odd.csv").write_text("V,DAY,N,F\n1,x,1,1.234.567\n")
    status, _, err = push("odd.csv", "--keys", "V")
    assert (status, "its points may group thousands" in err) == (3, True), err
    assert re.search(r"Column 'F' \(string\).*\(first in row 1, counted from 1", err), err
    assert push("next.csv", "--mode", "replace", "--column", "F=FLOAT")[0] == 0
    assert _stored(server, table)[0]["DAY"] == dt.datetime(2024, 1, 2)


def test_a_number_for_a_column_of_text(push: Run) -> None:
    """Of a file with types: the way that keeps the table is named first."""
    pl.DataFrame({"V": ["a"]}).write_parquet("a.parquet")
    pl.DataFrame({"V": [1]}).write_parquet("b.parquet")
    assert push("a.parquet", "--keys", "V")[0] == 0
    status, _, err = push("b.parquet", "--keys", "V")
    assert status == 3
    assert re.search("send them as text with.*or recreate.*which drops all its rows", err), err
    assert push("b.parquet", "--keys", "V", "--column", "V=STRING")[0] == 0


def test_delete_reads_the_keys(push: Run, run: Run, server: Any, table: str) -> None:
    """Other columns of the file may be anything, and nothing is said of them."""
    Path("x.csv").write_text("K,V\n01,a\n02,b\n")
    assert push("x.csv", "--keys", "K")[0] == 0
    Path("gone.csv").write_text("K,ODD\n01,0045\n")
    status, out, err = run("delete", "gone.csv", "--pool", "Files", "--table", table, "--keys", "K")
    assert (status, "1 row deleted" in out, "ODD" in err) == (0, True, False), err
    assert _stored(server, table) == [{"K": "02", "V": "b"}]


def test_pseudonyms_and_secrets_come_from_the_environment(
    push: Run, server: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are in no output."""
    monkeypatch.setenv("CELONIS_PSEUDONYM_KEY", "CANARY-key")
    Path("x.csv").write_text("NAME,PLZ\nAnna,01067\n")
    status, out, err = push("x.csv", "--pseudonymise", "NAME", "--json")
    assert (status, "CANARY" in out + err) == (0, False), err
    [row] = _stored(server, table)
    assert (len(row["NAME"]), row["PLZ"]) == (32, "01067")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("module", "name", "line"),
    [
        ("polars", "x.csv", 'pip install "celonis-frames[polars]"'),
        ("polars", "x.xlsx", 'pip install "celonis-frames[excel,polars]"'),
        ("fastexcel", "x.xlsx", 'pip install "celonis-frames[excel,polars]"'),
    ],
)
def test_a_missing_reader_is_named(tmp_path: Path, module: str, name: str, line: str) -> None:
    """With the line that installs it; Parquet files need none."""
    pl.DataFrame({"A": [1]}).write_parquet(tmp_path / "x.parquet")
    pl.DataFrame({"A": [1]}).write_excel(tmp_path / "x.xlsx")
    (tmp_path / "x.csv").write_text("A\n1\n")
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from celonis_frames._cli.main import main\n"
        "assert main(['plan', 'x.parquet', '--table', 'T']) == 0\n"
        f"sys.exit(main(['plan', {name!r}, '--table', 'T']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, line in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("text", ["A\n1\n", "A\n1,2\n"])
def test_temporary_copies_are_removed(
    push: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Also if the file is broken."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with gzip.open("x.csv.gz", "wb") as file:
        file.write(text.encode())
    assert push("x.csv.gz")[0] == (0 if text == "A\n1\n" else 3)
    assert list(folder.iterdir()) == []
