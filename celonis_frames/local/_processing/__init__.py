"""What follows a push: data models and their loads, and data jobs."""

from __future__ import annotations
