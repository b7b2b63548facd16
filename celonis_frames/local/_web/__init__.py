"""HTTP: the endpoints, the page and the OpenAPI description."""

from __future__ import annotations
