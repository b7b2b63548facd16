"""The HTTP side of the local Celonis."""

from __future__ import annotations
