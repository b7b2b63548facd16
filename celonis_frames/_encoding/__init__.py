"""From record batches to finished chunks."""

from __future__ import annotations
