"""Finds the stages at a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import join_path, list_names
from celonis_frames._filesystem.filesystems import (
    close_filesystem,
    has_buckets,
    open_filesystem,
)
from celonis_frames._filesystem.masking import mask_url, secrets_of
from celonis_frames.exceptions import ConfigError

_STAGE = re.compile(r"push-[0-9a-f]{32}")


class NothingStaged(ConfigError):
    """There is nothing to finish in a folder."""


def find_stages(url: str, options: Mapping[str, Any] | None = None) -> tuple[Any, list[str]]:
    """The filesystem and the folders of the stages at a URL: one of them, or the folder of several.

    Raises:
        ConfigError: There is no such filesystem, it cannot be read, or nothing is staged there.
    """
    filesystem, root = open_filesystem(url, options)
    try:
        with translate_filesystem_errors(
            f"staging={mask_url(url)!r} cannot be read", secrets=secrets_of(filesystem, url)
        ):
            folders = _find_folders(filesystem, root, url)
        if not folders:
            raise nothing_staged(url)
    except BaseException:
        close_filesystem(filesystem)
        raise
    return filesystem, folders


def nothing_staged(url: str) -> NothingStaged:
    """The error for a URL at which there is nothing to finish."""
    return NothingStaged(
        f"Nothing is staged at {mask_url(url)!r}: the push there was finished and cleaned up, or "
        "went to another staging=."
    )


def _find_folders(filesystem: Any, root: str, url: str) -> list[str]:
    """The folder itself if it is a stage, else the stages in it."""
    filesystem.invalidate_cache()
    if _is_stage(root) and filesystem.isdir(root):
        return [root.rstrip("/")]
    try:
        names = list_names(filesystem, root)
    except FileNotFoundError:
        if has_buckets(filesystem):
            if not filesystem.exists(root.partition("/")[0]):
                raise
        elif not _is_stage(root):
            raise ConfigError(
                f"Nothing is staged at {mask_url(url)!r}: there is no such folder. Check the path."
            ) from None
        return []
    return [join_path(root, name) for name in names if _is_stage(name)]


def _is_stage(path: str) -> bool:
    return _STAGE.fullmatch(path.rstrip("/").rpartition("/")[2]) is not None
