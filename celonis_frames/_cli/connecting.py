"""The connection of a command."""

from __future__ import annotations

import argparse

from celonis_frames import Celonis


def connected(arguments: argparse.Namespace) -> Celonis:
    """The connection that the arguments and the environment describe.

    Raises:
        ConfigError: Something is missing or wrong.
    """
    del arguments
    return Celonis.from_env()
