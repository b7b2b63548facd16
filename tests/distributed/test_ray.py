"""Ray Datasets on worker processes: rows, errors, deaths. The session `ray` of nox runs it."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray

import celonis_frames
from celonis_frames import Celonis, Column, Secret, exceptions
from celonis_frames.ray import CelonisDatasink, PushSettings

pytestmark = pytest.mark.filterwarnings("default")  # what Ray warns about is its own affair


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Ray keeps threads and connections of its own."""
    return


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Ray with two processors, without what it sends to its makers."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(__file__).parent),  # workers import the functions of this file
    }
    ray.init(
        num_cpus=2, include_dashboard=False, configure_logging=False, object_store_memory=10**8,
        _node_ip_address="127.0.0.1",
    )  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def rows_of(batch: dict[str, Any]) -> pa.Table:
    """Rows of an id and a text."""
    ids = [int(one) for one in batch["id"]]
    return pa.table({"ID": ids, "T": [f"é{one}" for one in ids]})


def dataset(rows: int, blocks: int) -> Any:
    """A Dataset whose rows are all different."""
    return ray.data.range(rows, override_num_blocks=blocks).map_batches(rows_of)


def ids(server: Any, table: str) -> list[int]:
    """The ids in a table; none if there is no such table."""
    try:
        return sorted(server.table("P", table)["ID"].to_pylist())
    except KeyError:
        return []


def sink_of(connection: Celonis, folder: Path, table: str, **settings: Any) -> CelonisDatasink:
    """A sink."""
    return _ManyTasks("P", table, staging=folder, client=connection, progress=False, **settings)


class _ManyTasks(CelonisDatasink):
    """A sink whose tasks get a block each, however small it is."""

    min_bytes_per_write = 1


def test_each_row_arrives_once(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """The schema is the one that Ray knows, or the one given; the status is the sink's."""
    schema = pa.schema([("ID", pa.int64()), ("T", pa.string())])
    for number, more in enumerate(({}, {"schema": schema})):
        sink = sink_of(connection, tmp_path, f"{table}_{number}", **more)
        dataset(10_000, 8).write_datasink(sink)
        assert sink.status is not None
        assert (sink.status.state, sink.status.rows) == ("DONE", 10_000)
        assert ids(server, f"{table}_{number}") == list(range(10_000))
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_rows_is_in_ray_s_error(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Nothing was sent, nothing stays."""
    sink = sink_of(connection, tmp_path, table, columns={"T": 2})
    with pytest.raises(exceptions.TruncationError, match="longer than 2"):
        dataset(1_000, 4).write_datasink(sink)
    assert (ids(server, table), list(tmp_path.iterdir())) == ([], [])


def die_once(batch: dict[str, Any], marks: str) -> dict[str, Any]:
    """Kill the process that has the first row, the first time."""
    mark = Path(marks) / "died"
    if 0 in batch["id"] and not mark.exists():
        mark.touch()
        time.sleep(0.5)  # others stage meanwhile
        os.kill(os.getpid(), signal.SIGKILL)
    return batch


def test_a_worker_that_is_killed(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Ray runs its task once more, and each row arrives once."""
    stage = tmp_path / "stage"
    sink = sink_of(connection, stage, table)
    frame = ray.data.range(10_000, override_num_blocks=8)
    frame = frame.map_batches(die_once, fn_kwargs={"marks": str(tmp_path)}).map_batches(rows_of)
    frame.write_datasink(sink)
    assert (tmp_path / "died").exists()
    assert ids(server, table) == list(range(10_000))
    assert list(stage.iterdir()) == []


def test_the_sink_takes_the_parameters_of_push(connection: Celonis, tmp_path: Path) -> None:
    """But those of pandas and of pushes with an id; others are an error."""
    known = set(inspect.signature(celonis_frames.push).parameters)
    own = {"frame", "pool", "table", "staging", "client", "index", "push_id"}
    assert set(PushSettings.__annotations__) == known - own
    with pytest.raises(exceptions.ConfigError, match="does not take index"):
        sink_of(connection, tmp_path, "T", index=True)
    sink = sink_of(connection, tmp_path, "T", columns={"T": Column(pseudonymise="CANARY")})
    with pytest.raises(exceptions.ConfigError, match="Ray get no secret key"):
        dataset(10, 1).write_datasink(sink)


def test_tasks_get_no_secret(connection: Celonis, tmp_path: Path) -> None:
    """Neither the connection nor the options of the storage."""
    sink = sink_of(
        connection, tmp_path, "T", storage_options={"key": Secret("CANARY"), "token": "CANARY"}
    )
    sink.on_write_start(pa.schema([("ID", pa.int64())]))
    data = pickle.dumps(sink)
    assert b"CANARY" not in data
    copy = pickle.loads(data)  # noqa: S301  # its own
    assert copy._begun is not None
    with pytest.raises(exceptions.ConfigError, match="sent to another process"):
        copy.on_write_start(None)
    sink.on_write_failed(RuntimeError())
    assert list(tmp_path.iterdir()) == []
