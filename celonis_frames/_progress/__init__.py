"""What a call reports while it runs: to its progress bar, to `on_event=`, and as spans."""
