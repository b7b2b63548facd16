"""A frame with its table layout: read, checked and encoded to chunks, while they are sent."""
