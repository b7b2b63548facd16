"""Delivery: chunks that arrive once, whatever stops the push."""
