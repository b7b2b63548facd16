"""A system without a usable temporary folder: a full disk, or a read-only filesystem."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from celonis_frames import local
from celonis_frames._cli.demo import run
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._sources import iterables
from celonis_frames._sources.reader import read
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget
from celonis_frames.exceptions import CelonisFramesError, ConfigError, FrameError


@pytest.fixture
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder can be written, as Python finds it."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none)


def _undecided() -> Iterator[pa.Table]:
    """Frames whose first column has no type, so that their rows have to wait."""
    for _ in range(3):
        yield pa.table({"A": pa.nulls(1_000), "B": ["x" * 100] * 1_000})


@pytest.mark.usefixtures("no_folder")
@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: read(_undecided()), FrameError),
        (
            lambda: ChunkSpool(MemoryBudget(0)).put(MemoryChunk(1, 1, (b"x",), "PARQUET")),
            FrameError,
        ),
        (local.start, ConfigError),
        (lambda: run(None, cases=1, keep=False, say=print), ConfigError),
    ],
    ids=["frames", "chunks", "local", "demo"],
)
def test_the_error_names_the_variable_to_set(
    call: Callable[[], Any], kind: type[CelonisFramesError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever needs the folder says that it cannot be used, and what to do."""
    monkeypatch.setattr(iterables, "SPOOL_BYTES", 10_000)
    with pytest.raises(kind, match=r"in a temporary folder, which cannot be written.*TMPDIR"):
        call()


def test_other_errors_while_frames_wait_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError of the caller's own iterator is not one of the temporary folder."""
    monkeypatch.setattr(iterables, "SPOOL_BYTES", 10_000)

    def frames() -> Iterator[pa.Table]:
        yield from _undecided()
        raise FileNotFoundError("mine")

    with pytest.raises(FileNotFoundError, match="mine"):
        read(frames())
