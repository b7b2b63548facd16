"""Helpers for Arrow data, without knowledge of Celonis."""
