"""The Data Push API: paths, models and look-ups."""
