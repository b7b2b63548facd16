"""The tables, jobs and pools of the local Celonis, in DuckDB."""

from __future__ import annotations
