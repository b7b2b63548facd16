"""The push: where the data side and the wire side meet."""
