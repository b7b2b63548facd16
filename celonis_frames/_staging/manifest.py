"""The manifest of a stage: what another process needs to finish the push."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import join_path, list_names, write_atomically
from celonis_frames._filesystem.filesystems import display_url
from celonis_frames._filesystem.masking import secrets_of
from celonis_frames._version import __version__
from celonis_frames.exceptions import ConfigError, FrameError

MANIFEST = "manifest.json"
FORMAT = 4
"""Version of the manifest, raised by every change; others are rejected."""

_FILE_NAME = re.compile(r"\w[\w.-]*")
"""Names of chunks: a manifest must not lead to files outside its stage."""

CHUNK_FIELDS = ("name", "size", "rows", "deleted", "sha256")
"""What is recorded of each `StagedChunk`."""

StageState = Literal["writing", "creating", "uploading", "submitting"]


@dataclass
class ObjectRecord:
    """What is recorded of objects that are stored for the Data Ingestion API.

    `begun` are the names of those that were begun to be stored, `stored` of the acknowledged ones.
    """

    connection: str  # id of the data connection
    bucket: str
    push_id: str  # begins the name of each object
    repeatable: bool  # whether storing an object twice changes nothing, or is allowed
    consequence: str  # what storing one twice would do, for messages
    begun: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        texts = (self.connection, self.bucket, self.push_id, self.consequence)
        if not all(isinstance(text, str) for text in (*texts, *self.begun, *self.stored)):
            raise ValueError("a name that was never written")
        if not isinstance(self.repeatable, bool) or not _FILE_NAME.fullmatch(self.push_id):
            raise ValueError("fields of objects that were never written")


@dataclass
class Manifest:
    """The content of a manifest; nothing in it is secret.

    Its state is ``writing`` while the frame is read. From then on it is that of the delivery:
    ``creating`` until there is a job, ``uploading``, and ``submitting`` from just before the job is
    submitted. `jobs` were created and are not known to be cancelled; `lost_creations` calls that
    create a job had no response.
    """

    url: str  # base URL of the team
    pool_id: str
    job: dict[str, Any] = field(default_factory=dict)  # its fields by their API names
    workers: int = 1  # parallel uploads
    duplicate_removal_column: str | None = None  # as in the API
    warnings: list[str] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)  # `CHUNK_FIELDS` of each
    state: StageState = "writing"
    job_id: str = ""
    jobs: list[str] = field(default_factory=list)
    lost_creations: int = 0
    begun: float = field(default_factory=time.time)  # s since 1970
    marked: bool = True  # whether jobs are known by the random number in their fields
    objects: dict[str, Any] | None = None  # fields of `ObjectRecord`, of a push without a job
    push_id: str | None = None  # of a push with a receipt
    format: int = FORMAT
    library: str = __version__

    def __post_init__(self) -> None:
        if self.state not in get_args(StageState) or type(self.workers) is not int:
            raise ValueError("a state or number that was never written")
        texts = (self.job_id, *self.jobs, self.push_id or "")
        if self.workers < 1 or not all(isinstance(text, str) for text in texts):
            raise ValueError("a job, id or number that was never written")
        if self.state != "writing" and not isinstance(self.job["targetName"], str):
            raise ValueError("no table")
        if any(chunk.keys() != set(CHUNK_FIELDS) for chunk in self.chunks):
            raise ValueError("fields of a chunk that were never written")
        if self.objects is not None:
            ObjectRecord(**self.objects)
        if not all(_FILE_NAME.fullmatch(chunk["name"]) for chunk in self.chunks):
            raise ValueError("a chunk outside the stage")


def write_manifest(filesystem: Any, folder: str, manifest: Manifest) -> None:
    """Write the manifest, atomically and durably."""
    data = json.dumps(asdict(manifest), indent=1).encode()
    write_atomically(filesystem, join_path(folder, MANIFEST), data, durable=True)


class NoManifest(ConfigError):
    """A stage without a manifest: its push was finished, or was never begun."""


def read_manifest(filesystem: Any, folder: str) -> Manifest:
    """The manifest of a stage.

    Raises:
        NoManifest: There is none.
        FrameError: It is damaged.
        ConfigError: Another version wrote it, or it cannot be read now.
    """
    shown = display_url(filesystem, folder)
    with translate_filesystem_errors(
        f"The manifest of the stage at {shown} cannot be read",
        "The stage stays; resume when it can be read again.",
        secrets=secrets_of(filesystem),
    ):
        try:
            data = bytes(filesystem.cat_file(join_path(folder, MANIFEST)))
        except Exception:
            # What is raised for a missing file, each library decides.
            if MANIFEST in list_names(filesystem, folder):
                raise
            raise NoManifest(
                f"The stage at {shown} has no manifest: either another process has just finished "
                "its push, or its process ended before anything was sent. Check the table's jobs "
                "before you push the frame again."
            ) from None
    try:
        fields = json.loads(data)
        if fields.get("format") != FORMAT:
            raise ConfigError(
                f"The stage at {shown} was written by version {fields.get('library')} of "
                "celonis_frames: resume it with that version."
            )
        return Manifest(**fields)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise FrameError(
            f"The manifest of the stage at {shown} is damaged. Delete the folder and push the "
            "frame again, unless its job was submitted: check the table's jobs first."
        ) from error
