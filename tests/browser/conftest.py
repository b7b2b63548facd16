"""Only where Chromium is installed, and what executes notebooks: see README.md."""

from __future__ import annotations

import importlib.util

from chromium import CHROMIUM

collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]
if not all(map(importlib.util.find_spec, ("nbclient", "nbconvert"))):
    collect_ignore_glob.append("test_exported_notebooks.py")
