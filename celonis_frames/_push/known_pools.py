"""What a pool is known to read beyond what Celonis is certain to read: a small file of this user.

The file, ``pools.json`` in the user's folder for the state of programs (as `platformdirs` finds
it), is JSON for its owner only::

    {"version": 1,
     "teams": {"https://myteam.eu-1.celonis.cloud": {"POOL-ID": {
         "name": "Purchasing", "date": "2026-11-29", "codecs": {"zstd": true, "gzip": false}}}}}

`celonis-frames doctor --write` writes it. `codecs` has each codec that was tried, and whether the
pool reads it: the job ended in DONE and, where the pool shows numbers of rows, the table then held
the values of the file.
`name` and `date` (of the trial) are for people; `plan`, which looks nothing up, goes by the name
too. What else stands there is ignored. A file that is broken, or has another version, is as good as
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from celonis_frames._filesystem.user_file import UserFile, read_user_file
from celonis_frames._reporting.current import warn


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
        document = read_user_file(path, "teams")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
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
    file = UserFile(file_path(), "teams")
    day = (today or datetime.now(UTC).date()).isoformat()
    with file.changing(on_broken=partial(_log_broken, file.path)) as document:
        teams = {url: pools for url, pools in document["teams"].items() if isinstance(pools, dict)}
        document["teams"] = teams
        pools = teams.setdefault(team_url, {})
        pools[pool_id] = asdict(KnownPool(name, day, dict(codecs)))
    return file.path


def file_path() -> Path:
    """Where the file is, or would be."""
    from platformdirs import user_state_path  # noqa: PLC0415  # slow to import

    return user_state_path("celonis-frames", appauthor=False) / "pools.json"


def _log_broken(path: Path, error: Exception) -> None:
    warn("%s is written anew, since it cannot be read: %s", path, error)


def _known_pool(found: Any) -> KnownPool | None:
    """What one entry says, if it has the right form."""
    if not isinstance(found, dict) or not isinstance(found.get("codecs"), dict):
        return None
    name, day = (str(found.get(key, "")) for key in ("name", "date"))
    return KnownPool(name, day, {str(k): v is True for k, v in found["codecs"].items()})
