"""Where finished chunks wait: a stage that survives a crash, or a temporary spool."""

from __future__ import annotations
