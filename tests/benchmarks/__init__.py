"""How fast a push is, measured against what others do and what the machine can do."""
