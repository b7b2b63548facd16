"""The codec of a push: the one given, else the one that its pool is known to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from celonis_frames import ApiKey, Celonis, Upload, exceptions, local
from celonis_frames._encoding.codecs import CODECS
from celonis_frames._push.codec_choice import choose_codec
from celonis_frames._push.known_pools import KnownPool, remember_pool

FRAME = pl.DataFrame({"K": range(1_000), "S": ["some text"] * 1_000})
READS, READS_NOT = (KnownPool("P", "2026-11-29", {"zstd": read}) for read in (True, False))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for the state of programs, where nothing is known."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, "snappy"),
        (READS, "zstd"),
        (READS_NOT, "snappy"),
        (KnownPool("P", "2026-11-29", {"gzip": True, "lz4": True}), "snappy"),
        (KnownPool("P", "2026-11-29", {}), "snappy"),
    ],
)
def test_only_zstd_is_chosen_and_only_if_it_is_read(known: KnownPool | None, expected: str) -> None:
    """What is given always wins."""
    assert choose_codec(None, known) == expected
    for given in CODECS:
        assert choose_codec(given, known) == given  # type: ignore[arg-type]


@pytest.fixture
def lenient() -> Any:
    """A local Celonis that reads ZSTD, with one pool, and a connection to it."""
    with local.start(lenient=True) as own, Celonis(own.url, auth=ApiKey(own.token)) as client:
        client.push(FRAME, "P", "T", mode="REPLACE")
        yield own, client


def _codec(client: Celonis, staging: Path, **options: Any) -> set[str]:
    """Codecs of the chunks of a push, as its stage has them."""
    folder = staging / "stage"
    with pytest.raises(exceptions.BadRequest):
        client.push(FRAME, "P", "T", mode="REPLACE", staging=folder, **options)
    found = set()
    for chunk in folder.rglob("chunk-*"):
        group = pq.read_metadata(chunk).row_group(0)
        found |= {group.column(place).compression for place in range(group.num_columns)}
    return found


def test_a_push_writes_what_its_pool_is_known_to_take(lenient: Any, tmp_path: Path) -> None:
    """A stage keeps what it was made with; another pool, or a codec that is given, is as before."""
    own, client = lenient
    (pool,) = client.pools()

    def staged(number: int, **options: Any) -> set[str]:
        own.faults.answer("create", 400)
        found = _codec(client, tmp_path / str(number), **options)
        own.faults.clear()
        return found

    assert staged(1) == {"SNAPPY"}
    remember_pool(client.url, "another", {"zstd": True})
    assert staged(2) == {"SNAPPY"}
    remember_pool(client.url, pool.id, {"zstd": True}, name="P")
    assert staged(3) == {"ZSTD"}
    assert staged(4, upload={"compression": "snappy"}) == {"SNAPPY"}
    assert staged(5, upload=Upload(compression="none")) == {"UNCOMPRESSED"}
    remember_pool(client.url, pool.id, {"zstd": False})
    assert staged(6) == {"SNAPPY"}
    (status,) = client.resume(tmp_path / "3" / "stage")
    assert status.ok
    assert own.table("P", "T").num_rows == 1_000


def test_all_calls_choose_alike(lenient: Any, tmp_path: Path) -> None:
    """push, push_many, changes and delete send as many bytes as with the codec given."""
    own, client = lenient
    (pool,) = client.pools()
    given: dict[str, Any] = {"upload": {"compression": "zstd"}}

    def sent(**options: Any) -> list[int]:
        found = [client.push(FRAME, "P", "A", keys="K", **options)]
        found += client.push_many({"B": FRAME}, "P", keys="K", **options).values()
        found.append(client.delete(FRAME[:9], "P", "A", keys="K", **options))
        with client.changes("P", "A", keys="K", **options) as changes:
            changes.upsert(FRAME)
            changes.delete(FRAME[:9])
        sizes = [status.bytes_sent or 0 for status in (*found, changes.status)]
        return [*sizes, client.plan(FRAME, "P", "A", **options).bytes or 0]

    certain, zstd = sent(), sent(**given)
    assert all(small < large for small, large in zip(zstd, certain, strict=True))
    remember_pool(client.url, pool.id, {"zstd": True}, name="P")
    assert sent() == zstd
    assert client.plan(FRAME, pool.id, "A").bytes == zstd[-1]
    assert client.plan(FRAME, "another", "A").bytes == certain[-1]
    # A file is sent unchanged if it has the codec of the push.
    path = tmp_path / "own.parquet"
    pq.write_table(FRAME.to_arrow(), path, compression="zstd")
    assert client.push(path, "P", "C", mode="REPLACE").bytes_sent == path.stat().st_size
    assert own.table("P", "C").num_rows == 1_000
    # CSV has no codec.
    csv = client.push(FRAME, "P", "D", mode="REPLACE", upload={"file_type": "CSV"})
    assert csv.ok


def test_a_pool_is_looked_up_only_if_something_is_known_of_its_team(
    lenient: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the frame is otherwise said before any request."""
    _, client = lenient
    calls: list[str] = []
    monkeypatch.setattr(
        "celonis_frames._push.codec_choice.lookup.pool_id",
        lambda _api, pool, **_: calls.append(pool) or "1",
    )
    with pytest.raises(exceptions.FrameError):
        client.push(pl.DataFrame(), "P", "T")
    assert calls == []
    remember_pool("https://a.eu-1.celonis.cloud", "1", {"zstd": True})
    with pytest.raises(exceptions.FrameError):
        client.push(pl.DataFrame(), "P", "T")
    assert calls == []
    remember_pool(client.url, "1", {"zstd": True})
    with pytest.raises(exceptions.FrameError):
        client.push(pl.DataFrame(), "P", "T")
    assert calls == ["P"]
