"""From an Arrow schema to the schema of a Celonis table."""
