"""Data models and data jobs: they are begun, and followed to their end."""
