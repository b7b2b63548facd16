"""The file of what pools are known to read: what is written is found, and nothing breaks a push."""

from __future__ import annotations

import datetime as dt
import json
import logging
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from celonis_frames import exceptions
from celonis_frames._filesystem import user_file
from celonis_frames._push.known_pools import KnownPool, file_path, known_pools, remember_pool

TEAM, OTHER = "https://a.eu-1.celonis.cloud", "https://b.eu-1.celonis.cloud"
DAY = dt.date(2026, 11, 29)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the state of programs, which is not there yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new" / "state"))
    return tmp_path / "new" / "state" / "celonis-frames"


def _write(content: bytes | str | Any) -> None:
    path = file_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes | str):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_what_was_seen_is_found_by_team_and_pool(folder: Path) -> None:
    """Each pool has its newest trial; those of another team are not seen."""
    assert known_pools(TEAM) == {}
    path = remember_pool(TEAM, "1", {"zstd": False}, name="Old", today=DAY)
    remember_pool(TEAM, "1", {"zstd": True, "gzip": False}, name="P", today=DAY)
    remember_pool(TEAM, "2", {"gzip": True})
    remember_pool(OTHER, "1", {"lz4": True}, today=DAY)
    assert path == folder / "pools.json" == file_path()
    known = known_pools(TEAM)
    assert known["1"] == KnownPool("P", "2026-11-29", {"zstd": True, "gzip": False})
    assert known["2"].date == dt.datetime.now(dt.UTC).date().isoformat()
    assert known_pools(OTHER) == {"1": KnownPool("", "2026-11-29", {"lz4": True})}
    assert json.loads(path.read_text()) == {
        "version": 1,
        "teams": {
            TEAM: {
                "1": {"name": "P", "date": "2026-11-29", "codecs": {"zstd": True, "gzip": False}},
                "2": {"name": "", "date": known["2"].date, "codecs": {"gzip": True}},
            },
            OTHER: {"1": {"name": "", "date": "2026-11-29", "codecs": {"lz4": True}}},
        },
    }


def test_it_is_for_its_owner_only(folder: Path) -> None:
    """The folder, the file, and what else stands there."""
    remember_pool(TEAM, "1", {"zstd": True})
    remember_pool(TEAM, "1", {"zstd": True})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "pools.json": 0o600,
        "pools.lock": 0o600,
    }


BROKEN: dict[str, Any] = {
    "nothing": b"",
    "a part": b'{"version": 1, "teams"',
    "no text": b"\xff\xfe\x00",
    "deeply nested": b"[" * 100_000,
    "a list": [],
    "no teams": {"version": 1},
    "teams in a list": {"version": 1, "teams": []},
    "too large": {"version": 1, "teams": {TEAM: "x" * user_file.MAX_FILE_BYTES}},
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_as_good_as_none(content: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so; the next trial writes it anew."""
    _write(content)
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        assert known_pools(TEAM) == {}
    assert str(file_path()) in caplog.text
    remember_pool(TEAM, "1", {"zstd": True}, today=DAY)
    assert list(known_pools(TEAM)) == ["1"]


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_a_file_of_another_version_is_neither_used_nor_lost(
    version: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version of this library may still need what it wrote."""
    _write({"version": version, "teams": {TEAM: {"1": {"codecs": {"zstd": True}}}}})
    before = file_path().read_bytes()
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        assert known_pools(TEAM) == {}
    assert "another version" in caplog.text
    with pytest.raises(exceptions.ConfigError, match="Upgrade"):
        remember_pool(TEAM, "1", {"zstd": True})
    assert file_path().read_bytes() == before


def test_what_has_another_form_is_passed_over() -> None:
    """An entry by hand breaks nothing else, and only true means that a codec is read."""
    _write(
        {
            "version": 1,
            "more": [1],
            "teams": {
                OTHER: "no pools",
                TEAM: {
                    "1": None,
                    "2": {"codecs": ["zstd"]},
                    "3": {"codecs": {"zstd": 1, "gzip": "yes", "lz4": True}, "page v2": True},
                },
            },
        }
    )
    none = {"zstd": False, "gzip": False, "lz4": True}
    assert known_pools(TEAM) == {"3": KnownPool("", "", none)}
    assert known_pools(OTHER) == {}
    remember_pool(OTHER, "1", {"zstd": True}, today=DAY)
    kept = json.loads(file_path().read_text())
    assert kept["more"] == [1]
    assert kept["teams"][TEAM]["3"]["page v2"] is True
    assert known_pools(OTHER) == {"1": KnownPool("", "2026-11-29", {"zstd": True})}


def test_a_file_that_cannot_be_read_or_written_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A push goes on without it; who wants to write it is told why it cannot be."""
    file_path().mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        assert known_pools(TEAM) == {}
    assert "Is a directory" in caplog.text
    with pytest.raises(exceptions.ConfigError, match="cannot be written"):
        remember_pool(TEAM, "1", {"zstd": True})
    file_path().rmdir()
    (folder / "pools.lock").unlink()
    folder.rmdir()
    folder.write_text("a file where a folder should be")
    with pytest.raises(exceptions.ConfigError, match="cannot be written"):
        remember_pool(TEAM, "1", {"zstd": True})


def test_a_write_that_fails_leaves_the_old_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody ever sees a part of it."""
    remember_pool(TEAM, "1", {"zstd": True}, today=DAY)
    before = file_path().read_bytes()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("celonis_frames._filesystem.files.sync_file", no_room)
    with pytest.raises(exceptions.ConfigError, match="No space left"):
        remember_pool(TEAM, "2", {"zstd": True})
    assert file_path().read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["pools.json", "pools.lock"]


def test_writers_at_the_same_time_lose_nothing() -> None:
    """Each adds its pool to what the others wrote."""
    threads = [
        threading.Thread(target=remember_pool, args=(TEAM, str(n), {"zstd": True}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(known_pools(TEAM)) == sorted(map(str, range(8)))
