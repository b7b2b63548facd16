"""One data push job, from its creation to its end."""

from __future__ import annotations
