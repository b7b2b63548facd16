"""From record batches to finished chunks."""
