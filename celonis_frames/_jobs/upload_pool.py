"""Threads that upload chunks; they know nothing of what their outcomes mean.

How it works:

* `UploadPool.send` puts a chunk into a queue, and starts a daemon thread, ``celonis-upload``,
  unless there are enough. Each takes the next chunk, uploads it, appends one event to `events` and
  releases `ready`. (The thread that waits for it may be the main one: up to Python 3.12 a
  SimpleQueue never returns if a signal's handler outlasts the timeout of its `get`.)
* A thread repeats an upload as long as it is certain that the server did not receive it. It does
  not repeat one with an unknown outcome: the caller sends the chunk again, or does not.
* A chunk that is acknowledged at the first try is released at once, so that the next one can be
  made while the caller waits for it.
* `close` cancels the pool's token, aborts the calls and joins the threads, at most 5 s.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import NamedTuple, Protocol

from celonis_frames._concurrency.cancellation import POLL_SECONDS, Cancelled, CancelToken
from celonis_frames._http.file_body import Payload
from celonis_frames._http.retry import Outcome, RetryPolicy, RetryState, outcome
from celonis_frames._jobs.commands import Failed, Uploaded, UploadUnknown
from celonis_frames._jobs.digests import digests
from celonis_frames.exceptions import ApiError

JOIN_SECONDS = 5.0
"""Seconds for the uploads to end after their connections were shut down."""


class Upload(Protocol):
    """Uploads a chunk, once."""

    def __call__(
        self, payload: Payload, *, deleted: bool, on_sent: Callable[[int], None]
    ) -> object:
        """As `DataPushApi.upload_chunk` for one job."""


class _Task(NamedTuple):
    number: int
    payload: Payload
    deleted: bool


class UploadPool:
    """Uploads chunks in threads; `upload` makes the call, under `token`.

    Attributes:
        events: One for each chunk.
        ready: Acquired by who waits for an event; there may be none then.
        failure: The error of a chunk that failed for good, from before its event on.
    """

    def __init__(
        self,
        upload: Upload,
        token: CancelToken,
        policy: RetryPolicy,
        *,
        count_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self._upload, self._token, self._policy = upload, token, policy
        self._count_bytes = count_bytes
        self._may_start = True  # whether the system can start another thread
        self.events: deque[Uploaded | UploadUnknown | Failed] = deque()
        self.ready = threading.Lock()
        self.ready.acquire()  # released with each event
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._retries: dict[int, tuple[RetryState, ApiError]] = {}
        self.failure: BaseException | None = None

    def send(self, number: int, payload: Payload, *, deleted: bool, threads: int) -> None:
        """Upload a chunk as soon as one of the `threads` is free.

        `number` was not sent, or has failed.
        """
        self._tasks.put(_Task(number, payload, deleted))
        if len(self._threads) < threads and self._may_start:
            # Daemons: neither the interpreter's end nor a second Ctrl-C waits for an upload.
            thread = threading.Thread(
                target=copy_context().run, args=(self._run,), name="celonis-upload", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system cannot start another thread
                if not self._threads:
                    raise
                self._may_start = False
            else:
                self._threads.append(thread)

    def close(self) -> None:
        """End all uploads and wait until the threads have ended, at most 5 s."""
        self._token.cancel()
        self._token.abort_calls()
        for _ in self._threads:
            self._tasks.put(None)
        end = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            while thread.is_alive() and not self._token.abandoned and time.monotonic() < end:
                thread.join(POLL_SECONDS)
        self.failure = None  # it holds the frames that raised it

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            event: Uploaded | UploadUnknown | Failed
            try:
                event = self._event(task)
            except Cancelled:
                return
            except BaseException as error:  # it is raised in the thread that delivers
                self.failure = error
                event = Failed(error)
            if self._token.cancelled:
                return
            self.events.append(event)
            with contextlib.suppress(RuntimeError):  # it is released already
                self.ready.release()
            # What an idle thread holds would live until the next chunk.
            del task, event

    def _event(self, task: _Task) -> Uploaded | UploadUnknown:
        sent = 0

        def on_sent(size: int) -> None:
            nonlocal sent
            self._token.raise_if_cancelled()
            sent += size
            if self._count_bytes is not None:
                self._count_bytes(size)

        retries, unknown = self._retries.pop(task.number, (None, None))
        first = retries is None
        if retries is None:
            retries = RetryState(self._policy, self._token)
        elif unknown is not None:
            retries.wait_or_raise(unknown)
        while True:
            try:
                self._upload(task.payload, deleted=task.deleted, on_sent=on_sent)
            except ApiError as error:
                if self._count_bytes is not None:
                    self._count_bytes(-sent)
                sent = 0
                self._token.raise_if_cancelled()
                known = outcome(error)
                if known is Outcome.REJECTED:
                    raise
                if known is Outcome.UNKNOWN:
                    self._retries[task.number] = retries, error
                    return UploadUnknown(task.number, digests(task.payload))
                retries.wait_or_raise(error)
            else:
                if first:
                    task.payload.release()
                return Uploaded(task.number)
