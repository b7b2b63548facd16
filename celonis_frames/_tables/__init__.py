"""The table that is there: its columns are read, compared with a frame's, and followed."""
