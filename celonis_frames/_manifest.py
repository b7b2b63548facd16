"""What a staged push is about: the file that lets another process finish it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fsspec.implementations.local import LocalFileSystem

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
    """Write the manifest so that a reader sees the old or the new one, never half of it."""
    data = json.dumps(asdict(manifest), indent=1).encode()
    path = f"{folder}/{MANIFEST}"
    if isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(f"{path}.new", data)
        Path(f"{path}.new").replace(path)
    else:  # an object appears whole
        filesystem.pipe_file(path, data)


def read_manifest(filesystem: Any, folder: str) -> Manifest:
    """The manifest of a stage.

    Raises:
        FrameError: There is none that can be read.
        ConfigError: It is of another version.
    """
    try:
        said = json.loads(filesystem.cat_file(f"{folder}/{MANIFEST}"))
        if said.get("format") != FORMAT:
            raise ConfigError(
                f"The stage at {folder} was written by version {said.get('library')} of "
                "celonis_frames: resume it with that version."
            )
        return Manifest(**said)
    except FileNotFoundError as error:
        raise FrameError(
            f"The stage at {folder} has no manifest: the process ended before it wrote one, and "
            "nothing was sent. Delete the folder and push the frame again."
        ) from error
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise FrameError(f"The manifest of the stage at {folder} cannot be read.") from error
