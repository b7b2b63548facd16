"""Faults on demand: delays, dropped connections, error responses, failing jobs."""

from __future__ import annotations
