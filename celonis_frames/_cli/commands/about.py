"""`whoami` and `show-versions`: which connection is used, and by what."""

from __future__ import annotations

import argparse

from celonis_frames._auth.environment import URL
from celonis_frames._cli.connecting import connected
from celonis_frames._cli.output import Output
from celonis_frames._cli.registry import Commands
from celonis_frames._formatting import counted
from celonis_frames._profiles.choice import chosen_profile
from celonis_frames._version import versions
from celonis_frames.exceptions import PermissionDenied


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    commands.add(
        "whoami", _whoami, "show the connection that is used, and check its key",
        example="celonis-frames whoami --profile prod",
    )  # fmt: skip
    commands.add(
        "show-versions", _show_versions, "show the versions of all libraries, for bug reports",
        example="celonis-frames show-versions", connects=False,
    )  # fmt: skip


def _whoami(arguments: argparse.Namespace, output: Output) -> int:
    profile = chosen_profile(arguments.profile)
    source = f"profile {profile}" if profile else f"the environment ({URL})"
    with connected(arguments) as celonis:
        url, auth = celonis.url, celonis._given()[0]  # noqa: SLF001  # there is no public way
        kind = "ingestion keys" if auth is None else auth.kind
        if celonis.local is not None:
            kind = "the local Celonis's own"
        try:
            pools = None if auth is None else len(celonis.pools())
        except PermissionDenied:
            pools = None
    fields = {"url": url, "key": kind, "profile": profile or None, "pools": pools}
    seen = "it may not list Data Pools" if pools is None else f"sees {counted(pools, 'Data Pool')}"
    lines = [f"team     {url}", f"key      {kind}: {seen}", f"from     {source}"]
    return output.show(fields, *lines)


def _show_versions(arguments: argparse.Namespace, output: Output) -> int:
    del arguments
    found = versions()
    return output.show(found, *(f"{name:<16}  {version}" for name, version in found.items()))
