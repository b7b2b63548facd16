"""Parquet files that are already what a push would write are sent as they are, and no others."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celonis_frames import ApiKey, Celonis, Column, PushStatus, exceptions, local, plan
from celonis_frames._arrow.batching import BATCH_BYTES, batch_bytes
from celonis_frames._encoding.chunking import encode
from celonis_frames._encoding.codecs import CODECS as ALL_CODECS
from celonis_frames._encoding.passthrough import (
    PassthroughChunk,
    PassthroughFiles,
    reason_to_rewrite,
)
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.table_layout import build_layout
from celonis_frames._sources.parquet import ParquetFiles
from celonis_frames._sources.reader import read

POOL = "Passing"
NOON = dt.datetime(2024, 2, 29, 12, 30, 0, 123456)
LAST = dt.datetime(9999, 12, 31)
TABLE = pa.table(
    {
        "N": pa.array([1, 2, 3, None], pa.int64()),
        "F": [0.5, None, 1e300, -0.0],
        "B": [True, False, None, True],
        "S": ["a", "é" * 90, "", None],
        "T": pa.array([NOON, None, LAST, dt.datetime(1, 1, 1)], pa.timestamp("us")),
    }
)


def _write(path: Path, table: pa.Table = TABLE, **options: Any) -> Path:
    given: dict[str, Any] = {"use_deprecated_int96_timestamps": True} | options
    pq.write_table(table, path, **given)
    return path


def _sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def _received(connection: Celonis, status: PushStatus) -> list[str | None]:
    """Checksums of the job's chunks, as the server made them, in its order."""
    return connection._api.checksums(status.pool_id, status.job_id)


def _stored(server: Any, table: str, sort: str = "N") -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = server.table(POOL, table).sort_by(sort).to_pydict()
    return found


def test_a_file_that_is_right_is_sent_byte_by_byte(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """The server's checksum is the file's; every value is there, with the footer's pandas data."""
    path = tmp_path / "right.parquet"
    types = {"N": "Int64", "B": "boolean", "T": "datetime64[us]"}
    frame = pd.DataFrame(TABLE.to_pydict()).astype(types)
    frame.to_parquet(path, use_deprecated_int96_timestamps=True)
    assert b"pandas" in pq.read_metadata(path).metadata
    status = connection.push(path, POOL, table)
    assert _received(connection, status) == [_sha1(path)]
    assert (status.chunks, status.rows, status.bytes_sent) == (1, 4, path.stat().st_size)
    assert _stored(server, table) == TABLE.to_pydict()


EARLIEST = dt.datetime(1970 if pa.__version__.startswith("18.") else 1, 1, 1)
"""pyarrow 18 writes INT96 before 1970 in a way that is read back as another time beside far ones:
such files are refused."""

CODECS = [codec.name for codec in ALL_CODECS.values() if codec.accepted]


def test_what_this_library_writes_is_sent_unchanged(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Every file of the encoder's own, of any values, is taken as it is when it is pushed."""
    columns = {
        "N": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
        "F": (st.floats(allow_infinity=False), pa.float64()),
        "B": (st.booleans(), pa.bool_()),
        "S": (st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
              pa.large_string()),
        "T": (st.datetimes(min_value=EARLIEST), pa.timestamp("us")),
        "C": (st.sampled_from(["x", "y"]), pa.large_string()),
    }  # fmt: skip

    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        names = data.draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, unique=True))
        rows = data.draw(st.integers(1, 6))
        arrays = {}
        for name in names:
            values, kind = columns[name]
            drawn = data.draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
            arrays[name] = pa.array(drawn, kind)
            if name == "C":
                arrays[name] = arrays[name].dictionary_encode()
        codec: Any = data.draw(st.sampled_from(CODECS))
        frame = pa.table({"ID": list(range(rows))} | arrays)
        (chunk,) = encode(frame.to_batches(), frame.schema, compression=codec)
        path = tmp_path / "own.parquet"
        path.write_bytes(b"".join(chunk.blocks()))
        status = connection.push(path, POOL, table, mode="REPLACE", upload={"compression": codec})
        assert _received(connection, status) == [_sha1(path)]
        direct = connection.push(frame, POOL, f"{table}_2", mode="REPLACE")
        assert direct.ok
        assert repr(_stored(server, table, "ID")) == repr(_stored(server, f"{table}_2", "ID"))

    check()


def _with(name: str, values: Any) -> pa.Table:
    return TABLE.set_column(TABLE.schema.get_field_index(name), name, values)


REQUIRED = pa.table({"N": [1, 2]}, schema=pa.schema([pa.field("N", pa.int64(), nullable=False)]))
WRONG: list[tuple[str, pa.Table, dict[str, Any], dict[str, Any]]] = [
    ("codec", TABLE, {"compression": "zstd"}, {}),
    ("not the codec asked for", TABLE, {}, {"upload": {"compression": "none"}}),
    ("one column's codec", TABLE, {"compression": {"N": "gzip", "F": "snappy"}}, {}),
    ("INT32", _with("N", TABLE["N"].cast(pa.int32())), {}, {}),
    ("FLOAT", _with("F", pa.array([0.5, None, 1.5, 2.0], pa.float32())), {}, {}),
    ("TIMESTAMP", TABLE, {"use_deprecated_int96_timestamps": False}, {}),
    ("DATE", _with("T", pa.array([NOON.date()] * 4)), {}, {}),
    ("a type asked for", TABLE, {}, {"columns": {"N": "FLOAT"}}),
    ("required", REQUIRED, {}, {}),
    ("page v2", TABLE, {"data_page_version": "2.0"}, {}),
    ("delta pages", TABLE,
     {"use_dictionary": False, "column_encoding": {"N": "DELTA_BINARY_PACKED"}}, {}),
    ("a name", TABLE, {}, {"rename": {"S": "Text"}}),
    ("infinities may become null", TABLE, {}, {"infinity": "null"}),
    ("larger than wished", TABLE, {}, {"upload": {"chunk_bytes": "1 KB"}}),
    ("CSV", TABLE, {}, {"upload": {"file_type": "CSV"}}),
]  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("content", "written", "options"), [case[1:] for case in WRONG], ids=[c[0] for c in WRONG]
)
def test_a_file_with_one_difference_is_rewritten(
    content: pa.Table,
    written: dict[str, Any],
    options: dict[str, Any],
    server: Any,
    connection: Celonis,
    table: str,
    tmp_path: Path,
) -> None:
    """It is not sent as it is, and its rows arrive all the same, to the year 9999."""
    path = _write(tmp_path / "wrong.parquet", content, **written)
    status = connection.push(path, POOL, table, **options)
    assert _sha1(path) not in _received(connection, status)
    back = _stored(server, table)
    renamed = options.get("rename", {})
    assert list(back) == [renamed.get(name, name) for name in content.schema.names]
    for name, values in content.to_pydict().items():
        got = [
            v.date()
            if isinstance(v, dt.datetime)
            and name == "T"
            and "DATE" in str(content.schema.field("T").type).upper()
            else v
            for v in back[renamed.get(name, name)]
        ]
        if options.get("upload") == {"file_type": "CSV"} and name == "S":
            values = [value or None for value in values]  # noqa: PLW2901
            got = [value or None for value in got]
        assert got == values, name


def test_good_and_other_files_come_in_one_push(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """The good ones go first as they are, the others are written anew."""
    good = [_write(tmp_path / f"{n}-good.parquet", TABLE.slice(0, n)) for n in (1, 3)]
    _write(tmp_path / "2-wrong.parquet", compression="gzip")
    _write(tmp_path / "4-wrong.parquet", _with("N", TABLE["N"].cast(pa.int16())))
    status = connection.push(str(tmp_path / "*.parquet"), POOL, table, upload={"workers": 1})
    received = _received(connection, status)
    assert received[:2] == [_sha1(path) for path in good]
    assert len(received) > 2
    assert server.table(POOL, table).num_rows == 12


def test_the_order_of_files_is_kept_where_keys_repeat(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Of rows with one key the last file's is there, whichever way each file was sent."""
    for place in range(6):
        content = pa.table({"K": ["same", f"own {place}"], "V": [place, place]})
        _write(tmp_path / f"{place}.parquet", content,
               compression="snappy" if place in (1, 2, 4) else "gzip")  # fmt: skip
    files = sorted(tmp_path.glob("*.parquet"))
    more = [
        _write(tmp_path / f"9{n}.parquet", pa.table({"K": [f"last {n}"], "V": [n]}))
        for n in range(2)
    ]
    many = [*files, *more]
    for chosen in (files[:4], files[:3], many[3:7]):
        status = connection.push(
            [str(path) for path in chosen], POOL, table, mode="REPLACE", keys="K"
        )
        received = _received(connection, status)
        passed = [_sha1(p) for p in chosen if p.name[0] in "1249"]
        assert [checksum for checksum in received if checksum in passed] == passed
        last = max(int(path.stem) for path in chosen if len(path.stem) == 1)
        rows = dict(zip(*server.table(POOL, table).to_pydict().values(), strict=True))
        assert rows["same"] == last


def test_many_small_files_are_merged(connection: Celonis, table: str, tmp_path: Path) -> None:
    """A few small files stay as they are; many would be many requests."""
    paths = [_write(tmp_path / f"{n}.parquet", pa.table({"A": [n]})) for n in range(9)]
    few = connection.push([str(path) for path in paths[:4]], POOL, table)
    assert sorted(map(str, _received(connection, few))) == sorted(map(_sha1, paths[:4]))
    whole = str(tmp_path / "*.parquet")
    assert (connection.push(whole, POOL, table).chunks or 9) <= 2
    wish = 3 * paths[0].stat().st_size
    fitting = connection.push(whole, POOL, table, upload={"chunk_bytes": f"{wish} B"})
    assert sorted(map(str, _received(connection, fitting))) == sorted(map(_sha1, paths))


def test_a_plan_counts_what_is_sent_as_it_is(tmp_path: Path) -> None:
    """Bytes of such files are known exactly."""
    good = [_write(tmp_path / f"{n}.parquet") for n in range(3)]
    found = plan([str(path) for path in good], POOL, "T", mode="REPLACE")
    assert (found.chunks, found.rows) == (3, 12)
    assert found.bytes == sum(path.stat().st_size for path in good)
    wrong = _write(tmp_path / "wrong.parquet", compression="zstd")
    both = plan([str(good[0]), str(wrong)], POOL, "T", mode="REPLACE")
    assert both.chunks == 2
    assert both.bytes is not None
    assert both.bytes > good[0].stat().st_size


BAD: list[tuple[str, pa.Table, dict[str, Any], type[Exception], str]] = [
    ("NUL", pa.table({"S": ["a", "b\0"]}), {}, exceptions.ColumnTypeError, "NUL"),
    ("too long", pa.table({"S": ["x" * 16_251]}), {}, exceptions.TruncationError, "16,251"),
    ("infinity", pa.table({"F": [0.5, float("-inf")]}), {}, exceptions.ColumnTypeError, "infinite"),
    ("null key", pa.table({"K": [1, None]}), {"keys": "K"}, exceptions.KeyColumnError, "1 null in"),
    ("no midnight", pa.table({"T": pa.array([NOON])}), {"columns": {"T": "DATE"}},
     exceptions.ColumnTypeError, "'T'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "options", "kind", "message"), [c[1:] for c in BAD], ids=[c[0] for c in BAD]
)
def test_the_values_of_such_a_file_are_checked(
    content: pa.Table,
    options: dict[str, Any],
    kind: type[Exception],
    message: str,
    server: Any,
    connection: Celonis,
    table: str,
    tmp_path: Path,
) -> None:
    """What may not be sent is found before there is a job, as in any frame."""
    path = _write(tmp_path / "bad.parquet", content)
    prepared = prepare(path, table, PushOptions.parse(**options))
    assert prepared.passing
    with pytest.raises(kind, match=message):
        connection.push(path, POOL, table, **options)
    assert not [job for job in server.jobs if job["targetName"] == table]


def test_repeated_keys_and_text_lengths_are_known(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Across files, as within one."""
    paths = [_write(tmp_path / f"{n}.parquet", pa.table({"K": ["a", "b" * n]})) for n in (1, 200)]
    status = connection.push([str(path) for path in paths], POOL, table, keys="K")
    assert _received(connection, status) == [_sha1(path) for path in paths]
    assert any("1 has the key of another row" in warning for warning in status.warnings)
    (job,) = [job for job in server.jobs if job["targetName"] == table]
    assert job["tableSchema"]["columns"][0]["fieldLength"] == 320


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


CHANGES: dict[str, Callable[[Path], object]] = {
    "one bit": _flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 7),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"PAR1"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "another file": lambda path: _write(path, TABLE.slice(1)),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_file_changed_after_the_check_is_never_executed(
    change: str, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Between check and upload anything may happen to a file: the job is cancelled."""
    path = _write(tmp_path / "data.parquet", TABLE.slice(0, 3))
    changes = connection.changes(POOL, table, keys="S")
    changes.__enter__()
    changes.upsert(_write(tmp_path / "first.parquet", TABLE.slice(0, 1)))
    changes.upsert(path)
    CHANGES[change](path)
    with pytest.raises(exceptions.FrameError, match=r"data\.parquet|announced"):
        changes.__exit__(None, None, None)
    (job,) = [job for job in server.jobs if job["targetName"] == table]
    assert job["status"] == "CANCELED"
    with pytest.raises(KeyError):
        server.table(POOL, table)


def test_a_file_resumed_from_its_stage_is_still_the_same(tmp_path: Path) -> None:
    """What a crash left in the stage is the file, byte by byte, and is sent from there."""
    path = _write(tmp_path / "data.parquet")
    data = path.read_bytes()
    stage = str(tmp_path / "stage")
    with (
        local.start(limits=False) as own,
        Celonis(own.url, auth=ApiKey(own.token)) as client,
    ):
        own.faults.answer("create", 400)
        with pytest.raises(exceptions.BadRequest):
            client.push(path, POOL, "T", staging=stage)
        (staged,) = (tmp_path / "stage").glob("push-*/chunk-*")
        assert staged.read_bytes() == data
        path.unlink()
        own.faults.clear()
        (status,) = client.resume(stage)
        assert _received(client, status) == [hashlib.sha1(data, usedforsecurity=False).hexdigest()]
        assert own.table(POOL, "T").num_rows == 4


def test_files_of_any_filesystem(server: Any, connection: Celonis, table: str) -> None:
    """Fsspec's memory stands for those that are no folders of this machine."""
    filesystem = fsspec.filesystem("memory")
    for name, options in (("a", {}), ("b", {"compression": "gzip"})):
        with filesystem.open(f"/passing/{name}.parquet", "wb") as file:
            pq.write_table(TABLE, file, use_deprecated_int96_timestamps=True, **options)
    status = connection.push("memory://passing/*.parquet", POOL, table)
    whole = filesystem.cat_file("/passing/a.parquet")
    assert hashlib.sha1(whole, usedforsecurity=False).hexdigest() in _received(connection, status)
    assert server.table(POOL, table).num_rows == 8


@pytest.mark.parametrize("codec", ["snappy", "gzip"])
def test_a_damaged_file_is_an_error_of_ours(codec: Any, tmp_path: Path) -> None:
    """Whether it would have been sent as it is or written anew; its name is in the message."""
    content = pa.table({"N": list(range(10_000))}).cast(pa.schema([("N", pa.string())]))
    path = _write(tmp_path / "damaged.parquet", content, compression=codec)
    data = bytearray(path.read_bytes())
    data[200:2_000] = b"\xff" * 1_800
    path.write_bytes(data)
    with pytest.raises(exceptions.FrameError, match=r"damaged\.parquet cannot be read"):
        plan(path, POOL, "T")


def test_a_file_that_becomes_another_while_it_is_checked_is_refused(tmp_path: Path) -> None:
    """Its footer was judged: what is read then must be the same file."""
    path = _write(tmp_path / "data.parquet")
    prepared = prepare(path, "T", PushOptions())
    assert prepared.passing
    _write(path, compression="zstd")
    with pytest.raises(exceptions.FrameError, match="changes while it is read"):
        prepared.begin()


def test_with_a_stage_the_file_is_copied_as_it_is(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """What waits in the stage is the file, and others as they are written anew."""
    (tmp_path / "in").mkdir()
    good = _write(tmp_path / "in" / "1.parquet")
    _write(tmp_path / "in" / "2.parquet", compression="gzip")
    stage = tmp_path / "stage"
    status = connection.push(
        str(tmp_path / "in" / "*.parquet"), POOL, table, staging=str(stage), upload={"workers": 1}
    )
    received = _received(connection, status)
    assert received[0] == _sha1(good)
    assert len(received) > 1
    assert server.table(POOL, table).num_rows == 8
    assert not list(stage.iterdir())


def test_a_file_of_keys_is_sent_as_it_is_to_delete(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Files with the keys alone pass; those with more columns are written anew."""
    content = pa.table({"K": [1, 2, 3], "V": ["a", "b", "c"]})
    connection.push(content, POOL, table, keys="K")
    keys = _write(tmp_path / "keys.parquet", pa.table({"K": [1]}))
    status = connection.delete(keys, POOL, table, keys="K")
    assert _received(connection, status) == [_sha1(keys)]
    more = _write(tmp_path / "more.parquet", content.slice(1, 1))
    status = connection.delete(more, POOL, table, keys="K")
    assert _sha1(more) not in _received(connection, status)
    assert server.table(POOL, table).to_pydict() == {"K": [3], "V": ["c"]}


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is held in memory the digest and the rows are the same, with pages anywhere."""
    content = pa.table({name: pa.array(range(20_000)) for name in "ABC"})
    path = _write(tmp_path / "data.parquet", content, row_group_size=3_000, use_dictionary=False)
    found = []
    for held in (10**9, 1_000):
        monkeypatch.setattr("celonis_frames._encoding.passthrough._MAX_HELD_BYTES", held)
        prepared = prepare(path, "T", PushOptions())
        prepared.begin()
        assert prepared.passing
        (passed,) = prepared.passing.unchanged.values()
        assert prepared.measure.rows == 20_000
        found.append(passed)
    assert found[0] == found[1]
    assert found[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert b"".join(found[0].blocks()) == path.read_bytes()


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1_000])
def test_pages_are_seen_across_blocks(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the blocks of a file end, pages of version 2 are found."""
    monkeypatch.setattr("celonis_frames._encoding.passthrough.BLOCK_BYTES", block)
    for version, passes in (("1.0", 1), ("2.0", 0)):
        path = _write(tmp_path / "data.parquet", TABLE, data_page_version=version)
        prepared = prepare(path, "T", PushOptions())
        assert prepared.source.files is not None
        passing = PassthroughFiles(
            prepared.source.files,
            build_layout(prepared.source.schema, (), ConversionOptions()),
            compression="snappy",
            target_bytes=None,
        )
        list(passing.batches(first=1))
        assert len(passing.unchanged) == passes


def test_an_upload_has_connections_of_its_own(tmp_path: Path) -> None:
    """A filesystem such as FTP is used by one thread; this machine's by any."""

    class Counting(MemoryFileSystem):
        protocol = "counting"
        opened: ClassVar[list[int]] = []

        def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
            self.opened.append(id(self))
            return super().open(path, *args, **kwargs)

    content = _write(tmp_path / "a.parquet").read_bytes()
    shared = Counting()
    shared.pipe_file("/own/a.parquet", content)
    digest = hashlib.sha256(content).hexdigest()
    passed = PassthroughChunk("a", len(content), 4, False, digest, shared, "/own/a.parquet")
    Counting.opened.clear()
    assert b"".join(passed.blocks()) == content
    assert Counting.opened
    assert id(shared) not in Counting.opened


SPARK = zlib.decompress(
    base64.b64decode(
        "eNqVlE1oE1EQx+ftbtLYbiuK89jVFcJilwhxaWybaAmmFilFpIgtHrQim3Zbg5uk5kOtteChokgRzx4EL0VQ"
        "rx78QvADrR7qV7168yR4EA9FxHmbpEmxoC5ZZt68+f3fzLwkB/ceiiGgh4fxzuyXiy0GqrQMYgggrkkAIKeg"
        "lQFrDTHOGMgsMEBBBSpPoGoJOYC9eOnh7ddyg4JVUYhDgCmLqUCTAp9bQ9u+pSrQ9xTlteFGfHrvxs22Bqyp"
        "ejCighw349Vfd+fbkrSgY1sijPbOioSpKQI2Usa95RuP1wteqfDrwj6/hcnNFLrG8Ag+mHu1pCRFCsBAFBZl"
        "52sE4N2VdtigwvutKnyg9+NWNblEodr2J/LpCFHCozdvn7U0HNESqZQoy5dfSPoGSddC1VEAuStjkXROgYbt"
        "xdSKS+3TtlLZZoQx1pDPzuqaRB1WUgwewlnGhbrB5xjmqu4yw96aK+E+AXNVrJ4oOMArFXgDanHSKZw8Xhw9"
        "4WYdbAZU2iWNDQI2C9tPPQrbB6gKO9QOBwyBBsVqGLiqG/qIBQYqencoKAodRImr/Drjs8wKJev91ofAIbJG"
        "lCpDMVEJkpSyEETOLwdwDwjx5pp4vy9+juesOZasD6s+Qa5E1oiu1v4stF/UtKGm3edrJ3mvtUzajNHcqVLf"
        "ruZ/CH42iKbPq4JXiB/y+fOi72XJui8ZcSVCt0S3BXpUfEEJJw1hknQRwOea0ODzQdzm6wRrOsO+zk/GF5j1"
        "RLEey0Yc/lQg/lYTcuAvA1y1QvxCYJPI0rR8YcJ2Jh26T9u/Wvu0Wyhm8jkt0GV32h2gbf8jo3jKs8k5VXZL"
        "diF/xs66JWfMKTnac2naLE1NumaPWSwVyqMlM2qOZ1xvrGj2HJ02c05WbA1StJrl5XMTtMqVPc9JexQhyo2a"
        "NUGzZ3pmJroC9tfBsXxZ5P8z2ldH0/m85zq5f2eH6ix1lfmfiofraCmTdYslJzv5N/rYDGj7q+PdkS2Eq/cR"
        "jtmxhN0RjqTLGW8sPO6MdowmuuLdnTvdWGdn2k3v3rnLSYzHnYTbnUh3xzrSXYmEE9uuj9APsPEDL2WAg/RX"
        "/RtL4B0X"
    )
)
"""Six rows, written by Spark 4.3 with its defaults: 29 February 2024 and the days after it, at half
past twelve; N counts them, F is a quarter of it."""


def test_what_spark_writes_by_default_is_sent_as_it_is(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """INT96, SNAPPY, data pages of version 1, and BIT_PACKED in the footer; the server reads it."""
    path = tmp_path / "part-00000.snappy.parquet"
    path.write_bytes(SPARK)
    metadata = pq.read_metadata(path)
    assert metadata.created_by.startswith("parquet-mr")
    assert "BIT_PACKED" in metadata.row_group(0).column(0).encodings
    status = connection.push(path, POOL, table, keys="N")
    assert _received(connection, status) == [_sha1(path)]
    first = dt.datetime(2024, 2, 29, 12, 30)
    assert _stored(server, table) == {
        "N": list(range(6)),
        "F": [None, 0.25, 0.5, None, 1.0, 1.25],
        "B": [True, False] * 3,
        "S": ["x", "yy", None] * 2,
        "T": [first + dt.timedelta(days=number) for number in range(6)],
    }


@pytest.mark.parametrize(
    ("listed", "passes"),
    [
        ({"PLAIN", "RLE", "BIT_PACKED"}, True),  # parquet-mr
        ({"PLAIN_DICTIONARY", "RLE", "BIT_PACKED"}, True),  # parquet-mr, with a dictionary
        ({"PLAIN", "RLE", "RLE_DICTIONARY"}, True),  # Arrow
        ({"PLAIN", "RLE"}, True),
        ({"PLAIN", "RLE", "DELTA_BINARY_PACKED"}, False),
        ({"RLE", "DELTA_LENGTH_BYTE_ARRAY"}, False),
        ({"RLE", "BYTE_STREAM_SPLIT"}, False),
    ],
)
def test_the_encodings_that_a_footer_may_list(
    listed: set[str], passes: bool, tmp_path: Path
) -> None:
    """Levels may be listed as RLE or BIT_PACKED; values are plain or have a dictionary."""
    (file,) = ParquetFiles.find([_write(tmp_path / "a.parquet")]).files
    file = dataclasses.replace(file, encodings=frozenset(listed))
    layout = build_layout(file.schema, (), ConversionOptions())
    reason = reason_to_rewrite(file, layout, compression="snappy", target_bytes=None, few=True)
    assert (reason is None) is passes
    assert passes or "pages" in str(reason)


def test_a_file_is_not_sent_unchanged_if_a_column_is_pseudonymised(tmp_path: Path) -> None:
    """Its values are replaced; the footer alone decides."""
    (file,) = ParquetFiles.find([_write(tmp_path / "a.parquet")]).files
    for columns, expected in (({}, None), ({"S": Column(pseudonymise="key")}, "pseudonymised")):
        layout = build_layout(file.schema, (), ConversionOptions(columns=columns))
        reason = reason_to_rewrite(file, layout, compression="snappy", target_bytes=None, few=True)
        assert reason is None if expected is None else expected in str(reason)


def test_definition_levels_that_are_bit_packed_are_written_anew(tmp_path: Path) -> None:
    """Only writers of ten years ago made them; the header of the page says so."""
    path = tmp_path / "data.parquet"
    at = SPARK.index(b"\x15\x06\x15\x08")  # of the definition and the repetition levels
    path.write_bytes(SPARK[:at] + b"\x15\x08" + SPARK[at + 2 :])
    prepared = prepare(path, "T", PushOptions())
    assert prepared.passing
    assert list(prepared.passing.batches(first=1)) == []
    assert not prepared.passing.unchanged


_INF, _NAN = float("inf"), float("nan")
READ: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ("numbers and times", {}, {}, {}, ["S"]),
    ("keys", {"keys": ["N", "T"]}, {}, {}, ["N", "S", "T"]),
    ("without statistics", {}, {"write_statistics": False}, {}, ["F", "S"]),
    ("an infinity", {}, {}, {"F": [0.5, _INF, None, 1.0]}, ["F", "S"]),
    ("nothing but NaN", {}, {}, {"F": [_NAN] * 4}, ["F", "S"]),
    ("no floats", {}, {}, {"F": pa.nulls(4, pa.float64())}, ["F", "S"]),
    ("year 1", {}, {}, {"T": pa.array([dt.datetime(1, 1, 1)] * 4)}, ["S", "T"]),
    ("nanoseconds", {}, {}, {"T": pa.array([1] * 4, pa.timestamp("ns"))}, ["S", "T"]),
    ("to be converted", {"columns": {"T": "DATE"}}, {}, {}, ["S", "T"]),
]


@pytest.mark.parametrize(
    ("options", "written", "changed", "expected"), [c[1:] for c in READ], ids=[c[0] for c in READ]
)
def test_no_more_of_a_file_is_decoded_than_must_be_known(
    options: dict[str, Any],
    written: dict[str, Any],
    changed: dict[str, Any],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Strings for their lengths and keys; other columns only if a footer leaves something open."""
    content = TABLE.set_column(4, "T", pa.array([NOON, None, NOON, NOON]))
    for name, values in changed.items():
        content = content.set_column(content.schema.names.index(name), name, pa.array(values))
    path = _write(tmp_path / "a.parquet", content, **written)
    decoded: list[list[str]] = []
    reader = pq.ParquetFile.iter_batches

    def watched(self: Any, *args: Any, columns: list[str], **kwargs: Any) -> Any:
        decoded.append(columns)
        return reader(self, *args, columns=columns, **kwargs)

    prepared = prepare(path, "T", PushOptions.parse(**options))
    assert prepared.passing
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    (batch,) = prepared.passing.batches(first=1)
    assert prepared.passing.unchanged
    assert decoded == [expected]
    assert batch.schema == prepared.source.schema
    for name in content.schema.names:
        found = batch[name].to_pylist()
        assert repr(found) == repr(content[name].to_pylist() if name in expected else [None] * 4)


def test_what_columns_that_are_not_decoded_hold_is_warned_of(tmp_path: Path) -> None:
    """Times that analyses show as null are counted in files that are sent as they are."""
    path = _write(tmp_path / "a.parquet")
    prepared = prepare(path, "T", PushOptions())
    prepared.begin()
    assert prepared.passing
    assert prepared.passing.unchanged
    assert len(list(prepared.chunks())) == 1
    (warning,) = prepared.warnings
    assert "'T': 1 date outside the years 1400 to 9999" in warning


def test_a_file_without_strings_and_keys_is_counted(tmp_path: Path) -> None:
    """No column is decoded, in files of any number of row groups."""
    content = pa.table({"N": range(10_000), "F": [0.5] * 10_000})
    path = _write(tmp_path / "a.parquet", content, row_group_size=300)
    prepared = prepare(path, "T", PushOptions())
    prepared.begin()
    assert prepared.measure.rows == 10_000
    (chunk,) = prepared.chunks()
    assert b"".join(chunk.blocks()) == path.read_bytes()


EXACT = 1_709_208_000_123_456_789


def _int96(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    return _write(path, pa.table(columns), **options)


def _nanos(*values: int | None) -> Any:
    return pa.array(values, pa.timestamp("ns"))


def _sent(path: Path) -> tuple[Any, tuple[str, ...]]:
    """What is written of a file, read to the nanosecond, and the warnings."""
    prepared = prepare(path, "T", PushOptions())
    prepared.begin()
    (chunk,) = prepared.chunks()
    content = pa.BufferReader(b"".join(chunk.blocks()))
    return pq.read_table(content, coerce_int96_timestamp_unit="ns"), prepared.warnings


@pytest.mark.parametrize("codec", ["gzip", "snappy"])
def test_nanoseconds_of_int96_are_kept_and_counted(codec: str, tmp_path: Path) -> None:
    """Whether the file is written anew or sent as it is, every digit arrives, with the warning."""
    early = -1 if int(pa.__version__.split(".")[0]) >= 23 else 1  # rejected with older versions
    times = _nanos(EXACT, None, EXACT - 789, early)
    path = _int96(tmp_path / "a.parquet", {"A.b": times, "N": range(4)}, compression=codec)
    found, warnings = _sent(path)
    assert found["A.b"].cast(pa.int64()).to_pylist() == times.cast(pa.int64()).to_pylist()
    (warning,) = warnings
    assert "'A.b': 2 times with nanoseconds" in warning


FAR = pa.array([LAST, dt.datetime(1, 1, 1)], pa.timestamp("us"))


@pytest.mark.parametrize("codec", ["gzip", "snappy"])
def test_nanoseconds_beside_far_times_are_cut_with_a_warning(codec: str, tmp_path: Path) -> None:
    """The year 9999 stays what it is, and what is lost is counted."""
    times = _nanos(EXACT, None)
    path = _int96(tmp_path / "a.parquet", {"A": times, "Z": FAR}, compression=codec)
    found, warnings = _sent(path)
    kept = EXACT if codec == "snappy" else EXACT - 789
    assert found["A"].cast(pa.int64()).to_pylist() == [kept, None]
    back = pq.read_table(path, coerce_int96_timestamp_unit="us")["Z"]
    assert back.cast(pa.timestamp("us")).to_pylist() == FAR.to_pylist()
    (warning,) = [text for text in warnings if "nanoseconds" in text]
    assert "'A': 1 INT96 time with" in warning
    assert "column 'Z' has times outside" in warning


def test_far_times_alone_are_no_nanoseconds(tmp_path: Path) -> None:
    """Nanoseconds that overflow are not taken for digits."""
    days = [day * 86_400_000_000 for day in range(-719_162, 0, 30_000)]
    counts = pa.array(days + [n * 5_000_000_000_000_001 for n in range(48)])
    many = counts.cast(pa.timestamp("us"))
    path = _int96(tmp_path / "a.parquet", {"Z": many}, compression="gzip")
    prepared = prepare(path, "T", PushOptions())
    assert not prepared.warnings
    batches = list(prepared.source.batches())
    assert pa.Table.from_batches(batches)["Z"].to_pylist() == many.to_pylist()


OLD = base64.b64decode(
    "UEFSMRUAFVQVVCwVBhUAFQYVBhwAAAACAAAABgEY/P///////4w9JQAAbu9LSP///4w9JQAAAAAAAAAA"
    "AIw9JQAVBBksNQAYBnNjaGVtYRUCABUGJQIYAUEAFgYZHBkcJgAcFQYZJQYAGRgBQRUAFgYWehZ6JghJ"
    "HBUAFQAVAgAAABZ6FgYmCBZ6FAAAKClwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDE4LjAuMC1TTkFQ"
    "U0hPVBkcHAAAAH0AAABQQVIx"
)
"""Microseconds -1, -789000000 and 0 as pyarrow 18 writes them in INT96."""
OLD_AND_FAR = base64.b64decode(
    "UEFSMRUAFTwVPCwVBBUAFQYVBhwAAAACAAAABAEY/P///////4w9JQAAAAAAAAAAAMD8UQAVBBksNQAY"
    "BnNjaGVtYRUCABUGJQIYAUEAFgQZHBkcJgAcFQYZJQYAGRgBQRUAFgQWYhZiJghJHBUAFQAVAgAAABZi"
    "FgQmCBZiFAAAKClwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDE4LjAuMC1TTkFQU0hPVBkcHAAAAH0A"
    "AABQQVIx"
)
"""Likewise -1 and the first of January 9999."""


def test_old_files_with_times_before_1970(tmp_path: Path) -> None:
    """Read as microseconds they would be 584 years later."""
    path = tmp_path / "old.parquet"
    path.write_bytes(OLD)
    source = read(str(path))
    found = pa.Table.from_batches(list(source.batches()))["A"].cast(pa.timestamp("us"))
    assert found.cast(pa.int64()).to_pylist() == [-1, -789_000_000, 0]
    prepared = prepare(path, "T", PushOptions())
    assert not prepared.warnings
    # Sent as they are, other readers could take them for other times.
    assert not prepared.passing
    path.write_bytes(OLD_AND_FAR)
    with pytest.raises(exceptions.FrameError, match="before 1970 that Arrow 22 or older"):
        read(str(path))


def test_nanoseconds_within_lists_are_kept(tmp_path: Path) -> None:
    """The JSON has all digits, as that of any frame."""
    lists = pa.array([[EXACT], None], pa.list_(pa.timestamp("ns")))
    path = _int96(tmp_path / "a.parquet", {"A": lists, "N": [1, 2]})
    prepared = prepare(path, "T", PushOptions.parse(nested="json"))
    prepared.begin()
    (chunk,) = prepared.chunks()
    found = pq.read_table(pa.BufferReader(b"".join(chunk.blocks())))
    assert found["A"].to_pylist() == ['["2024-02-29T12:00:00.123456789"]', None]


def test_only_columns_of_unknown_type_are_read_to_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files whose first values come late are not clone_filesystem to a disk to find them."""
    rows = 3_000
    empty = pa.nulls(rows, pa.string())
    text = [f"{n:0900d}" for n in range(rows)]
    late = pa.array([None] * (rows - 1) + [7], pa.int16())
    parts = [
        {"A.b": empty, "B": empty, "T": text},
        {"A.b": pa.nulls(rows), "B": late, "T": text},
        {"A.b": pa.array([1.5] * rows, pa.float32()), "B": pa.array(range(rows)), "T": text},
    ]
    for number, columns in enumerate(parts):
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet", row_group_size=1_000)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", None)
    read_of: list[Any] = []
    reader = ParquetFiles._read
    monkeypatch.setattr(
        ParquetFiles,
        "_read",
        lambda self, files, names=None: read_of.append(names) or reader(self, files, names),
    )
    source = read(str(tmp_path / "*.parquet"))
    assert "T" not in {name for names in read_of[1:] for name in names}
    assert [field.type for field in source.schema] == [pa.float64(), pa.int64(), pa.string()]
    found = pa.Table.from_batches(list(source.batches()))
    assert found["A.b"].to_pylist() == [None] * 2 * rows + [1.5] * rows
    assert found["B"].to_pylist() == [None] * (2 * rows - 1) + [7, *range(rows)]


@pytest.mark.parametrize("codec", ["gzip", "none"])
def test_batches_of_files_are_of_a_size_that_footers_call_for(codec: str, tmp_path: Path) -> None:
    """Of files sent as they are or written anew: long texts are not decoded all at once."""
    path = tmp_path / "a.parquet"
    texts = [chr(97 + n % 26) * 15_000 + str(n) for n in range(3_000)]
    _write(path, pa.table({"A": texts}), use_dictionary=False, compression=codec)
    prepared = prepare(path, "T", PushOptions.parse(upload={"compression": "none"}))
    assert prepared.passing is not None
    assert prepared.source.files is not None
    sources = {
        "frame": prepared.source.files.batches(),
        "rest": prepared.passing.rewritten([0]),
        "passed": prepared.passing.batches(first=1),
    }
    for name, batches in sources.items():
        sizes = [batch_bytes(batch) for batch in batches]
        assert max(sizes, default=0) <= 1.2 * BATCH_BYTES, name
        assert len(sizes) >= 5 or (name == "passed" and codec == "gzip"), name
