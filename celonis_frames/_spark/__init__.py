"""The data source ``celonis`` of Spark: its options, and the processes that carry out a write."""
