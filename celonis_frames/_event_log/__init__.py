"""Event logs: whether a frame is one, streamed, and what to do if it is not."""
