"""Real event logs, which are no part of the project, and the figures of their reports."""
