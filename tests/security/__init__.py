"""What must hold against carelessness and malice."""
