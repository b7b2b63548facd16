"""The push: where the data side and the wire side meet."""

from __future__ import annotations
