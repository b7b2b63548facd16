"""Where finished chunks wait for their upload as files under an fsspec URL.

A stage is a folder ``push-<id>`` with the chunks and a manifest: the job's fields, the chunks with
their digests, and how far the push came. With it another process can finish the push (`resume`).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._encoding.chunk import Chunk, FileChunk
from celonis_frames._filesystem import (
    address,
    checked_blocks,
    masked,
    open_filesystem,
    sync,
    sync_folder,
    translated,
)
from celonis_frames._staging.lease import StageLease
from celonis_frames._staging.manifest import Manifest, read_manifest, write_manifest
from celonis_frames.exceptions import ConfigError, FrameError

logger = logging.getLogger("celonis_frames")

_STAGE = re.compile(r"push-[0-9a-f]{32}")


@dataclass(frozen=True)
class StagedChunk(FileChunk):
    """A chunk that this library wrote into a file.

    Attributes:
        stays: Whether the file outlives this process, so that the push can be resumed.
    """

    stays: bool = field(default=True, repr=False, compare=False)

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks; the last only if all are as they were written.

        Raises:
            ConfigError: The file cannot be read now.
            FrameError: It was changed; or it cannot be read, and will not stay.
        """
        shown = address(self.filesystem, self.path)
        reading = (
            translated(
                f"The staged chunk {shown} cannot be read",
                "It stays: resume when it can be read again. If it is gone for good, delete its "
                "folder and push the frame again.",
            )
            if self.stays
            else translated(
                f"The kept chunk {shown} cannot be read",
                "Push the frame again.",
                kind=FrameError,
            )
        )
        with reading:
            yield from checked_blocks(
                self.filesystem,
                self.path,
                self.sha256,
                f"The chunk {shown} is not as it was written: it was changed or cut. Push the "
                "frame again.",
            )


class Stage:
    """A folder of chunks with their manifest, while only this process works on it.

    Made by `begin` and `reopen`.

    Attributes:
        folder: Its path.
        url: Where it is, to be shown.
        manifest: What it is about.
        finished: Whether the push is over, so that `close` removes the stage.
    """

    def __init__(self, filesystem: Any, folder: str, lease: StageLease, manifest: Manifest) -> None:
        self._filesystem, self._lease = filesystem, lease
        self.folder, self.manifest = folder, manifest
        self.url = address(filesystem, folder)
        self.finished = False

    @classmethod
    def begin(cls, url: str, manifest: Manifest) -> Self:
        """A new stage.

        Args:
            url: An fsspec URL, such as ``"file:///var/tmp/celonis"`` or ``"s3://bucket/celonis"``.
            manifest: What is to be staged.

        Raises:
            ConfigError: No such filesystem, or it cannot be written.
        """
        filesystem, root = open_filesystem(url)
        folder = f"{root.rstrip('/')}/push-{uuid.uuid4().hex}"
        with translated(f"staging={masked(url)!r} cannot be written"):
            lease = None
            try:
                filesystem.makedirs(folder)
                lease = StageLease(filesystem, folder)
                write_manifest(filesystem, folder, manifest)
            except BaseException:
                if lease is not None:
                    lease.release()
                with contextlib.suppress(Exception):  # the first failure is the one to tell
                    filesystem.rm(folder, recursive=True)
                raise
        if isinstance(filesystem, LocalFileSystem):
            for parent in Path(folder).parents:  # some of them may be new
                sync_folder(parent)
        return cls(filesystem, folder, lease, manifest)

    @classmethod
    def reopen(cls, filesystem: Any, folder: str) -> Self:
        """A stage that an earlier process left behind.

        Raises:
            ConfigError: Another process works on it, it is of another version, or it cannot be
                read or written now.
            FrameError: It has no manifest, or a damaged one.
        """
        shown = address(filesystem, folder)
        try:
            with translated(f"The stage at {shown} cannot be locked"):
                lease = StageLease(filesystem, folder)
            try:
                return cls(filesystem, folder, lease, read_manifest(filesystem, folder))
            except BaseException:
                lease.release()
                raise
        except (ConfigError, FrameError) as error:
            # It was listed just now; its files go one by one, and the folder last.
            if not (isinstance(error.__cause__, FileNotFoundError) or _gone(filesystem, folder)):
                raise
            raise ConfigError(
                f"Nothing is staged at {shown} any more: another process has finished that push."
            ) from error

    def put(self, chunk: Chunk) -> Chunk:
        """Write a chunk.

        Raises:
            FrameError: It cannot be written.
        """
        with translated(f"A chunk cannot be staged at {self.url}", kind=FrameError):
            staged = write_chunk(self._filesystem, self.folder, chunk, stays=True)
        fields = ("name", "size", "rows", "deleted", "sha256")
        self.manifest.chunks.append({name: getattr(staged, name) for name in fields})
        return staged

    def chunks(self) -> list[StagedChunk]:
        """The chunks, in order."""
        return [
            StagedChunk(**chunk, filesystem=self._filesystem, path=f"{self.folder}/{chunk['name']}")
            for chunk in self.manifest.chunks
        ]

    def seal(self, job: dict[str, Any], warnings: tuple[str, ...], *, workers: int) -> None:
        """All chunks are there and were found good: from now on the push can be resumed.

        Args:
            job: The job's fields by their API names.
            warnings: What the user was told about the frame.
            workers: Uploads at a time.

        Raises:
            ConfigError: The manifest cannot be written.
        """
        with translated(
            f"The stage at {self.url} cannot be written",
            "Nothing was sent. Make it writable, and push the frame again.",
        ):
            self._write(job=job, warnings=list(warnings), workers=workers, state="ready")

    def created(self, job_id: str) -> None:
        """There is a job.

        Raises:
            ConfigError: The manifest cannot be written.
        """
        with self._unexecuted():
            self._write(job_id=job_id, state="created")

    def submitting(self, job_id: str) -> None:
        """The job is about to be submitted: the last moment to see that nobody else does.

        Raises:
            UploadUncertain: Another process has taken over.
            ConfigError: That cannot be found out, or the manifest cannot be written.
        """
        with self._unexecuted():
            self._lease.check()
            self._write(job_id=job_id, state="submitting")

    @property
    def resumable(self) -> bool:
        """Whether another process could finish the push."""
        return self.manifest.state != "writing" and not self.finished

    def close(self) -> None:
        """Remove the stage, unless it can still be resumed; and let others work on it."""
        self._lease.release()
        if self.resumable:
            return
        try:
            if self._filesystem.exists(self.folder):
                self._filesystem.rm(self.folder, recursive=True)
        except Exception as error:  # the push ended as it ended
            logger.warning(
                "the stage at %s could not be removed (%s): delete it",
                self.url,
                type(error).__name__,
            )

    def _unexecuted(self) -> contextlib.AbstractContextManager[None]:
        return translated(
            f"The stage at {self.url} cannot be written",
            "Nothing was executed. Make it writable, then resume the push.",
        )

    def _write(self, **changes: Any) -> None:
        """Change the manifest; when that fails it is as it was."""
        manifest = replace(self.manifest, **changes)
        write_manifest(self._filesystem, self.folder, manifest)
        self.manifest = manifest


def staged(url: str) -> tuple[Any, list[str]]:
    """The filesystem and the folders of the stages under an URL, or of the one that it is.

    Raises:
        ConfigError: There is no such filesystem, it cannot be read, or nothing is staged there.
    """
    filesystem, root = open_filesystem(url)
    root = root.rstrip("/")
    with translated(f"staging={masked(url)!r} cannot be read"):
        filesystem.invalidate_cache()
        if _is_stage(root) and filesystem.isdir(root):
            return filesystem, [root]
        found: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            found = [str(path).rstrip("/") for path in filesystem.ls(root, detail=False)]
    folders = sorted(path for path in found if _is_stage(path))
    if not folders:
        raise ConfigError(
            f"Nothing is staged at {masked(url)!r}: the push there was finished and cleaned up, or "
            "went to another staging=."
        )
    return filesystem, folders


def _gone(filesystem: Any, folder: str) -> bool:
    """Whether a folder is surely not there."""
    with contextlib.suppress(Exception):  # where it cannot be told, the first failure is the one
        filesystem.invalidate_cache()
        return not filesystem.exists(folder)
    return False


def _is_stage(path: str) -> bool:
    return _STAGE.fullmatch(path.rpartition("/")[2]) is not None


def write_chunk(filesystem: Any, folder: str, chunk: Chunk, *, stays: bool) -> StagedChunk:
    """Write a chunk into a file.

    Args:
        filesystem: Where.
        folder: The folder there.
        chunk: What.
        stays: Whether it is to outlive this process, and a power failure.
    """
    path = f"{folder}/{chunk.name}"
    digest = hashlib.sha256()
    with filesystem.open(path, "wb") as file:
        for block in chunk.blocks():
            file.write(block)
            digest.update(block)
        if stays and isinstance(filesystem, LocalFileSystem):
            sync(file)
    return StagedChunk(
        chunk.name,
        chunk.size,
        chunk.rows,
        chunk.deleted,
        digest.hexdigest(),
        filesystem,
        path,
        stays,
    )
