"""Checks of the values before a job is executed."""

from __future__ import annotations
