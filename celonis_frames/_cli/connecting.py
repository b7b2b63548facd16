"""The connection of a command."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celonis_frames import Celonis
from celonis_frames._auth.environment import environment_url
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._profiles.choice import chosen_profile


def opened(arguments: argparse.Namespace) -> Celonis:
    """The connection that the arguments, the environment and the profiles describe.

    For commands that pass `--timeout` on.

    Raises:
        ConfigError: Something is missing or wrong.
    """
    return Celonis.from_env(arguments.profile)


@contextmanager
def connected(arguments: argparse.Namespace) -> Iterator[Celonis]:
    """The same, all of whose calls are bounded by `--timeout`.

    Raises:
        ConfigError: Something is missing or wrong.
        ApiError: The time was up.
    """
    seconds = arguments.timeout
    with opened(arguments) as client:
        if seconds is None:
            yield client
            return
        with CancelToken(deadline=time.monotonic() + seconds) as token:
            client._api = client._api.within(token)  # noqa: SLF001  # there is no public way
            yield client


def has_connection(arguments: argparse.Namespace) -> bool:
    """Whether a connection is described, by the environment or by a profile."""
    return environment_url() is not None or chosen_profile(arguments.profile) is not None
