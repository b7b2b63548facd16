"""The chunks of a delivery on their way: taken from their iterator, sent, and released.

There is no queue of chunks: the iterator makes the next one when the machine asks for it. Each job
has an `UploadPool` of its own, so that nothing of a job before reports any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from functools import partial

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import POLL_SECONDS, CancelToken
from celonis_frames._jobs import commands as c
from celonis_frames._jobs.delivery import (
    BodyRefuted,
    Delivery,
    DeliveryProgress,
    DeliveryResult,
    JobChunk,
)
from celonis_frames._jobs.delivery_state import DeliveryState
from celonis_frames._jobs.job_destination import JobDestination
from celonis_frames._jobs.timeouts import raise_if_interrupted
from celonis_frames._jobs.upload_pool import Upload, UploadPool
from celonis_frames._reporting.current import warn


class UploadFailed(Exception):
    """An upload has failed: its event is in the queue."""


class ChunkUploads:
    """Takes the chunks of one delivery and uploads them. The methods carry commands out.

    Attributes:
        chunks: The chunks that are not released yet, by their numbers.
    """

    def __init__(
        self,
        api: DataPushApi,
        delivery: Delivery,
        jobs: JobDestination,
        machine: DeliveryState,
        result: DeliveryResult,
        progress: DeliveryProgress,
    ) -> None:
        self._api, self._delivery, self._jobs, self._machine = api, delivery, jobs, machine
        self._result, self._progress = result, progress
        self._pool: UploadPool | None = None
        self._iterator: Iterator[JobChunk] | None = None
        self._taken = 0
        self.chunks: dict[int, JobChunk] = {}

    def find(self, _: c.Find) -> c.Found:
        """Look for what an earlier process left of these chunks."""
        self.chunks = dict(enumerate(self._delivery.chunks(self._check), 1))
        return self._jobs.find(list(self.chunks.values()))

    def take_next(self, _: c.Next) -> c.ChunkReady | c.ChunksEnded | c.Refuted:
        """Take the next chunk."""
        if self._iterator is None:
            self._iterator = iter(self._delivery.chunks(self._check))
        try:
            chunk = next(self._iterator, None)
        except BodyRefuted:
            self._result.restarts += 1
            return c.Refuted()
        if chunk is None:
            return c.ChunksEnded()
        self._taken += 1
        self.chunks[self._taken] = chunk
        self._result.add(chunk)
        return c.ChunkReady(self._taken, self._delivery.workers())

    def _check(self) -> None:
        """Raise if the next chunk is not to be awaited any more."""
        raise_if_interrupted(self._api.token, self._machine)
        if self._pool is not None and self._pool.failure is not None:
            raise UploadFailed

    def send(self, command: c.Send) -> None:
        """Upload a chunk as soon as a thread is free."""
        if self._pool is None:
            token = CancelToken(parent=self._api.token)
            delivery = self._delivery
            if delivery.destination is not None:
                upload: Upload = partial(delivery.destination.upload, token)
            else:
                calls, job_id = self._api.within(token), self._machine.job_id
                upload = partial(calls.upload_chunk, delivery.pool_id, job_id)
            self._pool = UploadPool(
                upload,
                token,
                self._api.policy,
                count_bytes=None if self._progress.bar is None else self._progress.bar.sent,
            )
        chunk = self.chunks[command.number]
        self._pool.send(command.number, chunk, deleted=chunk.deleted, threads=self._machine.uploads)

    def wait(self, _: object) -> c.Uploaded | c.UploadUnknown:
        """Wait for the event of an upload.

        Raises:
            BaseException: What an upload failed with for good.
            Cancelled: The token was cancelled.
            JobTimeout: Its deadline has passed.
        """
        while True:
            raise_if_interrupted(self._api.token, self._machine)
            assert self._pool is not None  # noqa: S101  # something was sent
            if self._pool.events or self._pool.ready.acquire(timeout=POLL_SECONDS):
                with contextlib.suppress(IndexError):
                    event = self._pool.events.popleft()
                    break
        if not isinstance(event, c.Failed):
            return event
        try:
            raise event.error
        finally:
            del event  # an error in its own traceback's frame would keep all this alive

    def release(self, command: c.Release) -> None:
        """Free a chunk that is stored."""
        chunk = self.chunks.pop(command.number)
        chunk.release()
        if command.confirmed and self._progress.bar is not None:
            self._progress.bar.sent(chunk.size)
        self._progress.chunk_done(command.number, chunk.rows, chunk.size)

    def restart(self, _: c.Restart) -> None:
        """Begin again with the first chunk, for another job."""
        warn("job %s is replaced by a new one: %s", self._result.job_id, self._machine.reason)
        self.stop()
        self.chunks.clear()
        self._taken = 0
        self._progress.restart()

    def stop(self, _: c.StopUploads | None = None) -> None:
        """End the uploads, and what makes the chunks."""
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, Generator):
            iterator.close()  # ends the encoder's threads now, not when the error is deleted
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
