"""Tests of an engine run where it is installed; elsewhere pytest passes them over."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest

HAS_DASK = all(map(importlib.util.find_spec, ("dask", "distributed")))
collect_ignore_glob = [] if HAS_DASK else ["test_dask*.py"]
if importlib.util.find_spec("ray") is None:
    collect_ignore_glob.append("test_ray.py")
if "CELONIS_FRAMES_ENGINE" not in os.environ:
    collect_ignore_glob.append("test_recipes.py")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of two worker processes, for tests that leave it as it is."""
    from clusters import two_workers  # noqa: PLC0415  # Dask may not be installed

    with two_workers() as client:
        yield client
