"""Helpers for Arrow data, without knowledge of Celonis."""

from __future__ import annotations
