"""``compression="auto"``: line and encoder are measured, and an accepted codec is chosen."""

from __future__ import annotations

import io
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames import ApiKey, Celonis, exceptions, plan
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.throughput import TELLING_BYTES, Line
from celonis_frames._encoding.chunk_sizer import ChunkSizer
from celonis_frames._encoding.chunking import efforts, write
from celonis_frames._encoding.codecs import ACCEPTED, AUTO, CERTAIN, WORTH, Choice, Effort, choose
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._push.options import PushOptions
from celonis_frames.local._database import parquet_rules

POOL = "Codecs"
BYTES_A_SECOND = 4_000_000
WORDS = ("alpha", "beta", "gamma", "delta", "order", "invoice", "paid", "open")


def _frame(rows: int) -> pa.Table:
    r = random.Random(rows)  # noqa: S311  # no secret
    texts = [" ".join(r.choices(WORDS, k=14)) for _ in range(rows)]
    return pa.table({"N": list(range(rows)), "S": texts})


EFFORT = st.builds(Effort, st.floats(0.01, 1e4), st.floats(1e-10, 1e-3))
EFFORTS = st.fixed_dictionaries({CERTAIN: EFFORT}, optional={"none": EFFORT, "zstd": EFFORT})


@given(EFFORTS, st.floats(1, 1e12), st.integers(1, 64), st.booleans())
def test_the_choice_is_never_worse_than_the_certain_codec(
    found: dict[str, Effort], speed: float, cpu_count: int, overlapped: bool
) -> None:
    """And it is within a tenth of the best; the certain one where little can be won."""

    def seconds(codec: str) -> float:
        both = found[codec].seconds / cpu_count, found[codec].size / speed
        return max(both) if overlapped else sum(both)

    chosen = choose(found, speed, cpu_count=cpu_count, overlapped=overlapped)
    best = min(map(seconds, found))
    assert seconds(chosen) <= seconds(CERTAIN)
    assert seconds(chosen) <= best / WORTH * (1 + 1e-9)
    if chosen != CERTAIN:
        assert seconds(chosen) == best


@given(EFFORTS, st.integers(1, 64), st.booleans())
def test_the_ends_are_clear(found: dict[str, Effort], cpu_count: int, overlapped: bool) -> None:
    """Nothing known: the certain one. An endless line: the quickest. A thin one: the smallest."""
    assert choose(found, None, cpu_count=cpu_count, overlapped=overlapped) == CERTAIN
    fast = choose(found, 1e30, cpu_count=cpu_count, overlapped=overlapped)
    thin = choose(found, 1e-12, cpu_count=cpu_count, overlapped=overlapped)
    assert found[fast].seconds * WORTH <= min(effort.seconds for effort in found.values())
    assert found[thin].size * WORTH <= min(effort.size for effort in found.values()) * (1 + 1e-6)


def test_only_what_is_known_to_be_accepted_is_chosen() -> None:
    """Candidates are the codecs that the local Celonis' strict face takes, the default first."""
    (batch,) = _frame(20_000).to_batches()
    assert tuple(efforts(batch, FileFormat(batch.schema))) == ACCEPTED
    names = {"none": "UNCOMPRESSED"}
    assert {names.get(codec, codec.upper()) for codec in ACCEPTED} <= parquet_rules._CODECS
    assert PushOptions().compression == CERTAIN == ACCEPTED[0] == "snappy"


@given(
    st.floats(1e3, 1e10),
    st.lists(
        st.tuples(st.floats(0, 100), st.integers(TELLING_BYTES, 10**9)), min_size=1, max_size=6
    ),
)
def test_a_shared_line_is_measured_whole(capacity: float, uploads: list[tuple[float, int]]) -> None:
    """However uploads overlap on a line that they share evenly, its speed comes out."""
    now = 0.0
    line = Line(lambda: now)
    waiting = sorted(uploads, reverse=True)
    running: list[tuple[list[float], ExitStack]] = []
    while waiting or running:
        ends = [left[0] * len(running) / capacity for left, _ in running]
        step = min(ends, default=float("inf"))
        if waiting and waiting[-1][0] - now < step:
            step = max(0.0, waiting[-1][0] - now)
        now += step
        for left, _ in running:
            left[0] -= step * capacity / len(running)
        for item in [item for item in running if item[0][0] <= 1e-3 * item[0][1]]:
            item[1].close()
            running.remove(item)
        while waiting and waiting[-1][0] <= now:
            _, size = waiting.pop()
            upload = ExitStack()
            upload.enter_context(line.sending(size))
            running.append(([float(size), float(size)], upload))
    assert line.speed() == pytest.approx(capacity, rel=0.05)


def test_what_tells_nothing_of_the_line_does_not_count() -> None:
    """Failed uploads and small ones; many new ones outweigh what was."""
    line = Line()
    with line.sending(TELLING_BYTES - 1):
        pass
    with pytest.raises(KeyError), line.sending(10**9):
        raise KeyError
    assert line.speed() is None
    line.took(10**9, 1.0)
    assert line.speed() == pytest.approx(1e9)
    for _ in range(100):
        line.took(10**6, 1.0)
    assert line.speed() == pytest.approx(1e6, rel=0.05)


def test_files_keep_their_size_when_the_codec_changes() -> None:
    """Whatever is chosen from file to file, they come out as large as wished, with all rows."""
    frame = _frame(60_000)
    batches = frame.to_batches(max_chunksize=7_000)
    style = FileFormat(frame.schema, compression=AUTO)
    style.see(batches[0])
    speeds = itertools.cycle([1e30, 1e-12])
    found = efforts(batches[0], style)
    style.choice = Choice(found, lambda: next(speeds), cpu_count=2, overlapped=True)
    wish = 200_000
    made = [file.finish(1) for file in write(batches, style, ChunkSizer(wish, None, None))]
    codecs = [_codec(b"".join(chunk.blocks())) for chunk in made]
    assert set(codecs[::2]) == {"UNCOMPRESSED"}
    assert set(codecs[1::2]) == {"SNAPPY"}
    assert sum(chunk.rows for chunk in made) == 60_000
    for chunk in made[1:-1]:
        assert 0.8 * wish <= chunk.size <= 1.2 * wish


def _codec(data: bytes) -> str:
    metadata = pq.read_metadata(io.BytesIO(data))
    (codec,) = {metadata.row_group(0).column(n).compression for n in range(metadata.num_columns)}
    return str(codec)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The codecs of the files that are uploaded, in the order in which they are begun."""
    found: list[str] = []
    real = DataPushApi.upload_chunk

    def upload(self: DataPushApi, pool: str, job: str, payload: Any, **options: Any) -> None:
        found.append(_codec(b"".join(map(bytes, payload.blocks()))))
        real(self, pool, job, payload, **options)

    monkeypatch.setattr(DataPushApi, "upload_chunk", upload)
    return found


@contextmanager
def _throttled(port: int, bytes_a_second: int) -> Iterator[int]:
    """A port that leads to another, whose way there is so slow."""
    block = 32_768
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, sink: socket.socket, speed: int | None) -> None:
        try:
            while data := source.recv(block):
                if speed:
                    time.sleep(len(data) / speed)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def run(*arguments: Any, target: Callable[..., None] = pump) -> None:
        threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        threads[-1].start()

    ends: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                run(near, far, bytes_a_second)
                run(far, near, None)

        run(target=accept)
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    for end in ends:
        end.close()
    for thread in threads:
        thread.join(5)


OPTIONS: dict[str, Any] = {"compression": "auto", "chunk_bytes": 200_000, "mode": "REPLACE"}


def test_a_line_that_turns_out_slow_gets_the_small_files(
    server: Any, table: str, sent: list[str]
) -> None:
    """The first file is as the past says, those after it as the uploads show."""
    port = int(server.url.rpartition(":")[2])
    with (
        _throttled(port, BYTES_A_SECOND) as slow,
        Celonis(f"http://127.0.0.1:{slow}", auth=ApiKey(server.token)) as client,
    ):
        client._api.line.took(TELLING_BYTES, 1e-9)
        status = client.push(_frame(40_000), POOL, table, workers=1, **OPTIONS)
    assert sent[0] == "UNCOMPRESSED"
    assert sent[-1] == "SNAPPY"
    assert len(sent) == status.chunks
    assert server.table(POOL, table).num_rows == 40_000


@pytest.mark.parametrize("kind", ["table", "stream", "staging"])
def test_an_endless_line_gets_the_quick_files(
    kind: str, server: Any, table: str, sent: list[str], tmp_path: Any
) -> None:
    """Also where all is encoded before the first upload: the last push has shown the line."""
    frame = _frame(40_000)
    options = OPTIONS | ({"staging": str(tmp_path)} if kind == "staging" else {})
    for known, codec in ((False, "SNAPPY"), (True, "UNCOMPRESSED")):
        with Celonis(server.url, auth=ApiKey(server.token)) as client:
            if known:
                client._api.line.took(10**18, 1.0)
            given = iter(frame.to_batches()) if kind == "stream" else frame
            client.push(given, POOL, table, **options)
        assert sent[0] == codec
        if known or kind != "table":
            assert set(sent) == {codec}
        assert server.table(POOL, table).sort_by("N").equals(frame.cast(pa.schema(
            [("N", pa.int64()), ("S", server.table(POOL, table).schema.field("S").type)]
        )))  # fmt: skip
        sent.clear()


def test_small_frames_and_csv_have_nothing_to_choose(
    server: Any, connection: Celonis, table: str
) -> None:
    """One small chunk is snappy; CSV has no codec; a plan reckons with the certain one."""
    small = pa.table({"A": [1, 2]})
    before = connection._api.line
    assert connection.push(small, POOL, table, compression="auto").ok
    assert connection.push(small, POOL, table, compression="AUTO", file_type="CSV").ok  # type: ignore[arg-type]
    assert connection._api.line is before
    assert server.table(POOL, table).num_rows == 4
    frame = _frame(40_000)
    assert plan(frame, POOL, table, compression="auto").bytes == plan(frame, POOL, table).bytes
    with pytest.raises(exceptions.ConfigError, match="'auto'"):
        connection.push(small, POOL, table, compression="best")  # type: ignore[arg-type]
