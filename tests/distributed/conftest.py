"""Tests of an engine run where it is installed; elsewhere pytest passes them over."""

from __future__ import annotations

import importlib.util

ENGINES = {"dask": ("dask", "distributed")}
collect_ignore_glob = [
    f"test_{name}*.py"
    for name, libraries in ENGINES.items()
    if not all(map(importlib.util.find_spec, libraries))
]
