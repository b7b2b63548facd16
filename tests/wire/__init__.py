"""The wire, against a server that answers whatever a test wants."""
