"""Only where Chromium is installed: see README.md."""

from __future__ import annotations

from chromium import CHROMIUM

collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]
