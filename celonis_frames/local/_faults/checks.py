"""Checks of a fault where it is given: a fault that can never happen is an error."""

from __future__ import annotations

import math
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, get_args

from celonis_frames.exceptions import ConfigError
from celonis_frames.local._faults.schedule import LISTS, Checksums, Fault, How, Kind

MOMENTS: dict[str, tuple[str, ...]] = {
    "drop": ("before", "body", "after", "late"),
    "stall": ("before", "late", "after"),
}
"""When a fault can happen; kinds of fault that are not listed have one moment only."""


SWITCHING_PROTOCOLS = 101
"""The informational status after which a connection is no longer HTTP."""


def check_fault(fault: Fault, calls: Collection[str]) -> None:
    """Check that a fault can happen.

    Raises:
        ConfigError: Its call, kind, moment or status does not exist, or a number is out of range.
    """
    check_call(fault.route, calls)
    _one_of("kind of fault", fault.kind, get_args(Kind))
    _one_of("moment", fault.when, MOMENTS.get(fault.kind, ("before",)))
    _one_of("kind of response", fault.how, get_args(How))
    if fault.kind == "answer" and not (_is_whole(fault.status) and 200 <= fault.status <= 599):
        raise ConfigError(
            f"status={fault.status!r} is no status of a response. Give a number from 200 to 599."
        )
    if fault.kind == "inform" and (
        not (_is_whole(fault.status) and 100 <= fault.status <= 199)
        or fault.status == SWITCHING_PROTOCOLS
    ):
        raise ConfigError(
            f"status={fault.status!r} is no informational status. Give a number from 100 to 199, "
            f"but not {SWITCHING_PROTOCOLS}."
        )
    if fault.kind == "lag":
        _one_of("list", fault.route, tuple(LISTS))
    if fault.times is not None:
        check_count("times", fault.times)
    check_count("skip", fault.skip)
    if fault.at_byte is not None:
        check_count("at_byte", fault.at_byte)
        if fault.when != "body":
            raise ConfigError(f'at_byte={fault.at_byte} needs when="body", not "{fault.when}".')
    check_seconds("seconds", fault.seconds)
    check_seconds("late_seconds", fault.late_seconds)


def check_call(call: Any, calls: Collection[str]) -> None:
    """Check that a call exists."""
    _one_of("call", call, (*sorted(calls), "*"))


def check_checksums(kind: Any) -> None:
    """Check a kind of checksums."""
    _one_of("kind of checksums", kind, get_args(Checksums))


def check_count(name: str, value: Any) -> None:
    """Check a number of calls, jobs or bytes."""
    if not _is_whole(value) or value < 0:
        raise ConfigError(f"{name}={value!r} is no count. Give a whole number from 0.")


def check_seconds(name: str, value: Any) -> None:
    """Check a duration."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or value < 0:
        raise ConfigError(f"{name}={value!r} is no duration. Give seconds from 0.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if isinstance(value, str) and value in known:
        return
    near = get_close_matches(str(value), known, 1)
    did_you_mean = f' Did you mean "{near[0]}"?' if near else ""
    listed = ", ".join(f'"{each}"' for each in known)
    raise ConfigError(f"There is no {name} {value!r}.{did_you_mean} Possible here: {listed}.")
