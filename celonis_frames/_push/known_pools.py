"""What a pool is known to read beyond what Celonis is certain to read: a small file of this user.

The file, ``pools.json`` in the user's folder for the state of programs (as `platformdirs` finds
it), is JSON for its owner only::

    {"version": 1,
     "teams": {"https://myteam.eu-1.celonis.cloud": {"POOL-ID": {
         "name": "Purchasing", "date": "2026-11-29", "codecs": {"zstd": true, "gzip": false}}}}}

`codecs` has each codec that was tried, and whether the table then held the values of the file.
`name` and `date` (of the trial) are for people; `plan`, which looks nothing up, goes by the name
too. What else stands there is ignored. A file that is broken, or has another version, is as good as
none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from celonis_frames._filesystem.files import write_atomically
from celonis_frames._progress.current import warn
from celonis_frames.exceptions import ConfigError

VERSION = 1

MAX_FILE_BYTES = 1_000_000
"""Largest file that is read: a pool takes some hundred bytes."""

_LOCK_SECONDS = 10.0
"""How long a writer waits for another one, which needs milliseconds."""


@dataclass(frozen=True)
class KnownPool:
    """What was seen of a pool.

    Attributes:
        name: Its name then.
        date: The day, as ``YYYY-MM-DD``.
        codecs: Each codec that was tried, and whether the pool reads it.
    """

    name: str
    date: str
    codecs: Mapping[str, bool]


def known_pools(team_url: str) -> dict[str, KnownPool]:
    """The pools of a team of which something is known, by id. Empty if the file cannot be read."""
    path = file_path()
    try:
        document = _read(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        warn("what pools are known to read is not used: %s: %s", path, error)
        return {}
    pools = document["teams"].get(team_url)
    items = pools.items() if isinstance(pools, dict) else ()
    return {pool_id: found for pool_id, one in items if (found := _known_pool(one)) is not None}


def remember_pool(
    team_url: str,
    pool_id: str,
    codecs: Mapping[str, bool],
    *,
    name: str = "",
    today: date | None = None,
) -> Path:
    """Store what was seen of a pool, instead of what was stored of it before; returns the file.

    Args:
        team_url: The base URL of the team.
        pool_id: The pool's id.
        codecs: Each codec that was tried, and whether the pool reads it.
        name: The pool's name.
        today: The day of the trial; None is today, in UTC.

    Raises:
        ConfigError: The file cannot be written, or a newer version of this library wrote it.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  # slow to import
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

    path = file_path()
    day = (today or datetime.now(UTC).date()).isoformat()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_LOCK_SECONDS, mode=0o600):
            document = _read_to_change(path)
            pools = document["teams"].setdefault(team_url, {})
            pools[pool_id] = asdict(KnownPool(name, day, dict(codecs)))
            content = json.dumps(document, indent=1, sort_keys=True).encode()
            write_atomically(LocalFileSystem(), str(path), content, durable=True)
    except (OSError, Timeout) as error:
        raise ConfigError(f"{path} cannot be written: {error}.") from error
    return path


def file_path() -> Path:
    """Where the file is, or would be."""
    from platformdirs import user_state_path  # noqa: PLC0415  # slow to import

    return user_state_path("celonis-frames", appauthor=False) / "pools.json"


class _OtherVersionError(ValueError):
    """A file that another version of this library wrote."""


def _read(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        OSError: It cannot be read.
        ValueError, RecursionError: It is no such file.
    """
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it has more than {MAX_FILE_BYTES:,} bytes")
    document = json.loads(content)
    if not isinstance(document, dict) or not isinstance(document.get("teams"), dict):
        raise ValueError("it is not a file of celonis_frames")  # noqa: TRY004  # as for broken JSON
    if document.get("version") != VERSION:
        raise _OtherVersionError("another version of celonis_frames wrote it")
    return document


def _read_to_change(path: Path) -> dict[str, Any]:
    try:
        document = _read(path)
    except _OtherVersionError as error:
        raise ConfigError(
            f"{path} cannot be changed: {error}. Upgrade celonis_frames, or delete the file."
        ) from error
    except FileNotFoundError:
        pass
    except (ValueError, RecursionError) as error:
        warn("%s is written anew, since it cannot be read: %s", path, error)
    else:
        teams = {url: pools for url, pools in document["teams"].items() if isinstance(pools, dict)}
        return {**document, "teams": teams}
    return {"version": VERSION, "teams": {}}


def _known_pool(found: Any) -> KnownPool | None:
    """What one entry says, if it has the right form."""
    if not isinstance(found, dict) or not isinstance(found.get("codecs"), dict):
        return None
    name, day = (str(found.get(key, "")) for key in ("name", "date"))
    return KnownPool(name, day, {str(k): v is True for k, v in found["codecs"].items()})
