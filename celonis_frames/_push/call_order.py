"""Arguments of a call that stand in each other's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celonis_frames._formatting import shown
from celonis_frames.exceptions import ConfigError


def check_order(call: str, pool: Any, table: Any, *, frame: bool = True) -> None:
    """Check that neither the pool nor the table is a frame, or anything but a name.

    Args:
        call: Name of the function.
        pool: What was given as the pool.
        table: What was given as the table.
        frame: Whether the function takes a frame before them.

    Raises:
        ConfigError: One of them is something else; the message says in which order they stand.
    """
    for name, value in (("pool", pool), ("table", table)):
        if value is None or isinstance(value, str | bytes | bool | int | float):
            continue  # a wrong name, of which another check says more
        if name == "pool" and isinstance(getattr(value, "id", None), str):
            raise ConfigError(f"pool is {shown(value)}: give its id or name, a string.")
        order = f"{call}({'frame, ' if frame else ''}pool, table)"
        accessor = f", or df.celonis.{call}(pool, table)" if frame else ""
        raise ConfigError(
            f"{name} is {shown(value)}, but must be a string. The order is {order}{accessor}."
        )


def check_frames(frames: Any, at_once: Any) -> None:
    """Check the frames of `push_many`, and their number at a time.

    Raises:
        ConfigError: They are no mapping with at least one entry; or `at_once` is no number.
    """
    if not isinstance(frames, Mapping) or not frames:
        given = "" if isinstance(frames, Mapping) else f", not {shown(frames)}"
        raise ConfigError(
            "push_many takes a mapping of table names to frames, with at least one entry"
            f"{given}. The order is push_many(frames, pool)."
        )
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise ConfigError(f"at_once={shown(at_once)} must be an integer, 1 or more.")


def check_id(value: Any) -> str:
    """The id of a job.

    Raises:
        ConfigError: It is no string.
    """
    if isinstance(value, str):
        return value
    raise ConfigError(f"id={shown(value)} must be the id of a job, a string.")
