"""Deferred signals: when one raises, and what it leaves as it was."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from celonis_frames._concurrency import signals
from celonis_frames._concurrency.cancellation import Cancelled, CancelToken
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KIND: dict[int, Any] = {
    signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit, signal.SIGHUP: SystemExit
}  # fmt: skip


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers are the same afterwards, and no thread waits a whole second."""
    monkeypatch.setattr(signals, "CALL_GRACE_SECONDS", 0.01)
    before = [signal.getsignal(number) for number in ALL]
    yield
    assert [signal.getsignal(number) for number in ALL] == before


@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize("nested", [False, True])
def test_a_signal_raises_at_the_end_of_the_block(number: int, nested: bool) -> None:
    """Until then it only cancels the token; a second later its calls are aborted."""
    token, reached, aborted = CancelToken(), False, threading.Event()
    token.abort_calls = aborted.set  # type: ignore[method-assign]

    def work() -> None:
        nonlocal reached
        with DeferredSignals(token):
            signal.raise_signal(number)
            assert token.cancelled
            assert not token.abandoned
            assert aborted.wait(5)
            reached = True

    with pytest.raises(KIND[number]) as caught:  # noqa: PT012  # the block is what is tested
        if nested:
            with termination_as_system_exit():
                work()
        else:
            work()
    assert reached
    if number != signal.SIGINT:
        assert caught.value.code == 128 + number


def test_from_the_second_signal_on_the_handlers_are_the_programs_own() -> None:
    """It may raise while the block begins or ends, where nothing would restore them later."""
    with pytest.raises(KeyboardInterrupt), DeferredSignals(CancelToken()):  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            during = [signal.getsignal(number) for number in ALL]
    assert during == [signal.getsignal(number) for number in ALL]


def test_the_notes_of_the_error_are_those_of_the_interruption() -> None:
    """An error other than Cancelled is named as well."""
    for error, lines in ((Cancelled(), 1), (ValueError("mine"), 2)):
        error.add_note("Job 1 was cancelled.")
        with pytest.raises(KeyboardInterrupt) as caught, DeferredSignals(CancelToken()):  # noqa: PT012
            signal.raise_signal(signal.SIGINT)
            raise error
        assert caught.value.__notes__[-1] == "Job 1 was cancelled."
        assert len(caught.value.__notes__) == lines
    assert caught.value.__notes__[0] == "The push had also failed: ValueError: mine"


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_the_second_signal_raises_at_once(
    first: int, second: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its note says what stays open, and so does the log; nothing cleans up any more."""
    token = CancelToken()
    with (  # noqa: PT012
        caplog.at_level(logging.WARNING, "celonis_frames"),
        pytest.raises(KIND[second]) as caught,
        DeferredSignals(token, lambda: "Job 1 may still be open."),
    ):
        signal.raise_signal(first)
        signal.raise_signal(second)
        pytest.fail("it goes on")
    assert token.abandoned
    assert caught.value.__notes__ == ["Job 1 may still be open."]
    assert caplog.messages == ["Job 1 may still be open."]


@pytest.mark.parametrize("number", ALL)
def test_signals_raise_at_once_in_the_caller_s_code(number: int) -> None:
    """A pending one, too; afterwards they are deferred again, and the next is the second."""
    token = CancelToken()
    with pytest.raises(KIND[number]), DeferredSignals(token) as deferred:  # noqa: PT012
        with deferred.raising_at_once():
            pass
        with deferred.raising_at_once():
            signal.raise_signal(number)
            pytest.fail("it goes on")
    assert token.cancelled
    assert not token.abandoned
    with pytest.raises(KIND[number]), DeferredSignals(CancelToken()) as deferred:  # noqa: PT012
        signal.raise_signal(number)
        with deferred.raising_at_once():
            pytest.fail("it begins")


@pytest.mark.parametrize("number", ALL)
def test_a_push_in_the_caller_s_code_defers_signals_itself(number: int) -> None:
    """A frame's own code may push: that is interrupted at its end, and the push around it then."""
    outer, inner, reached = CancelToken(), CancelToken(), False
    with (  # noqa: PT012  # the block is what is tested
        pytest.raises(KIND[number]),
        DeferredSignals(outer) as signals,
        signals.raising_at_once(),
    ):
        with DeferredSignals(inner):
            signal.raise_signal(number)
            assert inner.cancelled
            reached = True
        raise AssertionError("it did not raise")
    assert reached
    with (
        DeferredSignals(outer),
        pytest.raises(AssertionError, match="not taken over"),
        DeferredSignals(inner) as within,
    ):
        assert within._replaced, "not taken over"


@pytest.mark.parametrize("number", ALL)
def test_ignored_signals_and_other_handlers_stay(number: int) -> None:
    """``nohup`` ignores SIGHUP; a program's own handler is called, and nothing is cancelled."""
    calls: list[int] = []
    for handler in (signal.SIG_IGN, lambda number, _: calls.append(number)):
        before = signal.signal(number, handler)
        token = CancelToken()
        try:
            with DeferredSignals(token):
                signal.raise_signal(number)
                assert signal.getsignal(number) is handler
            assert signal.getsignal(number) is handler
        finally:
            signal.signal(number, before)
        assert not token.cancelled
    assert calls == [number]


def test_other_threads_change_no_handler() -> None:
    """Python handles signals in the main thread only."""
    found: list[Any] = []

    def work() -> None:
        with DeferredSignals(CancelToken()):
            found.extend(signal.getsignal(number) for number in ALL)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(number) for number in ALL]


def test_the_handler_takes_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may interrupt code that holds one, such as the logging's or that of starting a thread."""
    monkeypatch.setattr(threading.Thread, "start", None)
    monkeypatch.setattr(logging.Logger, "warning", None)
    token = CancelToken(deadline=time.monotonic() + 100)
    with pytest.raises(KeyboardInterrupt), DeferredSignals(token):
        signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(signals._thread, "start_new_thread", _refuse)
    token = CancelToken()
    with pytest.raises(KeyboardInterrupt), DeferredSignals(token):
        signal.raise_signal(signal.SIGINT)
    assert token._aborted  # at once, since nobody can do it later


def _refuse(*_: object) -> None:
    raise RuntimeError("can't start new thread")
