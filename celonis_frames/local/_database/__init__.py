"""Pools, tables and jobs of the local Celonis, in DuckDB."""

from __future__ import annotations
