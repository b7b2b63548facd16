"""The pytest fixture `local_celonis`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from celonis_frames.local import LocalCelonis


@pytest.fixture
def local_celonis() -> Iterator[LocalCelonis]:
    """A new local Celonis in memory, without the limits on submissions."""
    from celonis_frames import local  # noqa: PLC0415  # slow to import

    with local.start(limits=False) as celonis:
        yield celonis
