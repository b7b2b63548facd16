"""The cancel token: what it ends, when, and what cleans up after it."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaks import push_threads

from celonis_frames._concurrency import cancellation
from celonis_frames._concurrency.cancellation import (
    CLEANUP_SECONDS,
    Cancelled,
    CancelToken,
    attach_socket,
    current_token,
    pause,
)


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets."""
    return socket.socketpair()


def _is_shut(sock: socket.socket) -> bool:
    sock.settimeout(0.2)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False


@given(st.lists(st.one_of(st.none(), st.floats(-100, 100)), min_size=1, max_size=5))
def test_the_earliest_deadline_of_the_chain_counts(offsets: list[float | None]) -> None:
    """A child can only shorten the time; without any deadline there is none."""
    now = time.monotonic()
    token: CancelToken | None = None
    for offset in offsets:
        token = CancelToken(deadline=None if offset is None else now + offset, parent=token)
    assert token is not None
    given = [offset for offset in offsets if offset is not None]
    assert token.deadline == (now + min(given) if given else None)
    left = token.remaining()
    assert (left is None) == (not given)
    assert left is None or 0.0 <= left <= max(0.0, min(given))
    assert token.expired == (left == 0.0)
    assert not token.cancelled


def test_a_cancellation_reaches_children_but_not_parents() -> None:
    """Each part can be cancelled alone."""
    parent = CancelToken()
    child, other = CancelToken(parent=parent), CancelToken(parent=parent)
    child.cancel()
    assert (parent.cancelled, child.cancelled, other.cancelled) == (False, True, False)
    parent.cancel()
    assert CancelToken(parent=other).cancelled
    with pytest.raises(Cancelled):
        other.raise_if_cancelled()


def test_a_wait_ends_with_the_cancellation_or_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first raises, the second does not."""
    monkeypatch.undo()  # the real waits
    token = CancelToken()
    threading.Timer(0.1, token.cancel).start()
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        token.sleep(30)
    with pytest.raises(Cancelled):
        token.sleep(30)
    CancelToken(deadline=time.monotonic() + 0.1).sleep(30)
    assert time.monotonic() - begin < 3


def test_all_waits_go_through_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the whole seconds, cut at the deadline, and the token."""
    waits: list[tuple[float, CancelToken]] = []
    monkeypatch.setattr(cancellation, "_sleep", lambda *wait: waits.append(wait))
    token = CancelToken(deadline=time.monotonic() + 10)
    token.sleep(3)
    token.sleep(30)
    with token, token.calling():
        pause(4)
    pause(5)
    assert [seconds for seconds, _ in waits] == [3, pytest.approx(10, abs=1), 4, 5]
    assert [given is token for _, given in waits] == [True, True, True, False]


@pytest.mark.parametrize("before", [True, False])
def test_calls_in_progress_and_later_ones_are_aborted(
    pair: tuple[socket.socket, socket.socket], before: bool
) -> None:
    """Also those under its children, but not those of other tokens, nor those that have ended."""
    token, mine = CancelToken(), pair[0]
    ended, other = socket.socketpair(), socket.socketpair()
    with token.calling():
        attach_socket(ended[0])
    if before:
        token.abort_calls()
    with CancelToken().calling():
        attach_socket(other[0])
        with CancelToken(parent=token).calling():
            assert current_token() is not token
            attach_socket(mine)
            if not before:
                token.abort_calls()
        token.abort_calls()
    assert current_token() is None
    assert _is_shut(pair[1])
    assert not _is_shut(other[1])
    assert not _is_shut(ended[1])
    for sock in (*pair, *ended, *other):
        sock.close()


def test_calls_are_aborted_at_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    """By a thread that the first call starts, and that ends with the token."""
    with CancelToken(deadline=time.monotonic() + 0.2) as token:
        assert push_threads() == []
        with CancelToken(parent=token).calling():
            attach_socket(pair[0])
            assert push_threads() == ["celonis-deadline"]
            pair[1].settimeout(5)
            assert pair[1].recv(1) == b""
    with CancelToken(deadline=time.monotonic() + 1e9) as token, token.calling():
        pass
    with CancelToken() as token, token.calling():
        assert push_threads() == []
    with CancelToken(deadline=time.monotonic() + 1e9) as token:
        pass
    with token.calling():
        assert push_threads() == []
    for sock in pair:
        sock.close()


def test_cleaning_up_has_its_own_time() -> None:
    """So long after the deadline, the cancellation or its first call; not cancelled with it."""
    now = time.monotonic()
    late = CancelToken(deadline=now + 100).for_cleanup()
    assert late.deadline == now + 100 + CLEANUP_SECONDS
    assert CancelToken().for_cleanup().deadline is None
    for token in (CancelToken(deadline=now - 100), CancelToken(deadline=now + 100), CancelToken()):
        cleanup = token.for_cleanup()
        with cleanup, cleanup.calling():
            token.cancel()
            assert not cleanup.cancelled
            assert cleanup.deadline == pytest.approx(time.monotonic() + CLEANUP_SECONDS, abs=1)
            token.abandon()
            assert cleanup.cancelled
            assert CancelToken(parent=cleanup).abandoned is False
            with pytest.raises(Cancelled):
                cleanup.sleep(1)


def test_a_cancellation_shortens_cleaning_up_under_way(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a deadline it may last; from the cancellation on its calls have limited time."""
    monkeypatch.setattr(cancellation, "CLEANUP_SECONDS", 0.2)
    token = CancelToken()
    with token.for_cleanup() as cleanup, cleanup.calling():
        attach_socket(pair[0])
        assert not _is_shut(pair[1])
        token.cancel()
        pair[1].settimeout(5)
        assert pair[1].recv(1) == b""
    for sock in pair:
        sock.close()
