"""Who pushes: this library, and what people write without it, each as well as its own users can.

A contestant takes a frame to the sink and returns when its job is seen to be done. Connections
are opened by each, in its own time.
"""

from __future__ import annotations

import io
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl

import celonis_frames

from .bare import POOL, Bare
from .frames import KEY, Kind
from .limits import encoded
from .lines import Sink

Contestant = Callable[[Any, Kind, Sink], object]
_JOBS = f"/data-ingestion/api/v1/data-push/{POOL}/jobs/"
_RECIPE_ROWS = 100_000
_FILE_ROWS = 1_000_000
"""Rows in a file of the second recipe: of this log, about 70 MB."""


def push(frame: Any, _: Kind, sink: Sink, **options: Any) -> celonis_frames.PushStatus:
    """This library, with the options that it has by default."""
    auth = celonis_frames.ApiKey("benchmark")
    with celonis_frames.Celonis(sink.url, auth=auth, verify=sink.ca_file or True) as celonis:
        return celonis.push(frame, POOL, "LOG", mode="REPLACE", progress=False, **options)


def push_zstd(frame: Any, kind: Kind, sink: Sink) -> None:
    """This library, where Zstandard is known to be taken."""
    push(frame, kind, sink, upload={"compression": "zstd"})


def push_keyed(frame: Any, kind: Kind, sink: Sink) -> None:
    """This library, with keys that all differ, which it does not know before."""
    push(frame, kind, sink, keys=KEY)


def push_csv(frame: Any, kind: Kind, sink: Sink) -> None:
    """This library, writing CSV."""
    push(frame, kind, sink, upload={"file_type": "CSV"})


def recipe(frame: Any, kind: Kind, sink: Sink) -> None:
    """The usual recipe: pandas, 100,000 rows a file, one upload after the other."""
    if kind == "polars":
        frame = frame.to_pandas()
    elif kind == "lazy":
        frame = frame.collect().to_pandas()
    with _client(sink) as client:
        job = _create(client)
        for start in range(0, len(frame), _RECIPE_ROWS):
            buffer = io.BytesIO()
            frame.iloc[start : start + _RECIPE_ROWS].to_parquet(
                buffer, index=False, use_deprecated_int96_timestamps=True, compression="snappy"
            )
            buffer.seek(0)
            _upload(client, job, buffer)
        _finish(client, job)


def loop(frame: Any, kind: Kind, sink: Sink) -> None:
    """The best loop without any promise: the job first, then encode and send at the same time.

    No length is declared, no value checked, no call repeated, and no chunk counted.
    """
    bare = Bare(sink.url, "benchmark", connections=4, ca_file=sink.ca_file)
    job = bare.create("LOG", "REPLACE", [])
    bare.upload(job, encoded(frame, kind))
    bare.execute(job)
    bare.close()


def files(frame: Any, kind: Kind, sink: Sink) -> None:
    """Polars writes files of about 70 MB to disk, then each is uploaded whole.

    Its times are microseconds, which the server may refuse: polars cannot write INT96.
    """
    with tempfile.TemporaryDirectory() as folder, _client(sink) as client:
        paths = list(_written(frame, kind, Path(folder)))
        job = _create(client)
        for path in paths:
            with path.open("rb") as file:
                _upload(client, job, file)
        _finish(client, job)


PEERS: dict[str, Contestant] = {
    "recipe": recipe,
    "files": files,
    "loop": loop,
    "push": push,
    "zstd": push_zstd,
    "keyed": push_keyed,
    "csv": push_csv,
}


def _written(frame: Any, kind: Kind, folder: Path) -> Iterator[Path]:
    if kind == "lazy":
        # Slice by slice and not whole: a query larger than memory has to go this way.
        for number, batch in enumerate(frame.collect_batches(chunk_size=_FILE_ROWS)):
            yield _write(batch, folder / f"{number}.parquet")
        return
    whole = frame if kind == "polars" else pl.from_pandas(frame)
    for number, part in enumerate(whole.iter_slices(_FILE_ROWS)):
        yield _write(part, folder / f"{number}.parquet")


def _write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path, compression="snappy", statistics=False)
    return path


def _client(sink: Sink) -> httpx.Client:
    context = ssl.create_default_context(cafile=sink.ca_file)
    headers = {"Authorization": "Bearer benchmark"}
    return httpx.Client(
        base_url=sink.url, verify=context, timeout=600, headers=headers, trust_env=False
    )


def _create(client: httpx.Client) -> str:
    job = {"targetName": "LOG", "type": "REPLACE", "fileType": "PARQUET", "dataPoolId": POOL}
    answer = client.post(_JOBS, content=json.dumps(job))
    return str(answer.raise_for_status().json()["id"])


def _upload(client: httpx.Client, job: str, file: Any) -> None:
    form = {"file": ("chunk.parquet", file, "application/octet-stream")}
    client.post(f"{_JOBS}{job}/chunks/upserted", files=form).raise_for_status()


def _finish(client: httpx.Client, job: str) -> None:
    client.post(f"{_JOBS}{job}").raise_for_status()
    while client.get(f"{_JOBS}{job}").raise_for_status().json()["status"] != "DONE":
        time.sleep(1)
