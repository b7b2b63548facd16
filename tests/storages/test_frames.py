"""Frames at URLs of real servers: read and sent, with few requests, without a secret shown."""

from __future__ import annotations

import io
import traceback
from typing import Any

import polars as pl
import pytest

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._filesystem.filesystems import close_filesystem

ROWS = 30_000


def _write(storage: Any, files: int, **options: Any) -> None:
    filesystem, folder = storage.open()
    if storage.kind not in ("s3", "gcs"):
        filesystem.makedirs(folder)
    size = ROWS // files
    for number in range(files):
        content = io.BytesIO()
        rows = range(number * size, (number + 1) * size)
        pl.DataFrame({"A": rows}).write_parquet(content, **options)
        filesystem.pipe_file(f"{folder}/{number}.parquet", content.getvalue())
    close_filesystem(filesystem)


@pytest.mark.parametrize("compression", ["snappy", "zstd"])
@pytest.mark.parametrize("keys", [None, "A"])
def test_a_folder_of_files_is_pushed(
    own: Any, client: Celonis, storage: Any, compression: str, keys: str | None
) -> None:
    """Several files are read and uploaded at once, unchanged or rewritten; each row comes once."""
    _write(storage, 3, compression=compression)
    status = client.push(
        storage.url, "P", "T", keys=keys, upload={"workers": 2},
        storage_options=storage.options,
    )  # fmt: skip
    assert status.ok
    assert sorted(own.table("P", "T")["A"].to_pylist()) == list(range(ROWS))


@pytest.mark.parametrize("path", ["0.parquet", "*.parquet"])
def test_files_of_a_web_server_are_pushed(
    own: Any, client: Celonis, servers: Any, path: str
) -> None:
    """One that lists its folder, and sends no parts of files."""
    port, folder = servers("web")
    pl.DataFrame({"A": range(ROWS)}).write_parquet(folder / "0.parquet")
    assert client.push(f"http://127.0.0.1:{port}/{path}", "P", "T").ok
    assert sorted(own.table("P", "T")["A"].to_pylist()) == list(range(ROWS))


def test_a_frame_is_staged_on_its_own_storage(own: Any, client: Celonis, storage: Any) -> None:
    """The frame is read while chunks are written to the same server."""
    _write(storage, 3)
    status = client.push(
        f"{storage.url}/*.parquet", "P", "T", upload={"chunk_bytes": "10 KB"},
        staging=f"{storage.url}/stage", storage_options=storage.options,
    )  # fmt: skip
    assert status.ok
    assert sorted(own.table("P", "T")["A"].to_pylist()) == list(range(ROWS))


def test_options_of_another_protocol_stay_away(at: Any) -> None:
    """Options under the name of a protocol are only for URLs of it."""
    storage, other = at("ftp"), at("sftp")
    _write(storage, 1)
    options = {"ftp": storage.options, "sftp": other.options | {"port": "no port"}}
    assert plan(f"{storage.url}/0.parquet", "P", "T", storage_options=options).rows == ROWS


@pytest.mark.parametrize("kind", ["ftp", "sftp", "webdav"])
def test_a_rejected_login_shows_no_password(at: Any, kind: str) -> None:
    """It is told as what it is."""
    storage = at(kind)
    wrong = "WRONGPW"
    login = {"auth": ("joe", wrong)} if kind == "webdav" else {"password": wrong}
    with pytest.raises(exceptions.FrameError, match="login was rejected") as caught:
        plan(f"{storage.url}/x.parquet", "P", "T", storage_options=storage.options | login)
    assert wrong not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("files", [1, 3])
def test_a_file_costs_three_requests_besides_its_bytes(
    client: Celonis, at: Any, files: int
) -> None:
    """On S3: for each file that is sent as it is, and for each that is rewritten."""
    storage = at("s3")
    assert storage.requests is not None
    _write(storage, files)
    before = len(storage.requests.read_text().splitlines())
    url = f"{storage.url}/0.parquet" if files == 1 else storage.url
    assert client.push(url, "P", "T", storage_options=storage.options).ok
    asked = storage.requests.read_text().splitlines()[before:]
    besides = [line for line in asked if not (line.startswith("GET") and ".parquet" in line)]
    assert len(besides) <= 3 * files, asked
