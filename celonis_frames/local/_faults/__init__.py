"""Faults on demand: latency, dropped connections, error responses, failing jobs."""

from __future__ import annotations
