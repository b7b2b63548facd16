"""Tests of the package `celonis_frames._event_log`."""
