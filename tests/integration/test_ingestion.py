"""Frames stored as objects for the Data Ingestion API, through the gateway of the local Celonis."""

from __future__ import annotations

import datetime as dt
import hashlib
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, IngestionKeys, OAuth2, exceptions
from celonis_frames._auth.environment import INGESTION
from celonis_frames._frames.preparation import prepare
from celonis_frames._ingestion.gateway import IngestionGateway
from celonis_frames._options.push_options import PushOptions
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget

POOL, TABLE = "Purchasing", "EVENTS"
KEYS = ["CASE_ID", "EVENT_ID"]
KEYED = {TABLE: {"keys": KEYS, "age": "CHANGED_AT"}}
KEYLESS: dict[str, dict[str, Any]] = {TABLE: {}}
NOON = dt.datetime(2026, 1, 1, 12)
FRAME = pl.DataFrame(
    {
        "CASE_ID": ["0045", "0045", "7"],
        "EVENT_ID": [1, 2, 1],
        "ACTIVITY": ["Create", None, "Größe"],
        "CHANGED_AT": [NOON, NOON + dt.timedelta(hours=1), NOON],
    }
)

Connect = Callable[..., Celonis]


@pytest.fixture
def connect(own: Any) -> Iterator[Connect]:
    """A function that sets a data connection up and connects with its keys."""
    opened: list[Celonis] = []

    def open_connection(tables: Any = KEYED, **options: Any) -> Celonis:
        keys = own.ingestion(POOL, tables=tables)
        options.setdefault("auth", ApiKey(own.token))
        opened.append(Celonis(own.url, ingestion=keys, **options))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


def _rows(own: Any, celonis: Celonis) -> list[dict[str, Any]]:
    own.wait_ingested(30)
    keys = celonis._way().gateway.keys
    return sorted(own.table(POOL, TABLE, connection=keys.connection).to_pylist(), key=str)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FRAME,
        FRAME.lazy,
        FRAME.to_pandas,
        FRAME.to_arrow,
        lambda: (FRAME.to_arrow().slice(n, 1) for n in range(3)),
    ],
    ids=["polars", "LazyFrame", "pandas", "Arrow", "generator"],
)
def test_rows_arrive_from_every_frame(own: Any, connect: Connect, make: Any) -> None:
    """The same road for the data: types and values are those of a job."""
    celonis = connect()
    options = {"keys": KEYS, "order_by": "CHANGED_AT"}
    status = celonis.push(make(), POOL, TABLE, via="ingestion", **options)
    assert (status.state, status.ok, status.done) == ("ACCEPTED", True, True)
    assert (status.job_id, status.rows, status.chunks, status.stored_again) == (None, 3, 1, 0)
    assert status.pool_id == celonis.pool_id(POOL)
    celonis.push(FRAME, POOL, "BY_JOB", mode="REPLACE")
    by_job = own.table(POOL, "BY_JOB").to_pylist()
    assert _rows(own, celonis) == sorted(by_job, key=str)
    assert own.jobs[0]["targetName"] == "BY_JOB"
    assert len(own.jobs) == 1


def test_a_status_without_a_job(connect: Connect) -> None:
    """It says that the rows are stored and not yet in the table, and cannot be cancelled."""
    celonis = connect()
    status = celonis.push(FRAME, POOL, TABLE, via="ingestion")
    assert "stored, not yet in the table" in repr(status)
    assert "1 object" in repr(status)
    assert "job" not in repr(status)
    assert "data connection" in status._repr_html_()
    assert status.wait() is status.refresh() is status
    status.raise_for_status()
    with pytest.raises(exceptions.ConfigError, match="cannot be recalled"):
        status.cancel()
    assert status.to_dict()["objects"] == list(status.objects)
    assert pickle.loads(pickle.dumps(status)).objects == status.objects  # noqa: S301  # ours


def test_objects_have_names_in_the_order_of_the_rows(own: Any, connect: Connect) -> None:
    """Chunks are numbered, and objects of a later push sort behind."""
    celonis = connect(KEYLESS)
    frame = pl.DataFrame({"N": range(60_000), "T": [f"text {n * 7919}" for n in range(60_000)]})
    first = celonis.push(frame, POOL, TABLE, via="ingestion", upload={"chunk_bytes": "200 KB"})
    second = celonis.push(frame.head(1), POOL, TABLE, via="ingestion")
    assert first.chunks > 2
    assert first.objects == tuple(sorted(first.objects))
    assert first.objects[-1] < second.objects[0]
    stored = [one["key"].rpartition("/")[2] for one in own.objects]
    assert sorted(stored) == [*first.objects, *second.objects]
    assert len(_rows(own, celonis)) == 60_001


def test_rows_out_of_order_and_again_end_the_same(own: Any, connect: Connect) -> None:
    """With keys and an age column a part sent again, or too late, changes nothing."""
    celonis = connect()
    newer = FRAME.with_columns(
        pl.lit("Changed").alias("ACTIVITY"), pl.col("CHANGED_AT") + pl.duration(days=1)
    )
    options: Any = {"keys": KEYS, "order_by": "CHANGED_AT", "via": "ingestion"}
    for part in (newer.head(2), FRAME, newer.tail(1), FRAME.tail(2), newer.head(1)):
        celonis.push(part, POOL, TABLE, **options)
    assert _rows(own, celonis) == sorted(newer.to_arrow().to_pylist(), key=str)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "REPLACE"}, 'mode="REPLACE"'),
        ({"mode": "CREATE"}, 'mode="CREATE"'),
        ({"keys": KEYS, "deduplicate_by": "EVENT_ID"}, "deduplicate_by"),
        ({"upload": {"job_options": {"changeDate": "X"}}}, "job_options"),
        ({"upload": {"file_type": "CSV"}}, 'file_type="CSV"'),
        ({"upload": {"compression": "zstd"}}, "compression='zstd'"),
        ({"connection": "11111111-2222-3333-4444-555555555555"}, "connection="),
    ],
)
def test_what_this_way_cannot_do_is_rejected_before_reading(
    own: Any, connect: Connect, options: dict[str, Any], message: str
) -> None:
    """The error says what to do instead; the frame is not read."""

    def never() -> Iterator[pa.Table]:
        raise AssertionError("the frame was read")
        yield pa.table({})

    with pytest.raises(exceptions.ConfigError, match=message):
        connect().push(never(), POOL, TABLE, via="ingestion", **options)
    assert own.objects == []


def test_order_by_is_for_this_way_only(connect: Connect) -> None:
    """A job knows no age column."""
    with pytest.raises(exceptions.ConfigError, match="order_by="):
        connect().push(FRAME, POOL, TABLE, keys=KEYS, order_by="CHANGED_AT")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"EVENT_ID": [1, None, 1]}, "Key column 'EVENT_ID' has 1 null"),
        ({"CHANGED_AT": [NOON, None, NOON]}, "'CHANGED_AT' of order_by= has 1 null"),
    ],
)
def test_keys_and_ages_have_no_nulls(
    own: Any, connect: Connect, change: dict[str, Any], message: str
) -> None:
    """Nothing is stored before every row was checked."""
    frame = FRAME.with_columns(**{name: pl.Series(values) for name, values in change.items()})
    with pytest.raises(exceptions.KeyColumnError, match=message):
        connect().push(frame, POOL, TABLE, via="ingestion", keys=KEYS, order_by="CHANGED_AT")
    assert own.objects == []


def test_an_age_column_needs_keys(connect: Connect) -> None:
    """Without keys every row is another one: what is stored again would be there twice."""
    with pytest.raises(exceptions.KeyColumnError, match="give keys= as well"):
        connect(KEYLESS).push(FRAME, POOL, TABLE, order_by="CHANGED_AT", via="ingestion")


@pytest.mark.usefixtures("alone")
def test_without_botocore_the_error_says_what_to_install(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the frame is read."""
    monkeypatch.setitem(sys.modules, "botocore", None)
    keys = own.ingestion(POOL, tables=KEYED)
    with (
        Celonis(own.url, ingestion=keys) as celonis,
        pytest.raises(ImportError, match=r'pip install "celonis-frames\[ingestion\]"'),
    ):
        celonis.push(FRAME, POOL, TABLE, keys=KEYS)


@pytest.mark.parametrize("hours", [2, -2])
def test_a_wrong_clock_is_named_with_its_difference(
    own: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Signatures hold for minutes: the error says by how much this machine's clock is wrong."""
    celonis = connect()

    class ServersClock(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return dt.datetime.now(tz) - dt.timedelta(hours=hours)

    monkeypatch.setattr("celonis_frames.local._gateway.routes.datetime", ServersClock)
    with pytest.raises(exceptions.PermissionDenied) as caught:
        celonis.push(FRAME, POOL, TABLE, via="ingestion")
    assert f"by 120 minutes {'ahead' if hours > 0 else 'behind'}" in str(caught.value)
    assert own.objects == []


def test_an_unknown_age_column_is_named(connect: Connect) -> None:
    """With the frame's columns."""
    with pytest.raises(exceptions.KeyColumnError, match="order_by='AGE' is not a column"):
        connect().push(FRAME, POOL, TABLE, via="ingestion", keys=KEYS, order_by="AGE")


def test_a_bad_last_row_leaves_nothing_behind(own: Any, connect: Connect) -> None:
    """The error of a stream comes before the first object is stored."""
    parts = (pl.DataFrame({"T": ["x" if n < 9 else "y" * 20_000]}).to_arrow() for n in range(10))
    with pytest.raises(exceptions.TruncationError):
        connect(KEYLESS).push(parts, POOL, TABLE, via="ingestion")
    assert own.objects == []


ROWS = 60_000
LARGE = pl.DataFrame(
    {
        "CASE_ID": [f"case {n * 7919}" for n in range(ROWS)],
        "EVENT_ID": range(ROWS),
        "ACTIVITY": [None if n % 7 == 0 else "Größe " * (n % 20) for n in range(ROWS)],
        "CHANGED_AT": [NOON] * ROWS,
    }
)
CUT = {"chunk_bytes": "200 KB"}
IN_MEMORY: dict[str, Callable[[], Any]] = {
    "Arrow": LARGE.to_arrow,
    "polars": lambda: LARGE,
    "pandas": lambda: LARGE.to_pandas(use_pyarrow_extension_array=True),
}


@pytest.fixture
def spooled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the chunks that waited in a spool."""
    names: list[str] = []
    put = ChunkSpool.put

    def noted(self: ChunkSpool, chunk: Any) -> Any:
        names.append(chunk.name)
        return put(self, chunk)

    monkeypatch.setattr(ChunkSpool, "put", noted)
    return names


@pytest.mark.sampled(4)
@pytest.mark.parametrize("keyed", [False, True], ids=["no keys", "keys"])
@pytest.mark.parametrize("kind", [*IN_MEMORY, "LazyFrame"])
def test_a_frame_in_memory_is_read_twice_and_kept_nowhere(
    kind: str, own: Any, connect: Connect, spooled: list[str], *, keyed: bool
) -> None:
    """The same rows are stored as if its chunks waited for the last row, as those of a query do."""
    make = IN_MEMORY.get(kind, LARGE.lazy)
    options: Any = {"keys": KEYS, "order_by": "CHANGED_AT"} if keyed else {}
    celonis = connect(KEYED if keyed else KEYLESS)
    status = celonis.push(make(), POOL, TABLE, via="ingestion", upload=CUT, **options)
    assert (status.rows, status.chunks) == (ROWS, len(status.objects))
    assert status.chunks > 2
    assert len(spooled) == (0 if kind in IN_MEMORY else status.chunks)
    assert _rows(own, celonis) == sorted(LARGE.to_arrow().to_pylist(), key=str)


@pytest.mark.parametrize("kind", IN_MEMORY)
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"columns": {"ACTIVITY": 100}}, exceptions.TruncationError),
        ({"columns": {"CASE_ID": "INTEGER"}}, exceptions.FrameError),
        ({"keys": ["CASE_ID", "ACTIVITY"]}, exceptions.KeyColumnError),
    ],
    ids=["too long", "does not fit", "null in a key"],
)
def test_a_bad_value_of_a_frame_in_memory_leaves_nothing_behind(
    kind: str, own: Any, connect: Connect, options: dict[str, Any], error: type[Exception]
) -> None:
    """All rows are checked before the first object is stored."""
    with pytest.raises(error):
        connect(KEYLESS).push(
            IN_MEMORY[kind](), POOL, TABLE, via="ingestion", upload=CUT, **options
        )
    assert own.objects == []


def test_bad_values_are_left_out_in_both_readings(own: Any, connect: Connect) -> None:
    """With on_bad= the same rows and values, and each is reported once."""
    bad = [f"{'x' * 20_000 if n % 20_000 == 9 else n}" for n in range(ROWS)]
    frame = LARGE.with_columns(ACTIVITY=pl.Series(bad))
    celonis = connect(KEYLESS)
    status = celonis.push(frame, POOL, TABLE, via="ingestion", upload=CUT, on_bad="drop")
    assert status.rows == ROWS - 3
    assert status.rejects.num_rows == 3
    assert len(_rows(own, celonis)) == ROWS - 3


def test_unique_keys_are_known_before_the_first_object(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So objects are stored several at a time from the beginning, and one at a time otherwise."""
    most, now, lock = [0], [0], threading.Lock()
    put = IngestionGateway.put

    def counted(self: IngestionGateway, *values: Any, **others: Any) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            time.sleep(0.05)
            put(self, *values, **others)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(IngestionGateway, "put", counted)
    celonis = connect()
    for keys, expected in ((KEYS, range(2, 5)), (["CHANGED_AT"], range(1, 2))):
        most[0] = 0
        celonis.push(LARGE, POOL, TABLE, via="ingestion", upload=CUT, keys=keys)
        assert most[0] in expected


@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "query"])
@pytest.mark.parametrize("keys", [None, KEYS], ids=["no keys", "keys"])
def test_chunks_are_hashed_where_they_are_written(*, lazy: bool, keys: list[str] | None) -> None:
    """The threads that encode know the digest of the bytes, also of those that wait in a spool."""
    options = PushOptions.parse(via="ingestion", upload=CUT, keys=keys)
    prepared = prepare(LARGE.lazy() if lazy else LARGE, TABLE, options)
    spool = ChunkSpool(MemoryBudget(400_000))
    prepared.begin(spool, checked_first=True)
    for chunk in prepared.chunks():
        found: Any = chunk
        assert found.sha256 == hashlib.sha256(b"".join(chunk.blocks())).hexdigest()
        chunk.release()
    prepared.close()
    spool.close()


def test_a_frame_that_is_changed_while_it_is_pushed(own: Any, connect: Connect) -> None:
    """What was not checked is not stored; the error names what was stored before."""
    count = 3_000_000
    amounts = np.zeros(count)
    frame = pd.DataFrame({"N": np.arange(count), "AMOUNT": amounts}, copy=False)

    def change() -> None:
        while not own.objects:
            time.sleep(0.005)
        amounts[-1] = np.inf

    celonis = connect(KEYLESS)
    changing = threading.Thread(target=change)
    changing.start()
    upload: Any = {"chunk_bytes": "200 KB", "workers": 1}
    with pytest.raises(exceptions.FrameError, match="changed while it was pushed") as caught:
        celonis.push(frame, POOL, TABLE, via="ingestion", upload=upload)
    changing.join()
    (note,) = (note for note in caught.value.__notes__ if "stored" in note)
    assert own.objects[0]["key"].rpartition("-")[0].rpartition("/")[2] in note
    own.wait_ingested(30)
    keys = celonis._way().gateway.keys
    stored = own.table(POOL, TABLE, connection=keys.connection)
    assert 0 < stored.num_rows < count
    assert pc.max(stored["AMOUNT"]).as_py() == 0


def test_keys_alone_choose_this_way(own: Any) -> None:
    """Without auth pushes are stored as objects; other calls say that they need a key."""
    keys = own.ingestion(POOL, tables=KEYED)
    with Celonis(own.url, ingestion=keys) as celonis:
        status = celonis.push(FRAME, POOL, TABLE, keys=KEYS)
        assert status.state == "ACCEPTED"
        assert status.pool_id is None
        assert any("pool was not checked" in warning for warning in status.warnings)
        for call in (celonis.pools, lambda: celonis.push(FRAME, POOL, TABLE, via="push")):
            with pytest.raises(exceptions.ConfigError, match="ingestion keys only"):
                call()
        for options in ({"schema_mode": "freeze"}, {"missing_columns": "error"}):
            with pytest.raises(exceptions.ConfigError, match="needs the columns"):
                celonis.push(FRAME, POOL, TABLE, keys=KEYS, **options)
        with pytest.raises(exceptions.ConfigError):
            celonis.delete(FRAME, POOL, TABLE, keys=KEYS)
    assert len(_rows(own, celonis)) == 3


def test_a_plan_needs_no_other_keys(own: Any) -> None:
    """With ingestion keys alone a frame is planned as without a connection."""
    with Celonis(own.url, ingestion=own.ingestion(POOL, tables=KEYED)) as celonis:
        plan = celonis.plan(FRAME, POOL, TABLE, keys=KEYS, order_by="CHANGED_AT")
    assert (plan.via, plan.rows, plan.exists) == ("ingestion", 3, None)


def test_both_kinds_of_keys_choose_jobs(own: Any, connect: Connect) -> None:
    """With auth a push without via= is a job, as before."""
    assert connect().push(FRAME, POOL, TABLE, keys=KEYS).state == "DONE"
    assert own.objects == []


def test_the_pool_must_have_the_connection(own: Any, connect: Connect) -> None:
    """Keys of a connection in another pool are an error, as far as the key may look."""
    own.add_pool("Sales")
    with pytest.raises(exceptions.ConfigError, match="has no data connection"):
        connect().push(FRAME, "Sales", TABLE, via="ingestion")
    assert own.objects == []


def test_a_key_that_may_only_push_gives_a_warning(own: Any, connect: Connect) -> None:
    """The rows go where the ingestion keys lead; the status says that nobody checked."""
    auth = OAuth2(*own.oauth_client, scopes=["integration.data-pools:data_push"])
    status = connect(auth=auth).push(FRAME, POOL, TABLE, via="ingestion")
    assert status.pool_id is None
    assert any("pool was not checked" in warning for warning in status.warnings)


def test_the_table_is_followed_where_it_can_be_seen(own: Any, connect: Connect) -> None:
    """Types are aligned, and columns that the frame lacks are an error, as for jobs."""
    celonis = connect()
    options: Any = {"keys": KEYS, "order_by": "CHANGED_AT", "via": "ingestion"}
    frame = FRAME.with_columns(AMOUNT=pl.Series([1, 2, 3]))
    celonis.push(frame, POOL, TABLE, **options)
    own.wait_ingested(30)
    gap = frame.to_pandas().assign(AMOUNT=[1.0, None, 3.0])
    celonis.push(gap, POOL, TABLE, **options)
    assert {row["AMOUNT"] for row in _rows(own, celonis)} == {1, None, 3}
    with pytest.raises(exceptions.FrameError, match=r"lacks columns.*'AMOUNT'"):
        celonis.push(FRAME, POOL, TABLE, **options)
    assert [one["state"] for one in own.objects] == ["INGESTED"] * 2


def test_rows_are_awaited_where_the_server_tells_them(connect: Connect) -> None:
    """verify="rows" waits until they are in the table, or says that they are not."""
    celonis = connect(KEYLESS)
    status = celonis.push(FRAME, POOL, TABLE, via="ingestion", verify="rows")
    assert status.ingested is True
    assert "in the table" in repr(status)
    broken = FRAME.with_columns(pl.lit("x").alias("EVENT_ID"))
    status = celonis.push(broken, POOL, TABLE, via="ingestion", verify=["rows", "none"], timeout=2)
    assert status.ingested is False
    assert any("monitoring" in warning for warning in status.warnings)


def test_push_many_goes_this_way_too(own: Any, connect: Connect) -> None:
    """Every table is stored; an error of one does not stop the other."""
    celonis = connect({"A": {}, "B": {"keys": ["EVENT_ID"]}})
    statuses = celonis.push_many({"A": FRAME, "B": FRAME}, POOL, via="ingestion")
    assert {status.state for status in statuses.values()} == {"ACCEPTED"}
    with pytest.raises(exceptions.FrameError):
        celonis.push_many({"A": FRAME.clear(), "B": FRAME}, POOL, via="ingestion")
    assert len(own.objects) == 3


def test_parquet_files_go_as_they_are_if_they_are_uncompressed(
    own: Any, connect: Connect, tmp_path: Path
) -> None:
    """The gateway takes no codec, so a file with one is written again."""
    celonis = connect(KEYLESS)
    table = pa.table({"N": pa.array(range(300_000)), "F": pa.array([0.5] * 300_000)})
    for name, codec in (("none", "NONE"), ("snappy", "SNAPPY")):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(table, path, compression=codec, data_page_version="1.0")
        celonis.push(path, POOL, TABLE, via="ingestion")
    own.wait_ingested(30)
    assert [one["state"] for one in own.objects] == ["INGESTED"] * 2
    assert own.table(POOL, TABLE, connection=celonis._way().gateway.keys.connection).num_rows == (
        600_000
    )


@pytest.mark.usefixtures("alone")
def test_the_environment_has_the_keys(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five variables; with these alone pushes are stored as objects."""
    keys = own.ingestion(POOL, tables=KEYED)
    values = {
        "access_key": keys.access_key.reveal(), "secret_key": keys.secret_key.reveal(),
        "connection": keys.connection, "bucket": keys.bucket, "region": keys.region,
    }  # fmt: skip
    monkeypatch.setenv("CELONIS_URL", own.url)
    for name, variable in INGESTION.items():
        monkeypatch.setenv(variable, values[name])
    assert celonis_frames.push(FRAME, POOL, TABLE, keys=KEYS).state == "ACCEPTED"
    monkeypatch.delenv("CELONIS_INGESTION_REGION")
    with pytest.raises(exceptions.ConfigError, match="CELONIS_INGESTION_REGION is not set"):
        Celonis.from_env()


def test_via_ingestion_needs_its_keys(client: Celonis) -> None:
    """The error says where they come from."""
    with pytest.raises(exceptions.ConfigError, match=r"IngestionKeys\(…\)"):
        client.push(FRAME, POOL, TABLE, via="ingestion")


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"secret_key": "wrong-secret"}, exceptions.PermissionDenied, "secret key or the region"),
        ({"access_key": "wrong-access"}, exceptions.PermissionDenied, "access key is unknown"),
        ({"region": "eu-central-9"}, exceptions.PermissionDenied, "region"),
        ({"bucket": "elsewhere"}, exceptions.ApiStatusError, "bucket"),
    ],
)
def test_wrong_keys_are_explained(
    own: Any, wrong: dict[str, str], kind: type[Exception], message: str
) -> None:
    """Each error of S3 says what to compare; no key is shown."""
    keys = own.ingestion(POOL, tables=KEYED)
    given = {
        name: getattr(keys, name)
        for name in ("connection", "access_key", "secret_key", "bucket", "region")
    }
    with (
        Celonis(own.url, ingestion=IngestionKeys(**{**given, **wrong})) as celonis,
        pytest.raises(kind, match=message) as caught,
    ):
        celonis.push(FRAME, POOL, TABLE)
    for key in (keys.secret_key, keys.access_key):
        assert key.reveal() not in f"{caught.value} {getattr(caught.value, '__notes__', '')}"


def test_an_unknown_table_is_a_failed_object(own: Any, connect: Connect) -> None:
    """The gateway stores it, as far as is known; the connection's monitoring lists the failure."""
    assert connect().push(FRAME, POOL, "OTHER", via="ingestion").state == "ACCEPTED"
    own.wait_ingested(30)
    assert [one["state"] for one in own.objects] == ["FAILED"]


@pytest.mark.parametrize("table", ["a/b", ".."])
def test_a_table_that_no_key_can_have(own: Any, connect: Connect, table: str) -> None:
    """It is rejected before anything is stored."""
    with pytest.raises(exceptions.ConfigError, match="part of an object's key"):
        connect({table: {}}).push(FRAME, POOL, table, via="ingestion")
    assert own.objects == []


@pytest.mark.parametrize("table", ["A B", "Größe in kg", "x+y=z&%41", "日本", "a:b", "-._~"])
def test_tables_of_any_name(own: Any, connect: Connect, table: str) -> None:
    """The name is encoded and signed rightly."""
    celonis = connect({table: {}})
    celonis.push(FRAME, POOL, table, via="ingestion")
    own.wait_ingested(30)
    keys = celonis._way().gateway.keys
    assert own.table(POOL, table, connection=keys.connection).num_rows == 3


def _lose_the_response(own: Any) -> None:
    own.faults.drop("put", when="after")


@pytest.mark.parametrize(
    ("tables", "options", "consequence"),
    [
        (KEYED, {"keys": KEYS, "order_by": "CHANGED_AT"}, "the age column decides"),
        (KEYED, {"keys": KEYS}, "unless a later push has the same keys"),
        (KEYLESS, {}, "its rows twice"),
    ],
)
def test_a_lost_response_names_the_object(
    own: Any, connect: Connect, tables: Any, options: dict[str, Any], consequence: str
) -> None:
    """It is stored once; the error says what storing it again would do."""
    celonis = connect(tables)
    _lose_the_response(own)
    with pytest.raises(exceptions.UploadUncertain, match=consequence) as caught:
        celonis.push(FRAME, POOL, TABLE, via="ingestion", **options)
    (stored,) = own.objects
    assert stored["key"] in str(caught.value)
    assert "3 rows" in str(caught.value)
    assert len(_rows(own, celonis)) == 3


def test_repeat_allowed_stores_the_object_again(own: Any, connect: Connect) -> None:
    """Under the same name, which is one object; the status says at least once."""
    celonis = connect()
    _lose_the_response(own)
    status = celonis.push(
        FRAME, POOL, TABLE, keys=KEYS, via="ingestion", upload={"repeat": "allowed"}
    )
    assert status.stored_again == 1
    assert "at least once" in repr(status)
    assert len(_rows(own, celonis)) == 3


def test_what_certainly_did_not_arrive_is_stored_again(own: Any, connect: Connect) -> None:
    """SlowDown, and refused connections, need no permission."""
    celonis = connect(KEYLESS)
    slow = b"<Error><Code>SlowDown</Code><Message>Too many requests.</Message></Error>"
    own.faults.answer("put", 503, body=slow, times=2)
    status = celonis.push(FRAME, POOL, TABLE, via="ingestion")
    assert (status.stored_again, len(own.objects)) == (0, 1)


@pytest.mark.parametrize("exact", [True, False])
def test_resume_stores_what_is_missing(
    own: Any, connect: Connect, tmp_path: Path, *, exact: bool
) -> None:
    """What was acknowledged is not stored again; what is in doubt only if that changes nothing."""
    celonis = connect(KEYED if exact else KEYLESS)
    frame = pl.DataFrame(
        {
            "CASE_ID": [f"case {n * 7919}" for n in range(60_000)],
            "EVENT_ID": range(60_000),
            "CHANGED_AT": [NOON] * 60_000,
        }
    )
    options: Any = {"keys": KEYS, "order_by": "CHANGED_AT"} if exact else {}
    own.faults.drop("put", when="after", skip=2)
    with pytest.raises(exceptions.UploadUncertain) as caught:
        celonis.push(
            frame, POOL, TABLE, via="ingestion", staging=str(tmp_path),
            upload={"chunk_bytes": "200 KB", "workers": 1}, **options,
        )  # fmt: skip
    assert any("2 objects" in note for note in caught.value.__notes__)
    before = {one["key"]: one["time"] for one in own.objects}
    assert len(before) == 3
    if not exact:
        with pytest.raises(exceptions.UploadUncertain, match=r"twice.*delete the stage"):
            celonis.resume(str(tmp_path))
        return
    (status,) = celonis.resume(str(tmp_path))
    assert status.state == "ACCEPTED"
    stored = {one["key"]: one["time"] for one in own.objects}
    assert [stored[key] for key in before] == list(before.values())
    assert status.objects == tuple(sorted(key.rpartition("/")[2] for key in stored))
    assert status.chunks == len(status.objects)
    assert len(_rows(own, celonis)) == 60_000
    assert list(tmp_path.iterdir()) == []


def test_what_was_rejected_is_stored_again_without_permission(
    own: Any, connect: Connect, tmp_path: Path
) -> None:
    """A stage knows which objects were certainly not stored, also without keys."""
    celonis = connect(KEYLESS)
    own.faults.answer("put", 403)
    with pytest.raises(exceptions.PermissionDenied) as caught:
        celonis.push(FRAME, POOL, TABLE, via="ingestion", staging=str(tmp_path))
    assert "erhaps" not in "".join(caught.value.__notes__)
    (status,) = celonis.resume(str(tmp_path))
    assert (status.stored_again, len(own.objects), len(_rows(own, celonis))) == (0, 1, 3)


def test_a_rejection_after_a_lost_response_leaves_the_doubt(own: Any, connect: Connect) -> None:
    """The first call may have stored what the second one did not."""
    celonis = connect(KEYLESS)
    own.faults.drop("put", when="after")
    own.faults.answer("put", 403)
    with pytest.raises(exceptions.PermissionDenied) as caught:
        celonis.push(FRAME, POOL, TABLE, via="ingestion", upload={"repeat": "allowed"})
    assert len(own.objects) == 1
    assert "Perhaps stored" in "".join(caught.value.__notes__)


def test_a_warning_of_repeated_keys_names_the_age(connect: Connect) -> None:
    """Of rows with one key the age column decides, not the order."""
    rows = pl.concat([FRAME, FRAME])
    status = connect().push(rows, POOL, TABLE, keys=KEYS, order_by="CHANGED_AT", via="ingestion")
    assert any("the newest by its age is kept" in warning for warning in status.warnings)
    assert not any("deduplicate_by" in warning for warning in status.warnings)


def test_resume_needs_the_same_keys(
    own: Any, connect: Connect, client: Celonis, tmp_path: Path
) -> None:
    """A stage of objects is finished by a connection with the keys of their data connection."""
    celonis = connect(KEYED)
    _lose_the_response(own)
    with pytest.raises(exceptions.UploadUncertain):
        celonis.push(FRAME, POOL, TABLE, keys=KEYS, via="ingestion", staging=str(tmp_path))
    with pytest.raises(exceptions.ConfigError, match="with its ingestion keys"):
        client.resume(str(tmp_path))


def test_plan_knows_this_way(connect: Connect) -> None:
    """Uncompressed bytes; and what this way does not promise."""
    plan = connect().plan(FRAME, POOL, TABLE, keys=KEYS, via="ingestion")
    assert any("one by one" in warning for warning in plan.warnings)
    assert "ingestion" in repr(plan)


def test_ingestion_keys_stay_secret() -> None:
    """No repr and no pickle shows them; wrong ones are rejected without being shown."""
    keys = IngestionKeys("c", "ACCESS-CANARY", celonis_frames.Secret("SECRET-CANARY"), "b", "r")
    assert "CANARY" not in f"{keys!r} {vars(keys)}"
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    with pytest.raises(exceptions.ConfigError) as caught:
        IngestionKeys("c", "ACCESS-CANARY", "SECRET CANARY", "b", "r")
    assert "CANARY" not in str(caught.value)
    with pytest.raises(exceptions.ConfigError, match="connection"):
        IngestionKeys("a/b", "k", "s", "b", "r")


def test_pandas_accessor(own: Any, connect: Connect) -> None:
    """`df.celonis.push` takes the same parameters."""
    celonis = connect()
    frame: Any = pd.DataFrame({"CASE_ID": ["a"], "EVENT_ID": [1], "CHANGED_AT": [NOON]})
    status = frame.celonis.push(
        POOL, TABLE, keys=KEYS, order_by="CHANGED_AT", via="ingestion", client=celonis
    )
    assert status.ok
    assert len(_rows(own, celonis)) == 1


def test_a_timeout_while_objects_are_stored(own: Any, connect: Connect) -> None:
    """The error says so, and not that nothing happened: an object may be stored."""
    celonis = connect(KEYLESS)
    own.faults.stall("put", when="late")
    with pytest.raises(exceptions.JobTimeout, match="passed while objects were stored") as e:
        celonis.push(FRAME, POOL, TABLE, via="ingestion", timeout=1)
    assert not e.value.outcome_known
    assert "nothing was executed" not in str(e.value)
    assert "Perhaps stored: " in e.value.__notes__[0]
