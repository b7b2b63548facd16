"""The stage of a push with an id: one process at a time has the claim to it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any, Self

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import join_path, make_shared_folder, sync_parents
from celonis_frames._filesystem.filesystems import (
    close_filesystem,
    display_url,
    filesystem_for_thread,
    has_buckets,
    open_filesystem,
)
from celonis_frames._filesystem.masking import secrets_of
from celonis_frames._reporting.current import warn
from celonis_frames._staging.earlier_push import Found
from celonis_frames._staging.lease import StageInUse, StageLease
from celonis_frames._staging.manifest import Manifest, NoManifest, read_manifest, write_manifest
from celonis_frames._staging.receipt import (
    Receipt,
    read_receipt,
    receipt_path,
    remove_receipt,
    stage_name,
    write_receipt,
)
from celonis_frames._staging.removal import (
    remove_if_still_empty,
    remove_locked_folder,
    remove_staged_files,
)
from celonis_frames._staging.stage import Stage
from celonis_frames.exceptions import FrameError, UploadUncertain


class StagePlace:
    """Where the pushes of one id are staged, and their receipt; `close` it.

    Raises:
        ConfigError: There is no such filesystem.
    """

    def __init__(self, filesystem: Any, folder: str) -> None:
        self.filesystem, self.folder = filesystem, folder

    @classmethod
    def of(cls, url: str, push_id: str, options: Mapping[str, Any] | None) -> Self:
        """The place below a staging URL, with fsspec's options for it.

        Raises:
            ConfigError: There is no such filesystem.
        """
        filesystem, root = open_filesystem(url, options)
        return cls(filesystem, join_path(root, stage_name(push_id)))

    @property
    def receipt_url(self) -> str:
        """The URL of the receipt, without secrets."""
        return display_url(self.filesystem, receipt_path(self.folder))

    def receipt(self) -> Receipt | None:
        """The receipt as it is now.

        Raises:
            ConfigError: It cannot be read.
        """
        return read_receipt(self.filesystem, self.folder)

    def is_staged(self) -> bool:
        """Whether there is anything in the folder."""
        with contextlib.suppress(Exception):  # then it cannot be removed either
            self.filesystem.invalidate_cache()
            return bool(self.filesystem.exists(self.folder))
        return False

    def claim(self) -> Claim:
        """Take the claim.

        Raises:
            StageInUse: Another process has it.
            ConfigError: The folder cannot be written or read.
        """
        filesystem, folder = self.filesystem, self.folder
        with translate_filesystem_errors(
            f"The stage at {display_url(filesystem, folder)} cannot be written",
            "Nothing was sent.",
            secrets=secrets_of(filesystem),
        ):
            own = filesystem_for_thread(filesystem)  # it is closed with the claim
            try:
                if not has_buckets(own):
                    make_shared_folder(own, folder)
                try:
                    return Claim.take(own, folder)
                except FileNotFoundError as error:
                    # Another process has removed it since it was made here.
                    raise StageInUse(
                        f"{display_url(filesystem, folder)} was just removed by another process."
                    ) from error
            except BaseException:
                if own is not filesystem:
                    close_filesystem(own)
                raise

    def close(self) -> None:
        """Close the filesystem."""
        close_filesystem(self.filesystem)


class Claim:
    """The right to the stage of an id, and what is there, until one of its methods gives it away.

    Attributes:
        receipt: The receipt; None if there is none.
        found: What is in the folder.
    """

    def __init__(
        self,
        filesystem: Any,
        folder: str,
        lease: StageLease,
        receipt: Receipt | None,
        manifest: Manifest | None,
    ) -> None:
        self._filesystem, self._folder, self._lease = filesystem, folder, lease
        self.receipt, self._manifest = receipt, manifest
        self.found: Found = "none"
        if manifest is not None:
            self.found = "writing" if manifest.state == "writing" else "sealed"

    @classmethod
    def take(cls, filesystem: Any, folder: str) -> Self:
        """Take it. Errors as `StagePlace.claim`, but for those of the filesystem."""
        lease = StageLease(filesystem, folder)
        try:
            receipt = read_receipt(filesystem, folder)
            try:
                manifest = read_manifest(filesystem, folder)
            except NoManifest:
                manifest = None
        except BaseException:
            lease.release()
            raise
        return cls(filesystem, folder, lease, receipt, manifest)

    def begin(self, receipt: Receipt, manifest: Manifest, keep: Collection[str] = ()) -> Stage:
        """A new stage in the place of what was there; the receipt is written first.

        The files named in `keep` stay: workers have written them for this push.

        Raises:
            ConfigError: They cannot be written.
        """
        filesystem, folder = self._filesystem, self._folder
        with translate_filesystem_errors(
            f"The stage at {display_url(filesystem, folder)} cannot be written",
            "Nothing was sent.",
            secrets=secrets_of(filesystem),
        ):
            try:
                # In this order: chunks that are complete must not be found with a new receipt.
                remove_staged_files(filesystem, folder, keep)
                self.found = "none"
                write_receipt(filesystem, folder, receipt)
                self.receipt = receipt
                write_manifest(filesystem, folder, manifest)
            except BaseException:
                self.release()
                raise
        sync_parents(filesystem, folder)
        return Stage(filesystem, folder, self._lease, manifest, receipt)

    def stage(self) -> Stage:
        """The stage that is there, with its receipt."""
        assert self._manifest is not None  # noqa: S101  # it was found
        return Stage(self._filesystem, self._folder, self._lease, self._manifest, self.receipt)

    def record(self, receipt: Receipt) -> None:
        """Replace the receipt, if this process still has the claim.

        Raises:
            ConfigError: It cannot be written.
            UploadUncertain: Another process has taken over.
        """
        with translate_filesystem_errors(
            f"The receipt of {receipt.named} cannot be written",
            secrets=secrets_of(self._filesystem),
        ):
            self._lease.check()
            write_receipt(self._filesystem, self._folder, receipt)
        self.receipt = receipt

    @property
    def is_over(self) -> bool:
        """Whether nothing that is staged is needed any more."""
        ended = self.receipt is not None and not self.receipt.is_open
        return ended or self.found != "sealed"

    def release(self, *, forget: bool = False) -> bool:
        """Let other processes have it; remove what is staged if that is over.

        The receipt goes too if nothing was sent, or to `forget` it. Returns whether it is gone.
        """
        gone = False
        self._lease.stop()
        try:
            if self.is_over:
                self._lease.check()
                remove_staged_files(self._filesystem, self._folder)
                if self.receipt is not None and (forget or self.receipt.state == "begun"):
                    remove_receipt(self._filesystem, self._folder)
                    gone = True
                remove_locked_folder(self._filesystem, self._folder)
        except UploadUncertain:
            pass  # it is another process's now
        except Exception as error:  # it does not change what is known
            message = "the stage at %s could not be removed (%s)"
            warn(message, display_url(self._filesystem, self._folder), type(error).__name__)
        finally:
            self._lease.release()
        if self.is_over:
            remove_if_still_empty(self._filesystem, self._folder)
        close_filesystem(self._filesystem)
        return gone


def is_over(filesystem: Any, folder: str) -> bool:
    """Whether a receipt says that the push of this stage has ended; then the stage is removed.

    So it is if its process ended before it had removed the stage.

    Raises:
        ConfigError: The receipt cannot be read, or another process works on the push.
    """
    receipt = read_receipt(filesystem, folder)
    if receipt is None or receipt.is_open:
        return False
    place = StagePlace(filesystem, folder)
    if place.is_staged():
        claim = place.claim()
        receipt = claim.receipt
        claim.release()
    return receipt is not None and not receipt.is_open


def begun_only(filesystem: Any, folder: str) -> FrameError | None:
    """The error for a push that has no more than a receipt, which is removed.

    Raises:
        ConfigError: The receipt cannot be read, or another process works on the push.
    """
    receipt = read_receipt(filesystem, folder)
    if receipt is None or receipt.state != "begun":
        return None
    claim = StagePlace(filesystem, folder).claim()
    claim.release()
    return FrameError(
        f"The push of {receipt.named} was begun, and its process ended before it had read the "
        "frame. Nothing was sent. Push the frame again."
    )
