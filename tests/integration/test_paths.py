"""Paths, URLs, globs and folders mean what those who write such folders mean."""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis, exceptions
from celonis_frames._sources.reader import read

pytestmark = pytest.mark.usefixtures("impatient")


def _write(path: Path, value: Any = "x", name: str = "A") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: [value]}), path)
    return path


def _rows(path: Any) -> dict[str, list[Any]]:
    source = read(path)
    return pa.Table.from_batches(list(source.batches()), source.schema).to_pydict()


def _values(path: Any) -> list[Any]:
    return _rows(path)["A"]


@pytest.mark.parametrize("how", ["folder", "glob", "partitions", "files", "iterator"])
def test_hive_partitions_are_columns(
    how: str, connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """Whichever way the files are given, their rows have the columns of their folders."""
    frame = pd.DataFrame({"ID": [1, 2, 3], "YEAR": [2023, 2023, 2024], "LAND": ["DE", "a/b", None]})
    frame.to_parquet(tmp_path, partition_cols=["YEAR", "LAND"])
    files = sorted(tmp_path.rglob("*.parquet"))
    paths: dict[str, Any] = {
        "folder": tmp_path,
        "glob": f"{tmp_path}/**/*.parquet",
        "partitions": [tmp_path / "YEAR=2024", str(tmp_path / "YEAR=2023")],
        "files": tuple(files),
        "iterator": iter(files),
    }
    connection.push(paths[how], "Paths", table, mode="REPLACE")
    rows = server.table("Paths", table).select(["ID", "YEAR", "LAND"]).sort_by("ID").to_pydict()
    assert rows == {"ID": [1, 2, 3], "YEAR": [2023, 2023, 2024], "LAND": ["DE", "a/b", None]}


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-20"], [1, -20]),
        (["0045", "46"], ["0045", "46"]),
        (["1", "1.50"], ["1", "1.50"]),
        (["1.0", "2.0"], ["1.0", "2.0"]),
        (["+1", "2"], ["+1", "2"]),
        (["9223372036854775807", "9223372036854775808"],) * 2,
        (["true", "false"], [True, False]),
        (["True", "false"], ["True", "false"]),
        (["2024-02-29", "0001-01-01"], [dt.date(2024, 2, 29), dt.date(1, 1, 1)]),
        (["2024-02-30", "2024-02-29"],) * 2,
        (["2024-02-29 09%3A30%3A00"], [dt.datetime(2024, 2, 29, 9, 30)]),
        (["__HIVE_DEFAULT_PARTITION__", "7"], [None, 7]),
        (["__HIVE_DEFAULT_PARTITION__"], [None]),
        (["nan", "inf"],) * 2,
        (["", "1"],) * 2,
        (["a%2Fb", "50%", "%FF", "x=y"], ["a/b", "50%", "%FF", "x=y"]),
    ],
    ids=str,
)
def test_a_partition_has_a_type_only_if_its_text_comes_back(
    texts: list[str], values: list[Any], tmp_path: Path
) -> None:
    """Every value's text comes back exactly from its type, or all are strings."""
    for number, text in enumerate(texts):
        _write(tmp_path / f"{number}" / f"P={text}" / "a.parquet", number)
    rows = _rows(f"{tmp_path}/*/*/*.parquet")
    assert dict(zip(rows["A"], rows["P"], strict=True)) == dict(enumerate(values))


def test_a_column_of_the_file_wins_over_its_folder(tmp_path: Path) -> None:
    """Polars writes partition columns into the files, too: those values are exact."""
    frame = pl.DataFrame({"A": [1, 2], "Year": ["023", "24"]})
    frame.write_parquet(pl.PartitionBy(tmp_path, key="Year", include_key=True), mkdir=True)
    assert _rows(tmp_path) == {"A": [1, 2], "Year": ["023", "24"]}


def test_files_of_other_partitions_are_named(tmp_path: Path) -> None:
    """A file without the folders of the others has other columns than they."""
    _write(tmp_path / "YEAR=2023" / "a.parquet")
    _write(tmp_path / "b.parquet")
    with pytest.raises(exceptions.FrameError, match=r"b\.parquet.*'YEAR'"):
        read(tmp_path)
    _write(tmp_path / "t" / "YEAR=1" / "YEAR=2" / "a.parquet")
    with pytest.raises(exceptions.FrameError, match=r"Two folders of .*'YEAR'"):
        read(tmp_path / "t")


def test_only_folders_that_are_given_are_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of the working directory, which a relative path does not name."""
    _write(tmp_path / "run=5" / "YEAR=2023" / "a.parquet")
    monkeypatch.chdir(tmp_path / "run=5")
    assert _rows("YEAR=2023/*.parquet") == _rows(Path()) == {"A": ["x"], "YEAR": [2023]}
    assert _rows("../run=5") == {"A": ["x"], "run": [5], "YEAR": [2023]}
    assert _rows("..") == {"A": ["x"], "run": [5], "YEAR": [2023]}
    monkeypatch.chdir("YEAR=2023")
    assert _rows("a.parquet") == {"A": ["x"]}


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    """Spark writes to ``_temporary`` first, and marks and checks what it wrote."""
    for name in ("a.parquet", "_temporary/0/b.parquet", "sub/.c.parquet", ".git/d.parquet",
                 "_metadata", "sub/_e.parquet"):  # fmt: skip
        _write(tmp_path / name, name)
    _write(tmp_path / "f.parquet", "f")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".a.parquet.crc").write_bytes(b"crc")
    (tmp_path / "sub_$folder$").touch()
    assert _values(tmp_path) == _values(f"{tmp_path}/*") == ["a.parquet", "f"]
    assert _values(f"{tmp_path}/**/*.parquet") == ["a.parquet", "f"]
    assert _values(f"{tmp_path}/sub/_*") == ["sub/_e.parquet"]  # spelled
    assert _values(tmp_path / "_temporary") == ["_temporary/0/b.parquet"]
    assert _values(tmp_path / "sub" / ".c.parquet") == ["sub/.c.parquet"]
    with pytest.raises(exceptions.FrameError, match="begin with _"):
        read(f"{tmp_path}/sub/*")
    with pytest.raises(exceptions.FrameError, match="No Parquet file in the folder"):
        read(tmp_path / "sub")


def test_a_partition_may_begin_with_an_underscore(tmp_path: Path) -> None:
    """As Spark reads it."""
    _write(tmp_path / "_DAY=1" / "a.parquet")
    assert _rows(tmp_path) == {"A": ["x"], "_DAY": [1]}


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("_delta_log/00000000000000000000.json", r"a Delta table.*DeltaTable\('.*scan_delta\('"),
        ("metadata/v1.metadata.json", r"an Iceberg table.*scan_iceberg"),
        ("metadata/00000-1.metadata.json", r"an Iceberg table.*pyiceberg"),
        ("metadata/version-hint.text", r"an Iceberg table"),
        (".hoodie/hoodie.properties", r"a Hudi table"),
    ],
)
def test_folders_of_tables_are_rejected(log: str, said: str, tmp_path: Path) -> None:
    """Their log says which files are valid: others hold rows that were deleted or never committed.

    So are globs over them, their partitions, and folders that hold them.
    """
    _write(tmp_path / "top" / "t" / "data" / "YEAR=2023" / "a.parquet")
    _write(tmp_path / "top" / "t" / "b.parquet")
    file = tmp_path / "top" / "t" / log
    file.parent.mkdir()
    file.write_text(json.dumps({}))
    for path in (
        tmp_path / "top", tmp_path / "top" / "t",
        f"{tmp_path}/top/t/*.parquet", f"{tmp_path}/top/*",
        f"{tmp_path}/*/t/data/*/*.parquet", tmp_path / "top" / "t" / "data",
        tmp_path / "top" / "t" / "data" / "YEAR=2023",
    ):  # fmt: skip
        with pytest.raises(exceptions.FrameError, match=said) as caught:
            read(path)
        assert str(tmp_path / "top" / "t") in str(caught.value)


def test_tables_in_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    """As all that is in them."""
    _write(tmp_path / "a.parquet")
    (tmp_path / ".trash" / "t" / "_delta_log").mkdir(parents=True)
    assert _values(tmp_path) == _values(f"{tmp_path}/*") == ["x"]


def test_a_folder_may_be_named_metadata(tmp_path: Path) -> None:
    """Only what Iceberg writes makes it the log of a table."""
    _write(tmp_path / "data" / "a.parquet", 1)
    _write(tmp_path / "metadata" / "b.parquet", 2)
    assert _values(tmp_path) == [1, 2]


def test_files_count_by_their_content(tmp_path: Path) -> None:
    """Whatever their names end in; one that is no Parquet file is an error that names it."""
    names = ("000000_0", "a.parquet", "b.pq", "c.PARQUET", "d.parquet.snappy")
    for name in names:
        _write(tmp_path / name, name)
    assert _values(tmp_path) == sorted(names)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "notes.txt").write_text("no Parquet")
    with pytest.raises(exceptions.FrameError, match=r"notes\.txt.*glob"):
        read(tmp_path)
    assert _values(f"{tmp_path}/*.parquet") == ["a.parquet"]
    (tmp_path / "sub" / "notes.txt").unlink()
    (tmp_path / "sub" / "cut.parquet").touch()
    with pytest.raises(exceptions.FrameError, match=r"cut\.parquet"):
        read(tmp_path)


def test_globs_meet_folders(tmp_path: Path) -> None:
    """Spark and Dask write folders that are named like files; each file is read once."""
    for name in ("jan.parquet/p0", "feb.parquet/p0", "mar.parquet"):
        _write(tmp_path / name, name)
    expected = ["feb.parquet/p0", "jan.parquet/p0", "mar.parquet"]
    for path in (tmp_path, f"{tmp_path}/*.parquet", f"{tmp_path}/*", f"{tmp_path}/**",
                 f"{tmp_path}/**/*"):  # fmt: skip
        assert _values(path) == expected


def test_a_name_may_look_like_a_glob(tmp_path: Path) -> None:
    """What is there by its very name is meant."""
    _write(tmp_path / "data[1].parquet", "brackets")
    _write(tmp_path / "data1.parquet", "one")
    _write(tmp_path / "dir*" / "a.parquet", "star")
    assert _values(tmp_path / "data[1].parquet") == ["brackets"]
    assert _values(tmp_path / "dir*") == ["star"]


@pytest.mark.parametrize("name", ["a b%20", "ü#?", "x//y", "./z", "u/../v", "q\\r", "'\"", "a=b=c"])
def test_odd_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files and folders, absolute and relative, are taken as they are."""
    monkeypatch.chdir(tmp_path)
    if name == "u/../v":
        Path("u").mkdir()
    _write(Path(name, "1.parquet"), 1)
    _write(Path(name, "2.parquet"), 2)
    for path in (name, Path(name), f"{tmp_path}/{name}", f"{name}/1.parquet"):
        assert _values(path) == [1, 2][: 1 if str(path).endswith("quet") else 2]
    assert _values([f"{name}/2.parquet", Path(name, "1.parquet")]) == [2, 1]


def test_links_count_once(tmp_path: Path) -> None:
    """A link out of the folder is followed; what it would double, or never end, is not."""
    _write(tmp_path / "other" / "b.parquet", "b")
    _write(tmp_path / "store" / "c", "c")
    _write(tmp_path / "top" / "a.parquet", "a")
    _write(tmp_path / "top" / ".objects" / "d", "d")
    for link, target in (
        ("out", tmp_path / "other"), ("c.parquet", tmp_path / "store" / "c"), ("loop", tmp_path),
        ("d.parquet", tmp_path / "top" / ".objects" / "d"), ("same", tmp_path / "top"),
        ("latest.parquet", tmp_path / "top" / "a.parquet"),
    ):  # fmt: skip
        (tmp_path / "top" / link).symlink_to(target)
    (tmp_path / "other" / "back").symlink_to(tmp_path / "top")
    assert _values(tmp_path / "top") == ["a", "c", "d", "b"]


def test_a_file_of_several_paths_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it comes first, if a folder or a glob means it too; a warning names such files.

    A path that names the file itself is taken as often as it is given.
    """
    for name in ("a", "b", "c"):
        _write(tmp_path / f"y=1/{name}.parquet", name)
    monkeypatch.chdir(tmp_path)
    for paths in (
        ["y=1/[ab].parquet", "y=1/[bc].parquet"],
        ["y=1/a.parquet", tmp_path / "y=1", f"file://{tmp_path}/y=1/b.parquet"],
        ["y=1/../y=1/a.parquet", str(tmp_path / "y=1"), "./y=1/a.parquet"],
    ):
        source = read(paths)
        assert source.rows == 3
        assert _values(paths) == ["a", "b", "c"]
        (note,) = source.notes
        assert "given more than once" in note
        assert ".parquet" in note
    assert not read("y=1").notes
    assert _values(["y=1/c.parquet", "y=1/a.parquet"]) == ["c", "a"]
    assert _values(["y=1/a.parquet", "y=1/a.parquet"]) == ["a", "a"]
    (tmp_path / "y=1/link").symlink_to(tmp_path / "y=1/c.parquet")
    assert _values(["y=1/link", "y=1/*.parquet"]) == ["c", "a", "b"]
    name = uuid.uuid4().hex
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/{name}/a.parquet", Path("y=1/a.parquet").read_bytes())
    assert _values([f"memory://{name}/*.parquet", f"memory://{name}"]) == ["a"]


def test_paths_of_several_filesystems(tmp_path: Path) -> None:
    """Each is looked up in its own, also where another has a file of the same name."""
    local = _write(tmp_path / "y.parquet", "on disk")
    memory = fsspec.filesystem("memory")
    for name, text in ((f"/{uuid.uuid4().hex}", "in memory"), (str(local), "another")):
        with memory.open(name, "wb") as file:
            pq.write_table(pa.table({"A": [text]}), file)
        if text == "in memory":
            url = f"memory:/{name}"
    assert _values([str(local), url]) == ["on disk", "in memory"]
    assert _values([url, local, url]) == ["in memory", "on disk", "in memory"]


def test_open_files_are_paths(tmp_path: Path) -> None:
    """``fsspec.open`` and ``open_files`` give paths with their filesystem."""
    local = _write(tmp_path / "a[1].parquet", 1)
    _write(tmp_path / "b.parquet", 2)
    assert _values(fsspec.core.OpenFile(fsspec.filesystem("file"), str(local))) == [1]
    assert _values(fsspec.open_files(f"{tmp_path}/*.parquet")) == [1, 2]
    assert _values([fsspec.open(f"file://{tmp_path}/b.parquet"), local]) == [2, 1]
    with pytest.raises(exceptions.FrameError, match="compression"):
        read(fsspec.open(f"{tmp_path}/b.parquet", compression="gzip"))


class _UPath:
    """What `UPath` has, which is no ``os.PathLike`` outside local filesystems."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __str__(self) -> str:
        return self._url

    @property
    def fs(self) -> Any:
        """Raises what the filesystem raises."""
        return fsspec.core.url_to_fs(self._url)[0]

    @property
    def path(self) -> Any:
        """Within the filesystem."""
        return fsspec.core.url_to_fs(self._url)[1]

    storage_options: ClassVar[dict[str, Any]] = {}


def test_a_upath_is_a_path(tmp_path: Path) -> None:
    """By its filesystem and path; its library is not imported."""
    with fsspec.open("memory://upath/a.parquet", "wb") as file:
        pq.write_table(pa.table({"A": [1]}), file)
    paths = [_UPath("memory://upath"), _UPath(str(_write(tmp_path / "b.parquet", 2)))]
    assert _values(paths) == _values(iter(paths)) == [1, 2]
    assert _values(_UPath("memory://upath/*.parquet")) == [1]
    with pytest.raises(
        exceptions.FrameError, match=r"ftp://127\.0\.0\.1:1/x cannot be read"
    ) as caught:
        read(_UPath("ftp://joe:SECRETPW@127.0.0.1:1/x"))
    assert "SECRETPW" not in str(caught.value)


def test_messages_name_the_file(tmp_path: Path) -> None:
    """Whether its columns, its types or its pages differ from what is expected."""
    _write(tmp_path / "a.parquet", 1)
    other = _write(tmp_path / "b.parquet", 1, name="B")
    for paths in (tmp_path, f"{tmp_path}/*", [tmp_path / "a.parquet", other],
                  iter([tmp_path / "a.parquet", other])):  # fmt: skip
        with pytest.raises(exceptions.FrameError, match=r"b\.parquet' has other columns"):
            read(paths)
    _write(other, "text")
    with pytest.raises(exceptions.ColumnTypeError, match=r"b\.parquet'"):
        _rows(tmp_path)


def test_a_damaged_file_among_others_is_named(tmp_path: Path) -> None:
    """A scan of several files does not say which one fails."""
    rows = list(range(10_000))
    for name in "abcd":
        pq.write_table(pa.table({"A": rows}), tmp_path / name, compression="none")
    content = bytearray((tmp_path / "c").read_bytes())
    content[4:60] = b"\xff" * 56
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(exceptions.FrameError, match=rf"The Parquet file {tmp_path}{os.sep}c "):
        _rows(tmp_path)


def test_a_delta_table_is_a_frame(tmp_path: Path) -> None:
    """By the Dataset of its valid files that it gives; its library is not imported."""

    class DeltaTable:
        def to_pyarrow_dataset(self) -> Any:
            return ds.dataset(_write(tmp_path / "a.parquet"))

    assert _values(DeltaTable()) == ["x"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeltaTable, "to_pyarrow_dataset", lambda _: 1 / 0)
        with pytest.raises(exceptions.FrameError, match=r"DeltaTable cannot be read"):
            read(DeltaTable())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my.csv", ("a CSV file", "pandas.read_csv or polars.read_csv", "celonis-frames push. ")),
        ("MY.TSV.gz", ("polars.read_csv", "celonis-frames push. ")),
        ("my.txt", ("celonis-frames push --format csv. ",)),
        ("my.xlsx", ("polars.read_excel", "celonis-frames push. ")),
        ("my.json", ("pandas.read_json or polars.read_json returns. ",)),
        ("my.jsonl.zst", ("polars.read_ndjson", "celonis-frames push. ")),
        ("my.feather", ("pandas.read_feather", "celonis-frames push. ")),
        ("my.arrow", ("polars.read_ipc", "celonis-frames push. ")),
    ],
)
def test_a_file_of_another_format_says_how_to_read_it(
    connection: Celonis, table: str, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    """The path of a frame means Parquet; what its content is decides, not its name."""
    path = tmp_path / name
    path.write_text("A;B\n1;2\n" * 10)
    with pytest.raises(exceptions.FrameError) as caught:
        connection.push(path, "P", table)
    for word in (*words, path.name):
        assert word in str(caught.value)
    pq.write_table(pa.table({"A": [1]}), path)
    assert connection.push(path, "P", table).rows == 1
