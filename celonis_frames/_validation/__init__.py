"""Checks of the values before a job is executed."""
