"""The check for leaks can fail."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import leaks
import pytest

from celonis_frames import ApiKey, Celonis
from celonis_frames.exceptions import PermissionDenied


@pytest.fixture
def impatient(monkeypatch: Any) -> leaks.Leaks:
    """A check that does not wait."""
    monkeypatch.setattr(leaks, "PATIENCE_SECONDS", 0.05)
    return leaks.Leaks(sockets=True)


def test_a_thread_is_found(impatient: leaks.Leaks) -> None:
    """A running thread is named; after its end there is no leak."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    assert impatient.left() == ["thread forgotten"]
    stop.set()
    thread.join()
    assert impatient.left() == []


def test_a_file_is_found(impatient: leaks.Leaks, tmp_path: Path) -> None:
    """An open file is named."""
    with (tmp_path / "forgotten").open("w"):
        assert impatient.left() == [f"file {tmp_path / 'forgotten'}"]
    assert impatient.left() == []


def test_a_socket_is_found(impatient: leaks.Leaks, faulty: Any) -> None:
    """An open connection is found, at both of its ends."""
    host, port = faulty.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5):
        assert any("ESTABLISHED" in line for line in impatient.left())


def test_close_closes_sockets_although_an_error_is_kept(faulty: Any) -> None:
    """A closed connection has no socket, even while its last error is referenced."""
    before = leaks.Leaks(sockets=True)
    faulty.faults.answer("pools", 403)
    client = Celonis(faulty.url, auth=ApiKey(faulty.token))
    with pytest.raises(PermissionDenied) as kept:
        client.pools()
    client.close()
    assert before.left() == []
    assert kept.value.status_code == 403
