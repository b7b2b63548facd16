"""What a staged push is about: the file that lets another process finish it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from celonis_frames._filesystem import address, translated, write_whole
from celonis_frames._version import __version__
from celonis_frames.exceptions import ConfigError, FrameError

MANIFEST = "manifest.json"
FORMAT = 1
"""Version of the manifest; another one is refused."""

StageState = Literal["writing", "ready", "created", "submitting"]


@dataclass
class Manifest:
    """What a stage is about; nothing secret.

    Attributes:
        url: Base address of the team.
        pool_id: The pool.
        job: The job's fields by their API names.
        workers: Uploads at a time.
        duplicate_removal_column: As the API names it.
        warnings: What the user was told about the frame.
        chunks: Name, size, rows, what they are for, and digest of each chunk, in order.
        state: ``writing`` while the frame is read, ``ready`` when all chunks are there,
            ``created`` when there is a job, ``submitting`` from just before its submission.
        job_id: The job, once there is one.
    """

    url: str
    pool_id: str
    job: dict[str, Any] = field(default_factory=dict)
    workers: int = 1
    duplicate_removal_column: str | None = None
    warnings: list[str] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    state: StageState = "writing"
    job_id: str | None = None
    format: int = FORMAT
    library: str = __version__


def write_manifest(filesystem: Any, folder: str, manifest: Manifest) -> None:
    """Write the manifest, whole and for good."""
    data = json.dumps(asdict(manifest), indent=1).encode()
    write_whole(filesystem, f"{folder}/{MANIFEST}", data, durable=True)


def read_manifest(filesystem: Any, folder: str) -> Manifest:
    """The manifest of a stage.

    Raises:
        FrameError: There is none, or it is no manifest.
        ConfigError: It is of another version, or cannot be read now.
    """
    shown = address(filesystem, folder)
    try:
        with translated(
            f"The manifest of the stage at {shown} cannot be read",
            "The stage stays; resume when it can be read again.",
        ):
            data = _content(filesystem, f"{folder}/{MANIFEST}")
        if data is None:
            raise FrameError(
                f"The stage at {shown} has no manifest: the process ended before it wrote one, and "
                "nothing was sent. Delete the folder and push the frame again."
            )
        said = json.loads(data)
        if said.get("format") != FORMAT:
            raise ConfigError(
                f"The stage at {shown} was written by version {said.get('library')} of "
                "celonis_frames: resume it with that version."
            )
        return Manifest(**said)
    except (ValueError, TypeError, AttributeError) as error:
        raise FrameError(
            f"The manifest of the stage at {shown} is damaged. Delete the folder and push the "
            "frame again, unless its job was submitted: look at the table's jobs first."
        ) from error


def _content(filesystem: Any, path: str) -> bytes | None:
    try:
        return bytes(filesystem.cat_file(path))
    except FileNotFoundError:
        return None
