"""A file that is written by worker threads while it is received."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from celonis_frames.local._database.files import create

BLOCK_BYTES = 1024 * 1024
"""Bytes written and digested at a time."""


class BlockWriter:
    """Writes a file block by block in a worker thread, while the next block fills.

    Args:
        path: The file.
        size: The expected bytes; blocks are not larger than this.
        digests: Are updated with what is written.
    """

    def __init__(self, path: Path, size: int, *digests: Any) -> None:
        self._file = os.fdopen(create(path), "wb", buffering=0)
        self._block_bytes = min(size, BLOCK_BYTES)
        self._block = bytearray(self._block_bytes)
        self._other = bytearray()
        self._used = 0
        self._writing: asyncio.Task[None] | None = None
        self._digests = digests

    def put(self, piece: memoryview) -> None:
        """Append bytes to the block, which grows if needed."""
        end = self._used + len(piece)
        self._block[self._used : end] = piece
        self._used = end

    async def make_room(self) -> None:
        """Start writing the block if it is full, once the one before it is written."""
        if self._used >= self._block_bytes:
            await self._swap()

    async def finish(self) -> None:
        """Write the rest and wait for it."""
        await self._swap()
        await self._written()

    async def close(self) -> None:
        """Close the file once no thread writes to it."""
        with contextlib.suppress(Exception):  # `make_room` or `finish` has raised it
            await self._written()
        self._file.close()

    async def _swap(self) -> None:
        await self._written()
        full, used = self._block, self._used
        # The two blocks are reused: new memory costs page faults.
        self._block, self._other, self._used = self._other, full, 0
        self._writing = asyncio.create_task(run_in_threadpool(self._write, memoryview(full)[:used]))

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def _write(self, block: memoryview) -> None:
        with block:
            for digest in self._digests:
                digest.update(block)
            done = 0
            while done < len(block):
                done += self._file.write(block[done:])
