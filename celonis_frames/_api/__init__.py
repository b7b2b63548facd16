"""The Data Push API: paths, models and look-ups."""

from __future__ import annotations
