"""Threads and cancellation; knows nothing of frames, HTTP or jobs."""

from __future__ import annotations
