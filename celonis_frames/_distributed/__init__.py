"""Pushes whose rows lie with the workers of an engine: they check and encode, one process sends."""
