"""API keys, application keys, OAuth 2.0, token files, and their environment variables."""
