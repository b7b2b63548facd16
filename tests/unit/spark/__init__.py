"""Tests of the package `celonis_frames._options`."""
