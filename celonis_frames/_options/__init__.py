"""The options of a push, parsed to their final types before anything else happens."""
