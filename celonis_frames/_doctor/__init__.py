"""The doctor: what is right and wrong with a connection, and what a pool really accepts."""
