"""The error that ends a job, and the DuckDB type of each Celonis type."""

from __future__ import annotations

STORED = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
}
"""DuckDB type of each Celonis column type."""


class JobError(Exception):
    """Ends a job in ERROR; its message goes into the job's log."""
