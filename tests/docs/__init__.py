"""The documentation, as it is checked."""
