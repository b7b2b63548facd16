"""Chunks that wait: in memory, then in files that have no name."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._staging import spool
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget, SpoolFull


def _chunk(number: int, size: int = 1_000) -> MemoryChunk:
    return MemoryChunk(number, number, (bytes([number]) * (size // 2),) * 2, "PARQUET")


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_chunks_come_back_as_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones from memory, the others from a few files, which are in no folder."""
    monkeypatch.setattr(spool, "SPOOL_FILE_BYTES", 3_000)
    before = _descriptors()
    keep = ChunkSpool(MemoryBudget(2_500))
    kept = [keep.put(_chunk(number)) for number in range(1, 12)]
    assert _descriptors() == before + 3
    assert list(folder.iterdir()) == []
    for _ in range(2):
        for number, chunk in enumerate(kept, 1):
            assert b"".join(chunk.blocks()) == bytes([number]) * 1_000
            assert (chunk.name, chunk.rows) == (f"chunk-{number:05d}.parquet", number)
            chunk.release()
    keep.close()
    assert _descriptors() == before


def test_released_chunks_are_freed_once_they_need_not_be_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is closed when none of its chunks is needed; memory goes back to the budget."""
    assert folder.is_dir()
    monkeypatch.setattr(spool, "SPOOL_FILE_BYTES", 2_000)
    before, budget = _descriptors(), MemoryBudget(1_000)
    keep = ChunkSpool(budget)
    kept = [keep.put(_chunk(number)) for number in range(1, 6)]  # one in memory, four in two files
    for chunk in kept[:3]:
        chunk.release()
    assert _descriptors() == before + 2
    keep.stop_keeping()
    assert _descriptors() == before + 1
    assert budget.take(1_000)
    assert b"".join(kept[3].blocks()) == bytes([4]) * 1_000
    kept[3].release()
    kept[4].release()
    assert _descriptors() == before
    keep.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where it is and what to do."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(SpoolFull, match=r"gone.*TMPDIR.*staging="):
        ChunkSpool(MemoryBudget(0)).put(_chunk(1))
