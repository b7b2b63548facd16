"""Any kind of frame as a source of Arrow record batches."""

from __future__ import annotations
