"""How URLs and paths are spelled: those of other systems are errors that suggest what is right."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable

import fsspec

from celonis_frames._filesystem.masking import CHAINED, mask_url
from celonis_frames.exceptions import CelonisFramesError

_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def check_spelling(url: str, kind: Callable[[str], CelonisFramesError], option: str = "") -> None:
    """Raise an error of this kind for a URL or path that is spelled as another system spells it.

    `option` goes before the URL in the message, such as ``staging=``. fsspec takes ``s3:/bucket``
    for a folder named ``s3:`` in the working directory.
    """
    if not url.strip():
        raise kind(f"{option}{url!r} is empty: give the path or URL of a file or folder.")
    for part in CHAINED.split(url):
        protocol, mark, _ = part.rpartition("::")[2].partition("://")
        if mark and protocol not in {*fsspec.available_protocols(), *fsspec.registry}:
            near = difflib.get_close_matches(protocol.lower(), fsspec.available_protocols(), n=1)
            hint = f" Did you mean {near[0]}://?" if near else ""
            raise kind(f"{option}{mask_url(url)!r}: fsspec knows no protocol {protocol!r}.{hint}")
    # What is there by this name is meant.
    if "://" not in url and not os.path.exists(url):  # noqa: PTH110  # it never raises
        what = _spelled_elsewhere(url)
        if what is not None:
            raise kind(f"{option}{mask_url(url)!r} is {what}.")


def _spelled_elsewhere(path: str) -> str | None:
    """What a path is on another system, and how to spell it here."""
    scheme, mark, rest = path.partition(":")
    scheme, rest = scheme.lower(), rest.lstrip("/")
    if os.name != "nt" and _WINDOWS_PATH.match(path):
        right = path.replace("\\", "/")
        if mark:
            right = f"/mnt/{scheme}{right[2:]}"
        return f"a Windows path, which this system does not have: write {right!r} if it is there"
    if mark and scheme == "dbfs":
        return f"a path of Spark on Databricks: write '/dbfs/{rest}' for the same file"
    if mark and scheme in fsspec.available_protocols() and scheme not in LOCAL:
        return f"no URL: write {mask_url(f'{scheme}://{rest}')!r}"
    return None


LOCAL = {"data", "file", "local"}
"""Protocols after which fsspec does not ask for two slashes."""
