"""Stages: chunks in files under an fsspec URL, with which another process can finish a push.

A stage is a folder ``push-<id>`` with the chunks and a manifest: the job's fields, the chunks with
their digests, and the state of the push.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._encoding.chunk import Chunk, FileChunk
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import read_verified_blocks, sync_file, sync_folder
from celonis_frames._filesystem.filesystems import display_url, open_filesystem
from celonis_frames._filesystem.masking import mask_url
from celonis_frames._staging.lease import StageLease
from celonis_frames._staging.manifest import (
    Manifest,
    StageState,
    read_manifest,
    write_manifest,
)
from celonis_frames.exceptions import ConfigError, FrameError

_log = logging.getLogger("celonis_frames")

_STAGE = re.compile(r"push-[0-9a-f]{32}")


@dataclass(frozen=True)
class StagedChunk(FileChunk):
    """A chunk that this library wrote into a file.

    A `durable` file survives this process, so that the push can be resumed.
    """

    durable: bool = field(default=True, repr=False, compare=False)

    def blocks(self) -> Iterator[bytes]:
        """The bytes in blocks, the last one only if the file is as it was written.

        Raises:
            ConfigError: The file of a stage cannot be read now.
            FrameError: The file was changed, or a temporary one cannot be read.
        """
        shown = display_url(self.filesystem, self.path)
        if self.durable:
            reading = translate_filesystem_errors(
                f"The staged chunk {shown} cannot be read",
                "It stays: resume when it can be read again. If it is gone for good, delete its "
                "folder and push the frame again.",
            )
        else:
            message = f"The temporary chunk {shown} cannot be read"
            reading = translate_filesystem_errors(message, "Push the frame again.", kind=FrameError)
        with reading:
            yield from read_verified_blocks(
                self.filesystem,
                self.path,
                self.sha256,
                f"The chunk {shown} is not as it was written: it was changed or truncated. Push "
                "the frame again.",
            )


class Stage:
    """A stage that this process works on, from `begin` or `reopen` until `close`."""

    def __init__(self, filesystem: Any, folder: str, lease: StageLease, manifest: Manifest) -> None:
        self._filesystem, self._lease = filesystem, lease
        self.folder, self.manifest = folder, manifest
        self.url = display_url(filesystem, folder)  # without secrets
        self.finished = False  # True when the push has ended: `close` then removes the stage
        self._pid = os.getpid()

    @classmethod
    def begin(cls, url: str, manifest: Manifest) -> Self:
        """A new stage at an fsspec URL, such as ``"file:///var/tmp/celonis"``.

        Raises:
            ConfigError: There is no such filesystem, or it cannot be written.
        """
        filesystem, root = open_filesystem(url)
        folder = f"{root.rstrip('/')}/push-{uuid.uuid4().hex}"
        with translate_filesystem_errors(f"staging={mask_url(url)!r} cannot be written"):
            lease = None
            try:
                filesystem.makedirs(folder)
                if isinstance(filesystem, LocalFileSystem):
                    with contextlib.suppress(OSError):  # some mounts have no permissions
                        Path(folder).chmod(0o700)  # the rows are for the owner only
                lease = StageLease(filesystem, folder)
                write_manifest(filesystem, folder, manifest)
            except BaseException:
                if lease is not None:
                    lease.release()
                with contextlib.suppress(Exception):  # the first error is raised
                    filesystem.rm(folder, recursive=True)
                raise
        if isinstance(filesystem, LocalFileSystem):
            for parent in Path(folder).parents:  # some of them may have been created
                sync_folder(parent)
        return cls(filesystem, folder, lease, manifest)

    @classmethod
    def reopen(cls, filesystem: Any, folder: str) -> Self:
        """A stage that an earlier process left behind.

        Raises:
            ConfigError: Another process works on it, another version wrote it, or it cannot be read
                or written now.
            FrameError: It has no manifest, or a damaged one.
        """
        shown = display_url(filesystem, folder)
        try:
            with translate_filesystem_errors(f"The stage at {shown} cannot be locked"):
                lease = StageLease(filesystem, folder)
            try:
                return cls(filesystem, folder, lease, read_manifest(filesystem, folder))
            except BaseException:
                lease.release()
                raise
        except (ConfigError, FrameError) as error:
            # The process that finished it removes the files one by one, and the folder last.
            removed = isinstance(error.__cause__, FileNotFoundError)
            if not removed and not _is_missing(filesystem, folder):
                raise
            raise ConfigError(
                f"Nothing is staged at {shown} any more: another process has finished that push."
            ) from error

    def put(self, chunk: Chunk) -> Chunk:
        """Write a chunk into the stage.

        Raises:
            FrameError: The chunk cannot be written.
        """
        message = f"A chunk cannot be staged at {self.url}"
        with translate_filesystem_errors(message, kind=FrameError):
            staged = write_chunk(self._filesystem, self.folder, chunk, durable=True)
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
        """Record that all chunks are written and valid: from now on the push can be resumed.

        Raises:
            ConfigError: The manifest cannot be written.
        """
        with translate_filesystem_errors(
            f"The stage at {self.url} cannot be written",
            "Nothing was sent. Make it writable, and push the frame again.",
        ):
            self._write(job=job, warnings=list(warnings), workers=workers, state="creating")

    def record(
        self, state: StageState, job_id: str, jobs: tuple[str, ...], lost_creations: int
    ) -> None:
        """Record the state of the delivery; ``submitting`` if this process still has the stage.

        Raises:
            UploadUncertain: Another process has taken over.
            ConfigError: The leases cannot be read, or the manifest cannot be written.
        """
        with translate_filesystem_errors(
            f"The stage at {self.url} cannot be written",
            "Nothing was executed. Make it writable, then resume the push.",
        ):
            if state == "submitting":
                self._lease.check()
            self._write(state=state, job_id=job_id, jobs=list(jobs), lost_creations=lost_creations)

    @property
    def resumable(self) -> bool:
        """Whether another process could finish the push."""
        return self.manifest.state != "writing" and not self.finished

    def close(self) -> None:
        """Release the stage, and remove it unless it can be resumed. Not in a forked child."""
        self._lease.release()
        if self.resumable or os.getpid() != self._pid:
            return
        try:
            if self._filesystem.exists(self.folder):
                self._filesystem.rm(self.folder, recursive=True)
        except Exception as error:  # it does not change how the push ended
            message = "the stage at %s could not be removed (%s): delete it"
            _log.warning(message, self.url, type(error).__name__)

    def _write(self, **changes: Any) -> None:
        """Write a changed manifest; if that fails, the old one stays."""
        manifest = replace(self.manifest, **changes)
        write_manifest(self._filesystem, self.folder, manifest)
        self.manifest = manifest


def find_stages(url: str) -> tuple[Any, list[str]]:
    """The filesystem and the folders of the stages at a URL: one of them, or the folder of several.

    Raises:
        ConfigError: There is no such filesystem, it cannot be read, or nothing is staged there.
    """
    filesystem, root = open_filesystem(url)
    root = root.rstrip("/")
    with translate_filesystem_errors(f"staging={mask_url(url)!r} cannot be read"):
        filesystem.invalidate_cache()
        if _is_stage(root) and filesystem.isdir(root):
            return filesystem, [root]
        found: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            found = [str(path).rstrip("/") for path in filesystem.ls(root, detail=False)]
    folders = sorted(path for path in found if _is_stage(path))
    if not folders:
        raise ConfigError(
            f"Nothing is staged at {mask_url(url)!r}: the push there was finished and cleaned up, "
            "or went to another staging=."
        )
    return filesystem, folders


def _is_missing(filesystem: Any, folder: str) -> bool:
    """Whether a folder is known not to exist."""
    with contextlib.suppress(Exception):  # not known: the first error is raised
        filesystem.invalidate_cache()
        return not filesystem.exists(folder)
    return False


def _is_stage(path: str) -> bool:
    return _STAGE.fullmatch(path.rpartition("/")[2]) is not None


def write_chunk(filesystem: Any, folder: str, chunk: Chunk, *, durable: bool) -> StagedChunk:
    """Write a chunk into a file, which if `durable` survives this process and a power failure."""
    path, digest = f"{folder}/{chunk.name}", hashlib.sha256()
    with filesystem.open(path, "wb") as file:
        for block in chunk.blocks():
            file.write(block)
            digest.update(block)
        if durable and isinstance(filesystem, LocalFileSystem):
            sync_file(file)
    return StagedChunk(
        chunk.name, chunk.size, chunk.rows, chunk.deleted, digest.hexdigest(), filesystem, path,
        durable,
    )  # fmt: skip
