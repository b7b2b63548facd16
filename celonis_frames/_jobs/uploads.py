"""Parallel uploads into one job, with each chunk in the job exactly once.

How it works:

* `Uploads.send` starts one daemon thread, ``celonis-upload``, per chunk. It first waits on a
  condition until fewer than `workers` of them run; there is no queue.
* A thread repeats its own upload as long as it is certain that the server did not receive it. A
  final failure is stored and raised by the next call of `send` or `finish`.
* If it is unknown whether the server received a chunk, the thread ends. The delivering thread waits
  until no upload runs, reads the server's list of chunks, and sends again what is not in it.
* `Uploads.close` cancels the token of the uploads, a child of the API's, aborts their calls and
  joins the threads, at most 5 s. `finish` returns after all threads have ended.
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
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Chunk
from celonis_frames._concurrency.cancellation import Cancelled, CancelToken
from celonis_frames._formatting import counted
from celonis_frames._http.multipart import Payload
from celonis_frames._http.retry import Outcome, RetryState, outcome
from celonis_frames._jobs.timeouts import raise_if_expired
from celonis_frames.exceptions import ApiError, UploadUncertain

RECONCILE_DELAYS = (0.5, 2.0)
"""Delays (s) between polls for an upload with unknown outcome before it is treated as lost."""
QUIET_SECONDS = 10.0
"""Seconds between the last upload treated as lost and the execution of the job, so that the count
detects a server that stores the chunk late."""
UPLOAD_JOIN_SECONDS = 5.0
"""Seconds for an upload to end after its connection was shut down."""
POLL_SECONDS = 0.5
"""Longest wait on the condition at a time, so that a cancellation is noticed soon."""

_log = logging.getLogger("celonis_frames")
_I = TypeVar("_I")
_P = TypeVar("_P", bound="Payload")


class AmbiguousUploads(Exception):  # the job is replaced; the push goes on
    """It cannot be determined which chunks the job holds."""


class UploadProgress(Protocol):
    """Counts what is sent; called from several threads."""

    def sent(self, size: int) -> None:
        """Add bytes; fewer than zero if an upload failed and starts again."""

    def chunk_done(self) -> None:
        """Add one chunk."""


@dataclasses.dataclass(eq=False)
class _Item:
    payload: Payload
    deleted: bool
    retries: RetryState
    counted: int = 0
    error: ApiError | None = None


class Uploads:
    """Uploads chunks into one job, to which no other client adds chunks. See the module.

    Each chunk has the API's retry policy; all have its deadline and cancellation. With one worker,
    the server receives the chunks in the order of `send`. `has_unknown` says whether the outcome of
    an upload was ever unknown.
    """

    def __init__(
        self, api: DataPushApi, pool_id: str, job_id: str, *, workers: int, progress: UploadProgress
    ) -> None:
        self._api, self._pool_id, self._job_id = api, pool_id, job_id
        self._workers, self._progress = workers, progress
        # Uploads have a token of their own, with which `close` ends them.
        self._token: CancelToken = api.token.child()
        self._upload_api = api.within(self._token)
        self._changed = threading.Condition()
        self._running: dict[_Item, threading.Thread] = {}
        self._unknown: list[_Item] = []
        self._failure: BaseException | None = None
        # Ids of the chunks that were in the job at the last reconciliation.
        self._listed_ids: set[str] = set()
        self._acknowledged = 0
        self.has_unknown = False
        self._checksum_known = False
        self._lost_at: float | None = None
        self.chunks = 0

    def adopt(self, payloads: Sequence[_P]) -> list[_P]:
        """The payloads that the job does not hold yet; the others count as sent.

        For a job that an earlier process left in NEW.

        Raises:
            AmbiguousUploads: The job holds a chunk that is none of these, or has no known checksum.
        """
        self.has_unknown = True
        listed = self._list()
        missing = list(payloads)
        if listed:
            missing = _unmatched(missing, listed, lambda payload: payload)
            if len(missing) + len(listed) != len(payloads):
                raise AmbiguousUploads("the job holds a chunk that cannot be identified")
        self._listed_ids = {chunk.id for chunk in listed}
        self.chunks = len(listed)
        # The server may still receive an upload of the earlier process.
        self._lost_at = time.monotonic()
        return missing

    def send(self, payload: Payload, *, deleted: bool = False) -> None:
        """Start the upload of a chunk, once fewer than `workers` uploads run.

        Raises:
            ApiError: An upload was rejected, or failed at the last retry.
            FrameError: A chunk cannot be read.
            AmbiguousUploads: It cannot be determined which chunks the job holds.
            UploadUncertain: The outcome of an upload is unknown and the job's chunks cannot be
                listed.
            JobTimeout: The deadline has passed.
        """
        self._wait(self._workers - 1)
        self.chunks += 1
        self._start(_Item(payload, deleted, self._api.policy.start(self._token)))

    def finish(self) -> None:
        """Return when the job holds every chunk exactly once. Raises as `send`."""
        self._wait(0)
        if self._lost_at is not None:
            self._sleep(max(0.0, self._lost_at + QUIET_SECONDS - time.monotonic()))
        self.count()

    def count(self) -> None:
        """Check that the job holds as many chunks as were sent. Raises as `send`."""
        listed = self._list()
        if len(listed) != self.chunks:
            raise AmbiguousUploads(
                f"the job holds {counted(len(listed), 'chunk')}, but {self.chunks:,} were sent"
            )
        if self.has_unknown:
            check_no_duplicates(listed)

    def close(self) -> None:
        """Abort all uploads and wait until their threads have ended, at most 5 s."""
        self._token.cancel()
        self._token.abort_calls()
        with self._changed:
            running = list(self._running.values())
        end = time.monotonic() + UPLOAD_JOIN_SECONDS
        for thread in running:
            while thread.is_alive() and not self._token.abandoned and time.monotonic() < end:
                thread.join(POLL_SECONDS)

    def _start(self, item: _Item) -> None:
        # Daemon threads: neither the interpreter's end nor a second Ctrl-C waits for an upload.
        thread = threading.Thread(None, self._run, "celonis-upload", (item,), daemon=True)
        with self._changed:
            self._running[item] = thread
            try:
                thread.start()
            except RuntimeError:  # the system cannot start another thread
                del self._running[item]
                raise

    def _run(self, item: _Item) -> None:
        failure: BaseException | None = None
        try:
            self._upload(item)
        except Cancelled:
            pass
        except BaseException as error:  # raised again in the thread that calls `send`
            failure = error
        with self._changed:
            del self._running[item]
            if failure is not None and self._failure is None and not self._token.cancelled:
                self._failure = failure
            self._changed.notify_all()
        # An error in its own traceback's frame would live until the next garbage collection.
        del failure

    def _upload(self, item: _Item) -> None:
        def on_sent(size: int) -> None:
            self._token.raise_if_cancelled()
            item.counted += size
            self._progress.sent(size)

        while True:
            try:
                self._upload_api.upload_chunk(
                    self._pool_id, self._job_id, item.payload,
                    deleted=item.deleted, on_sent=on_sent,
                )  # fmt: skip
            except ApiError as error:
                self._progress.sent(-item.counted)
                item.counted = 0
                if self._token.cancelled:
                    raise Cancelled from None
                known = outcome(error)
                if known is Outcome.REJECTED:
                    raise
                if known is Outcome.UNKNOWN:
                    item.error = error
                    with self._changed:
                        self._unknown.append(item)
                    return
                item.retries.wait_or_raise(error)
            else:
                with self._changed:
                    self._acknowledged += 1
                item.payload.release()
                self._progress.chunk_done()
                return

    def _wait(self, most: int) -> None:
        """Wait until at most `most` uploads run and none has an unknown outcome."""
        while True:
            with self._changed:
                # The list of chunks is conclusive only when no other upload runs.
                while len(self._running) > (0 if self._unknown else most):
                    self.raise_if_failed()
                    self._changed.wait(self._poll_interval())
                self.raise_if_failed()
                if not self._unknown:
                    return
                unknown, self._unknown = self._unknown, []
            self.has_unknown = True
            for item in self._reconcile(unknown):
                assert item.error is not None  # noqa: S101  # the reason of the unknown outcome
                item.retries.wait_or_raise(item.error)
                self._start(item)
                if self._workers == 1:
                    self._wait(0)  # keeps the order

    def _reconcile(self, unknown: list[_Item]) -> list[_Item]:
        """The uploads with unknown outcome that the server did not receive.

        The count alone proves nothing: a chunk that a gateway sent twice could stand in for one
        that is missing. So no two chunks may be equal, and if the server's checksums are digests
        that we know, they must agree with the count.
        """
        # 1. List the job's chunks, until all are there or the last delay has passed.
        for delay in (*RECONCILE_DELAYS, None):
            listed = self._list()
            new = [chunk for chunk in listed if chunk.id not in self._listed_ids]
            received = len(new) - self._acknowledged
            if received >= len(unknown) or delay is None:
                break
            self._sleep(delay)
        if not 0 <= received <= len(unknown):
            raise AmbiguousUploads(
                f"the job holds {counted(len(listed), 'chunk')}, which does not match the "
                f"{self.chunks:,} sent"
            )
        check_no_duplicates(listed)
        # 2. Find out by checksum which ones are there.
        lost = _unmatched(unknown, new, lambda item: item.payload)
        self._checksum_known = self._checksum_known or len(lost) < len(unknown)
        if len(unknown) - len(lost) != received:
            if self._checksum_known or received < len(unknown):
                raise AmbiguousUploads("it is unknown which of several chunks were received")
            lost = []  # all were received; their checksums are of an unknown kind
        _log.warning(
            "job %s: %s without a response: %d received, %d lost",
            self._job_id, counted(len(unknown), "upload"), received, len(lost),
        )  # fmt: skip
        # 3. Count the received ones as sent.
        self._listed_ids = {chunk.id for chunk in listed}
        self._acknowledged = 0
        for item in unknown:
            if item not in lost:
                item.payload.release()
                self._progress.sent(item.payload.size)
                self._progress.chunk_done()
        if lost:
            self._lost_at = time.monotonic()
        return lost

    def _list(self) -> list[Chunk]:
        try:
            return self._api.chunks(self._pool_id, self._job_id)
        except ApiError as error:
            if outcome(error) is Outcome.REJECTED or not self.has_unknown:
                raise
            raise UploadUncertain(
                f"It is unknown which chunks job {self._job_id} holds, and they cannot be listed "
                f"({error.message}) The job was not executed. Push again when the server responds.",
                job_id=self._job_id,
            ) from error

    def _sleep(self, seconds: float) -> None:
        self._api.token.sleep(seconds)
        self.raise_if_failed()

    def _poll_interval(self) -> float:
        left = self._api.token.remaining()
        return POLL_SECONDS if left is None else max(0.001, min(POLL_SECONDS, left))

    def raise_if_failed(self) -> None:
        """Raise as `send`, or `Cancelled`, if the uploads cannot go on.

        Called while the next chunk is awaited.
        """
        if self._failure is not None:
            raise self._failure
        # Cancelled, or closed by another thread: an aborted upload is no unknown outcome.
        self._token.raise_if_cancelled()
        raise_if_expired(
            self._token,
            f"during the upload to job {self._job_id}, after {counted(self.chunks, 'chunk')}",
            job_id=self._job_id,
        )


def check_no_duplicates(chunks: list[Chunk]) -> None:
    """Check by the server's checksums that no chunk is in the job twice."""
    checksums = [chunk.checksum for chunk in chunks]
    if len(chunks) > 1 and (None in checksums or len(set(checksums)) < len(chunks)):
        raise AmbiguousUploads("two of the job's chunks are equal, or one has no checksum")


def _unmatched(
    items: Sequence[_I], chunks: list[Chunk], payload: Callable[[_I], Payload]
) -> list[_I]:
    """The items that match no chunk: no checksum is a digest of their content."""
    checksums = Counter(chunk.checksum for chunk in chunks if chunk.checksum)
    unmatched = []
    for item in items:
        found = next((d for d in _digests(payload(item)) if checksums[d] > 0), None)
        if found is None:
            unmatched.append(item)
        else:
            checksums[found] -= 1
    return unmatched


def _digests(payload: Payload) -> set[str]:
    """Checksums that a server may report for these bytes; its algorithm is not documented."""
    hashes = [hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha1", "sha256")]
    crc = 0
    with contextlib.suppress(OSError):
        for block in payload.blocks():
            crc = zlib.crc32(block, crc)
            for digest in hashes:
                digest.update(block)
    found = {str(crc), f"{crc:08x}"}
    for digest in hashes:
        text = digest.hexdigest()
        found |= {text, text.upper(), base64.b64encode(digest.digest()).decode()}
    return found
