"""Files as frames, for `push`, `plan` and `delete`: which ones, in which format and types."""
