"""API keys, application keys, OAuth 2.0, token files, and the environment variables for them."""

from __future__ import annotations
