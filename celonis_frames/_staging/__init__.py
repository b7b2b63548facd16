"""Where chunks wait for their upload: a stage that survives a crash, or a temporary spool."""
