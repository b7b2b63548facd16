"""What ends a job in ERROR, and what its log says of stored types."""

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
    """What the job's log says before it ends in ERROR."""
