"""Threads and cancellation; imports nothing about frames, HTTP or jobs."""
