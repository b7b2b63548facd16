"""What a call reports while it runs: to `on_event=`, as spans of OpenTelemetry, to the log."""
