"""Stages: chunks in files under an fsspec URL, with which another process can finish a push.

A stage is a folder ``push-<id>`` with the chunks and a manifest: the job's fields, the chunks with
their digests, and the state of the push.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._encoding.chunk import Chunk
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import (
    join_path,
    list_sizes,
    make_folder,
    sync_parents,
)
from celonis_frames._filesystem.filesystems import (
    close_filesystem,
    display_url,
    filesystem_for_thread,
    has_buckets,
    open_filesystem,
)
from celonis_frames._filesystem.masking import mask_url, secrets_of
from celonis_frames._formatting import counted, shown
from celonis_frames._reporting.current import warn
from celonis_frames._staging.lease import StageLease
from celonis_frames._staging.manifest import (
    CHUNK_FIELDS,
    Manifest,
    NoManifest,
    StageState,
    read_manifest,
    write_manifest,
)
from celonis_frames._staging.receipt import Receipt, read_receipt, remove_receipt, write_receipt
from celonis_frames._staging.removal import (
    remove_if_empty,
    remove_if_still_empty,
    remove_locked_folder,
    remove_staged_files,
)
from celonis_frames._staging.staged_chunk import StagedChunk, write_chunk
from celonis_frames.exceptions import ConfigError, FrameError, UploadUncertain


class Stage:
    """A stage that this process works on, from `begin` or `reopen` until `close`."""

    def __init__(
        self,
        filesystem: Any,
        folder: str,
        lease: StageLease,
        manifest: Manifest,
        receipt: Receipt | None = None,  # of a push with an id
    ) -> None:
        self._filesystem, self._lease = filesystem, lease
        self._secrets = secrets_of(filesystem)
        self.folder, self.manifest, self.receipt = folder, manifest, receipt
        self.url = display_url(filesystem, folder)  # without secrets
        self.finished = False  # True when the push has ended: `close` then removes the stage
        self._pid = os.getpid()
        self._lock = threading.Lock()  # several threads store objects

    @classmethod
    def begin(cls, url: str, manifest: Manifest, options: Mapping[str, Any] | None = None) -> Self:
        """A new stage at an fsspec URL, such as ``"file:///var/tmp/celonis"``.

        `options` are those of fsspec for the URL; no file holds them.

        Raises:
            ConfigError: There is no such filesystem, or it cannot be written.
        """
        filesystem, root = open_filesystem(url, options)
        folder = join_path(root, f"push-{uuid.uuid4().hex}")
        with translate_filesystem_errors(
            f"staging={mask_url(url)!r} cannot be written", secrets=secrets_of(filesystem, url)
        ):
            lease = None
            try:
                if not has_buckets(filesystem):
                    make_folder(filesystem, folder)
                lease = StageLease(filesystem, folder, new=True)
                write_manifest(filesystem, folder, manifest)
            except BaseException:
                if lease is not None:
                    lease.release()
                with contextlib.suppress(Exception):  # the first error is raised
                    filesystem.rm(folder, recursive=True)
                close_filesystem(filesystem)
                raise
        sync_parents(filesystem, folder)
        return cls(filesystem, folder, lease, manifest)

    @classmethod
    def reopen(cls, filesystem: Any, folder: str, *, inherits: str | None = None) -> Self:
        """A stage that an earlier process left behind, or handed over: `inherits` is what it got.

        Raises:
            ConfigError: Another process works on it, another version wrote it, its receipt is lost,
                or it cannot be read or written now.
            FrameError: It has no manifest, or a damaged one.
        """
        shown = display_url(filesystem, folder)
        try:
            with translate_filesystem_errors(
                f"The stage at {shown} cannot be locked", secrets=secrets_of(filesystem)
            ):
                lease = StageLease(filesystem, folder, inherits=inherits)
            own = filesystem
            try:
                own = filesystem_for_thread(filesystem)  # it is closed with the stage
                manifest = read_manifest(own, folder)
                return cls(own, folder, lease, manifest, _receipt_of(own, folder, manifest))
            except BaseException as error:
                lease.release()
                if isinstance(error, NoManifest):
                    remove_if_empty(filesystem, folder)
                if own is not filesystem:
                    close_filesystem(own)
                raise
        except NoManifest:
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
        with translate_filesystem_errors(message, kind=FrameError, secrets=self._secrets):
            self._hold_shared()
            staged = write_chunk(self._filesystem, self.folder, chunk)
        self.manifest.chunks.append({name: getattr(staged, name) for name in CHUNK_FIELDS})
        return staged

    def adopt(self, chunks: Sequence[Mapping[str, Any]]) -> list[StagedChunk]:
        """Take chunks that other processes have written into the folder, in this order.

        Args:
            chunks: `CHUNK_FIELDS` of each.

        Raises:
            ConfigError: One of them is not there: the storage is not shared.
        """
        with translate_filesystem_errors(
            f"The stage at {self.url} cannot be read", "Nothing was sent.", secrets=self._secrets
        ):
            self._reconnect()  # workers may have taken hours
            self._hold_shared()
            sizes = list_sizes(self._filesystem, self.folder)
        lost = [chunk["name"] for chunk in chunks if sizes.get(chunk["name"]) != chunk["size"]]
        if lost:
            raise ConfigError(
                f"{counted(len(lost), 'chunk')} of {len(chunks):,} that the workers wrote cannot "
                f"be seen at {self.url} from here, {lost[0]} among them. Nothing was sent. "
                "staging= must be storage that this process and all workers share."
            )
        before = len(self.manifest.chunks)
        self.manifest.chunks.extend(dict(chunk) for chunk in chunks)
        return self.chunks()[before:]

    def hand_over(self, holder: str, seconds: float) -> str:
        """Leave the stage, which is not sealed, to another process of the same push.

        For so many seconds only a process that knows the returned name can reopen it; `holder` says
        in messages who that is.

        Raises:
            ConfigError: That cannot be written.
        """
        with translate_filesystem_errors(
            f"The stage at {self.url} cannot be written", "Nothing was sent.", secrets=self._secrets
        ):
            name = self._lease.hand_over(holder, seconds)
        close_filesystem(self._filesystem)
        return name

    def chunks(self) -> list[StagedChunk]:
        """The chunks, in order."""
        return [
            StagedChunk(
                **chunk, filesystem=self._filesystem, path=join_path(self.folder, chunk["name"])
            )
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
            secrets=self._secrets,
        ):
            self._hold_shared()
            self._write(job=job, warnings=list(warnings), workers=workers, state="creating")

    def record(
        self, state: StageState, job_id: str, jobs: tuple[str, ...], lost_creations: int
    ) -> None:
        """Record the state of the delivery, if this process still has the stage.

        Raises:
            UploadUncertain: Another process has taken over.
            ConfigError: The leases cannot be read, or the manifest cannot be written.
        """
        with translate_filesystem_errors(
            f"The stage at {self.url} cannot be written",
            "Nothing was executed. Make it writable, then resume the push.",
            secrets=self._secrets,
        ):
            self._reconnect()
            if state == "submitting":
                self._lease.check()
                self._mark_receipt(job_id)
            else:
                self._lease.hold()
            self._write(state=state, job_id=job_id, jobs=list(jobs), lost_creations=lost_creations)

    def hold(self) -> None:
        """Check that this process still has the stage, if its lease may have expired.

        Raises:
            UploadUncertain: Another process has taken over.
            ConfigError: The leases cannot be read or written.
        """
        with translate_filesystem_errors(
            f"The lease at {self.url} cannot be renewed",
            "Another process may have taken over the push: resume it when that can be seen.",
            secrets=self._secrets,
        ):
            self._lease.hold()

    def record_object(self, name: str, *, stored: bool | None) -> None:
        """Record that an object is about to be stored (None), and then whether it was.

        Raises:
            UploadUncertain: Another process has taken over.
            ConfigError: The leases cannot be read, or the manifest cannot be written.
        """
        with self._lock, translate_filesystem_errors(
            f"The stage at {self.url} cannot be written",
            "Make it writable, then resume the push.",
            secrets=self._secrets,
        ):  # fmt: skip
            self._reconnect()
            self._lease.check()
            self._mark_receipt("")
            objects = self.manifest.objects
            assert objects is not None  # noqa: S101  # a push of objects
            kind = "stored" if stored else "begun"
            names = [one for one in objects[kind] if one != name]
            self._write(objects={**objects, kind: names if stored is False else [*names, name]})

    def finish(self, state: str, **sent: Any) -> tuple[str, ...]:
        """Record how the push ended in its receipt, if it has one; `close` then removes the stage.

        If the receipt cannot be written, the stage stays, and says the same. If another process has
        taken over, both are left to it.

        Args:
            state: The state of the job, or of stored objects.
            sent: What was sent, as `Receipt` has it.

        Returns:
            Warnings, which are logged.
        """
        if self.receipt is None:
            self.finished = True
            return ()
        try:
            with translate_filesystem_errors(
                f"The receipt of {self.receipt.named} could not be written", secrets=self._secrets
            ):
                self._reconnect()
                self._lease.check()
                receipt = self.receipt.ended(state, **sent)
                write_receipt(self._filesystem, self.folder, receipt)
        except UploadUncertain as error:
            warn("%s", error.message)
            return ()
        except ConfigError as error:
            text = f"{error.message}. The stage at {self.url} stays: push or resume once more."
            warn("%s", text)
            return (text,)
        self.receipt, self.finished = receipt, True
        return ()

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.rstrip("/").rpartition("/")[2]

    @property
    def is_local(self) -> bool:
        """Whether its folder is a path of this machine."""
        return isinstance(self._filesystem, LocalFileSystem)

    @property
    def resumable(self) -> bool:
        """Whether another process could finish the push."""
        return self.manifest.state != "writing" and not self.finished

    def close(self) -> None:
        """Release the stage, and remove it unless it can be resumed. Not in a forked child."""
        if os.getpid() != self._pid:
            return
        if self.resumable:
            self._lease.release()
            close_filesystem(self._filesystem)
            return
        self._lease.stop()
        try:
            self._remove()
        except UploadUncertain:
            pass  # it is another process's now
        except Exception as error:  # it does not change how the push ended
            message = "the stage at %s could not be removed (%s): delete it"
            warn(message, self.url, type(error).__name__)
        finally:
            self._lease.release()
        if self.receipt is None:
            remove_if_empty(self._filesystem, self.folder)
        else:
            remove_if_still_empty(self._filesystem, self.folder)
        close_filesystem(self._filesystem)

    def _remove(self) -> None:
        self._reconnect()
        if self.receipt is not None:
            self._lease.check()  # another process may use the same folder
        remove_staged_files(self._filesystem, self.folder)
        if self.receipt is not None and self.receipt.state == "begun":
            remove_receipt(self._filesystem, self.folder)  # nothing was sent
        remove_locked_folder(self._filesystem, self.folder)

    def _mark_receipt(self, job_id: str) -> None:
        """Record in the receipt that the push may have an effect from now on."""
        old = self.receipt
        if old is not None and (old.state, old.job_id) != ("sending", job_id):
            receipt = old.sending(job_id)
            write_receipt(self._filesystem, self.folder, receipt)
            self.receipt = receipt

    def _hold_shared(self) -> None:
        """Check that another process has not begun the push of the same id anew meanwhile."""
        if self.receipt is not None:
            self._lease.hold()

    def _reconnect(self) -> None:
        """Get a new connection, if there is one: a server ends those that lie idle."""
        old = self._filesystem
        self._filesystem = self._lease.filesystem = filesystem_for_thread(old)
        if self._filesystem is not old:
            close_filesystem(old)

    def _write(self, **changes: Any) -> None:
        """Write a changed manifest; if that fails, the old one stays."""
        manifest = replace(self.manifest, **changes)
        write_manifest(self._filesystem, self.folder, manifest)
        self.manifest = manifest


def _receipt_of(filesystem: Any, folder: str, manifest: Manifest) -> Receipt | None:
    """The receipt of a push with an id.

    Raises:
        ConfigError: It is lost, or cannot be read.
    """
    if manifest.push_id is None:
        return None
    receipt = read_receipt(filesystem, folder)
    if receipt is None and manifest.state != "writing":
        raise lost_receipt(filesystem, folder, manifest.push_id)
    return receipt


def lost_receipt(filesystem: Any, folder: str, push_id: str) -> ConfigError:
    """The error for chunks of a push with an id that are staged without its receipt."""
    return ConfigError(
        f"The receipt of push_id={shown(push_id)} is gone, but its chunks are staged at "
        f"{display_url(filesystem, folder)}: it is not known what became of them. Check the table, "
        "delete that folder, and push again if its rows are missing."
    )


def _is_missing(filesystem: Any, folder: str) -> bool:
    """Whether a folder is known not to exist."""
    with contextlib.suppress(Exception):  # not known: the first error is raised
        filesystem.invalidate_cache()
        return not filesystem.exists(folder)
    return False
