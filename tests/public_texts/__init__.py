"""All texts that a user of the package may read, as they were recorded."""
