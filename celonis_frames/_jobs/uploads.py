"""Uploads into one job, several at a time, each chunk in it exactly once.

A failed upload is repeated only when it is certain that nothing arrived. When that is unknown, all
uploads under way are let come to their end and the server's list of chunks says what is there.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import logging
import threading
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from celonis_frames._concurrency.cancellation import CallAborter, Cancelled, pause
from celonis_frames._http.retry import RetryPolicy, RetryState, outcome
from celonis_frames.exceptions import ApiError, JobTimeout, UploadUncertain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from celonis_frames._api.client import DataPushApi
    from celonis_frames._api.models import Chunk
    from celonis_frames._http.multipart import Payload

__all__ = ["AmbiguousUploads", "Meter", "Uploads"]

SETTLE_PAUSES = (0.5, 2.0)
"""Seconds between looks for a chunk that may have arrived, before it is taken for not arrived."""
QUIET_SECONDS = 10.0
"""Seconds that must have passed since the last such chunk before the job may be executed, so that
a server which stores it late is found out by the count."""
JOIN_SECONDS = 5.0
"""Seconds that an upload is given to end once its connection was cut."""

_log = logging.getLogger("celonis_frames")
_I = TypeVar("_I")
_P = TypeVar("_P", bound="Payload")


class AmbiguousUploads(Exception):  # the job is given up, not the push
    """It cannot be told which chunks are in the job."""


class Meter(Protocol):
    """Counts what goes over the wire; called from several threads."""

    def sent(self, size: int) -> None:
        """So many bytes more; less than zero when an upload failed and begins anew."""

    def chunk_done(self) -> None:
        """One chunk more."""


@dataclasses.dataclass(eq=False)
class _Item:
    payload: Payload
    deleted: bool
    budget: RetryState
    abort: CallAborter
    counted: int = 0
    error: ApiError | None = None


class Uploads:
    """The chunks of one job on their way.

    Args:
        api: The calls.
        pool_id: The pool.
        job_id: The job, which nobody else adds chunks to.
        workers: Uploads at a time. With one, chunks arrive in the order in which they are sent.
        meter: Counts bytes and chunks.
        patience: How much trouble each chunk may make, and when all is over.

    Attributes:
        chunks: How many chunks were taken.
        doubtful: Whether it was ever unknown what had arrived.
    """

    def __init__(
        self,
        api: DataPushApi,
        pool_id: str,
        job_id: str,
        *,
        workers: int,
        meter: Meter,
        patience: RetryPolicy,
    ) -> None:
        self._api, self._pool_id, self._job_id = api, pool_id, job_id
        self._workers, self._meter = workers, meter
        self._stop = threading.Event()
        self._patience = patience
        # Uploads stop for their own reasons too, such as another's failure.
        self._each = dataclasses.replace(patience, stop=self._stop)
        self._changed = threading.Condition()
        self._running: dict[_Item, threading.Thread] = {}
        self._unsettled: list[_Item] = []
        self._failure: BaseException | None = None
        self._seen: set[str] = set()
        self._acknowledged = 0
        self.doubtful = False
        self._known_digest = False
        self._doubted: float | None = None
        self.chunks = 0

    def adopt(self, payloads: Sequence[_P]) -> list[_P]:
        """Those of the payloads that are not in the job yet; the others count as sent.

        For a job that an earlier process left behind.

        Raises:
            Unsettled: The job holds a chunk that is none of these, or does not tell.
        """
        self.doubtful = True
        there = self._list()
        lost = list(payloads)
        if there:
            lost = _unrecognised(lost, there, lambda payload: payload)
            if len(lost) + len(there) != len(payloads):
                raise AmbiguousUploads("the job has a chunk that cannot be recognised")
        self._seen = {chunk.id for chunk in there}
        self.chunks = len(there)
        # What the earlier process had under way may still arrive.
        self._doubted = time.monotonic()
        return lost

    def send(self, payload: Payload, *, deleted: bool = False) -> None:
        """Take a chunk; returns once it is under way, so that at most `workers` are.

        Raises:
            ApiError: An upload failed for good.
            FrameError: A chunk cannot be read.
            Unsettled: See the class.
            UploadUncertain: The server cannot be asked what arrived.
            JobTimeout: The deadline has passed.
        """
        self._wait(self._workers - 1)
        self.chunks += 1
        self._start(_Item(payload, deleted, self._each.budget(), CallAborter()))

    def finish(self) -> None:
        """Return when every chunk taken is in the job exactly once.

        Raises:
            ApiError, FrameError, Unsettled, UploadUncertain, JobTimeout: As `send`.
        """
        self._wait(0)
        if self._doubted is not None:
            self._rest(max(0.0, self._doubted + QUIET_SECONDS - time.monotonic()))
        self.count()

    def count(self) -> None:
        """Make sure that the server has as many chunks as were sent.

        Raises:
            ApiError, Unsettled, UploadUncertain: As `send`.
        """
        there = self._list()
        if len(there) != self.chunks:
            raise AmbiguousUploads(
                f"the job has {len(there)} chunks, where {self.chunks} were sent"
            )
        if self.doubtful:
            _check_twins(there)

    def close(self) -> None:
        """Stop whatever is under way, at once."""
        self._stop.set()
        with self._changed:
            running = dict(self._running)
        for item in running:
            item.abort.trigger()
        end = time.monotonic() + JOIN_SECONDS
        for thread in running.values():
            if thread.ident is not None:  # its start may have been interrupted
                thread.join(max(0.0, end - time.monotonic()))

    def _start(self, item: _Item) -> None:
        # Daemons: neither the end of the interpreter nor a second Ctrl-C waits for an upload.
        thread = threading.Thread(
            target=self._run, args=(item,), name="celonis-upload", daemon=True
        )
        with self._changed:
            self._running[item] = thread
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
                del self._running[item]
                raise

    def _run(self, item: _Item) -> None:
        failure: BaseException | None = None
        try:
            self._upload(item)
        except Cancelled:
            pass
        except BaseException as error:  # it is raised again in the thread that sends
            failure = error
        with self._changed:
            del self._running[item]
            if failure is not None and self._failure is None and not self._stop.is_set():
                self._failure = failure
            self._changed.notify_all()
        # An error in its own traceback's frame would live until the next garbage collection.
        del failure

    def _upload(self, item: _Item) -> None:
        def on_sent(size: int) -> None:
            if self._stop.is_set():
                raise Cancelled
            item.counted += size
            self._meter.sent(size)

        while True:
            try:
                self._api.upload_chunk(
                    self._pool_id,
                    self._job_id,
                    item.payload,
                    deleted=item.deleted,
                    on_sent=on_sent,
                    abort=item.abort,
                )
            except ApiError as error:
                self._uncount(item)
                if self._stop.is_set():
                    raise Cancelled from None
                known = outcome(error)
                if known == "refused":
                    raise
                if known == "unknown":
                    item.error = error
                    with self._changed:
                        self._unsettled.append(item)
                    return
                item.budget.wait_or_raise(error)
            else:
                with self._changed:
                    self._acknowledged += 1
                item.payload.release()
                self._meter.chunk_done()
                return

    def _uncount(self, item: _Item) -> None:
        self._meter.sent(-item.counted)
        item.counted = 0

    def _wait(self, most: int) -> None:
        """Wait until at most so many uploads are under way, and none is in doubt."""
        while True:
            with self._changed:
                # What is in doubt is settled only when nothing else can arrive meanwhile.
                while len(self._running) > (0 if self._unsettled else most):
                    self.check()
                    self._changed.wait(self._tick())
                self.check()
                if not self._unsettled:
                    return
                doubtful, self._unsettled = self._unsettled, []
            self.doubtful = True
            for item in self._settle(doubtful):
                assert item.error is not None  # noqa: S101  # that is why it was in doubt
                item.budget.wait_or_raise(item.error)
                self._start(item)
                if self._workers == 1:
                    self._wait(0)  # the order is kept

    def _settle(self, doubtful: list[_Item]) -> list[_Item]:
        """Those of the uploads in doubt that did not arrive.

        The count alone could deceive: a chunk that something on the way sent twice would stand for
        one that is missing. So no two chunks may be the same, and where the server's checksums are
        digests that we know, they must agree with the count.
        """
        for delay in (*SETTLE_PAUSES, None):
            there = self._list()
            fresh = [chunk for chunk in there if chunk.id not in self._seen]
            arrived = len(fresh) - self._acknowledged
            if arrived >= len(doubtful) or delay is None:
                break
            self._rest(delay)
        if not 0 <= arrived <= len(doubtful):
            raise AmbiguousUploads(
                f"the job has {len(there)} chunks, which does not fit the {self.chunks} sent"
            )
        _check_twins(there)
        lost = _unrecognised(doubtful, fresh, lambda item: item.payload)
        self._known_digest = self._known_digest or len(lost) < len(doubtful)
        if len(doubtful) - len(lost) != arrived:
            if self._known_digest or arrived < len(doubtful):
                raise AmbiguousUploads("it cannot be told which of several chunks arrived")
            lost = []  # all are there, under checksums of a kind that we do not know
        _log.warning(
            "job %s: %d upload(s) without an answer: %d arrived, %d did not",
            self._job_id, len(doubtful), arrived, len(lost),
        )  # fmt: skip
        self._seen = {chunk.id for chunk in there}
        self._acknowledged = 0
        for item in doubtful:
            if item not in lost:
                item.payload.release()
                self._meter.sent(item.payload.size)
                self._meter.chunk_done()
        if lost:
            self._doubted = time.monotonic()
        return lost

    def _list(self) -> list[Chunk]:
        try:
            return self._api.chunks(self._pool_id, self._job_id, patience=self._patience)
        except ApiError as error:
            if outcome(error) == "refused" or not self.doubtful:
                raise
            raise UploadUncertain(
                f"Which chunks of job {self._job_id} arrived is not known, and the server cannot "
                f"be asked ({error.message}) The job was not executed. Push again when the server "
                "answers.",
                job_id=self._job_id,
            ) from error

    def _rest(self, seconds: float) -> None:
        left = self._patience.left()
        pause(seconds if left is None else min(seconds, left), self._patience.stop)
        self.check()

    def _tick(self) -> float:
        # In short turns, so that a stop is soon heard.
        left = self._patience.left()
        return 0.5 if left is None else max(0.001, min(0.5, left))

    def check(self) -> None:
        """Return while all is well; for whoever waits for the next chunk.

        Raises:
            ApiError, FrameError, JobTimeout: As `send`.
            Stopped: Another thread said so.
        """
        if self._failure is not None:
            raise self._failure
        self._patience.check()
        if self._stop.is_set():  # closed by another thread: what was cut short is no doubt
            raise Cancelled
        if self._patience.left() == 0.0:
            raise JobTimeout(
                f"The time was up while job {self._job_id} was being filled ({self.chunks} chunks "
                "so far); nothing was executed. Give a longer timeout=.",
                job_id=self._job_id,
            )


def _check_twins(chunks: list[Chunk]) -> None:
    """Make sure that none is there twice, as far as the server's checksums tell.

    Raises:
        Unsettled: Two are the same, or have no checksum to tell them apart.
    """
    checksums = [chunk.checksum for chunk in chunks]
    if len(chunks) > 1 and (None in checksums or len(set(checksums)) < len(chunks)):
        raise AmbiguousUploads("two of the job's chunks are the same, or cannot be told apart")


def _unrecognised(
    items: Sequence[_I], chunks: list[Chunk], payload: Callable[[_I], Payload]
) -> list[_I]:
    """The items of whose content no chunk's checksum is a digest."""
    checksums = Counter(chunk.checksum for chunk in chunks if chunk.checksum)
    lost = []
    for item in items:
        found = next((d for d in _digests(payload(item)) if checksums[d] > 0), None)
        if found is None:
            lost.append(item)
        else:
            checksums[found] -= 1
    return lost


def _digests(payload: Payload) -> set[str]:
    """What a server may call the checksum of these bytes; its algorithm is not documented."""
    hashes = [hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha1", "sha256")]
    crc = 0
    with contextlib.suppress(OSError):
        for block in payload.blocks():
            crc = zlib.crc32(block, crc)
            for digest in hashes:
                digest.update(block)
    found = {str(crc), f"{crc:08x}"}
    for digest in hashes:
        found |= {digest.hexdigest(), digest.hexdigest().upper()}
        found.add(base64.b64encode(digest.digest()).decode())
    return found
