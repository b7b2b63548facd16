"""How the files and the folder of a stage are removed."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Collection
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._filesystem.files import join_path, list_names, remove_files
from celonis_frames._filesystem.filesystems import has_buckets
from celonis_frames._staging.lease import LOCK, is_lease
from celonis_frames._staging.manifest import MANIFEST

_PAUSES = (0.05, 0.2, 0.5, 1.0, None)
"""Seconds between the attempts to remove a folder that is not empty yet."""


def remove_staged_files(filesystem: Any, folder: str, keep: Collection[str] = ()) -> None:
    """Remove the files, the manifest last: until then it says how the push stands.

    Files of the names to `keep` stay. The lease, which stays, keeps other processes away meanwhile.
    """
    names = list_names(filesystem, folder)
    kept = {MANIFEST, LOCK, *keep}
    others = [name for name in names if name not in kept and not is_lease(name)]
    remove_files(filesystem, [join_path(folder, name) for name in others])
    if MANIFEST in names:
        filesystem.rm_file(join_path(folder, MANIFEST))


def remove_locked_folder(filesystem: Any, folder: str) -> None:
    """Remove a folder with its lease while it is locked, where that is possible.

    A worker that nobody waits for may be writing there, until it sees that the manifest is gone.
    """
    if isinstance(filesystem, LocalFileSystem) and os.name != "nt":
        for pause in _PAUSES:
            try:
                filesystem.rm(folder, recursive=True)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or pause is None:
                    raise
                time.sleep(pause)
            else:
                return


def remove_if_empty(filesystem: Any, folder: str) -> None:
    """Remove a folder that holds no more than a lock, if folders exist without files."""
    with contextlib.suppress(Exception):  # it does not change how the push ended
        if has_buckets(filesystem):
            return
        names = list_names(filesystem, folder)
        if names in ([], [LOCK]):
            remove_files(filesystem, [join_path(folder, name) for name in names])
            filesystem.rm(folder, recursive=True)  # not every library has rmdir


def remove_if_still_empty(filesystem: Any, folder: str) -> None:
    """Remove a folder that another process may take at any time: only if nothing is in it.

    Where the filesystem's library cannot do that, it stays.
    """
    with contextlib.suppress(Exception):  # it does not change how the push ended
        if not has_buckets(filesystem) and not isinstance(filesystem, LocalFileSystem):
            filesystem.rmdir(folder)
