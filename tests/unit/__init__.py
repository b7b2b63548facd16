"""Tests of one package each; the wire against a server that answers whatever a test wants."""
