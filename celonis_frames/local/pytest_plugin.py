"""The pytest fixture `local_celonis`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from celonis_frames.local import LocalCelonis


@pytest.fixture
def local_celonis() -> Iterator[LocalCelonis]:
    """A new local Celonis in memory, without the limits on submissions, as the default connection.

    While the test runs, the environment leads to it too. Afterwards the default connection and the
    environment are what they were.
    """
    # Slow to import, so only if a test needs it.
    from celonis_frames import local  # noqa: PLC0415
    from celonis_frames._auth import environment  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch, local.start(limits=False) as celonis:
        for name in environment.NAMES:
            patch.delenv(name, raising=False)
        patch.setenv(environment.URL, celonis.url)
        patch.setenv(environment.TOKEN, celonis.token)
        patch.setenv(environment.KEY_TYPE, "BEARER")
        with celonis._as_default():  # noqa: SLF001  # of this package
            yield celonis
