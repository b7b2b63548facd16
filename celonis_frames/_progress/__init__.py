"""What a call reports while it runs."""
