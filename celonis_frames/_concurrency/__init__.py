"""Threads and cancellation; imports nothing about frames, HTTP or jobs."""

from __future__ import annotations
