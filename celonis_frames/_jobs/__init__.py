"""One data push job, from its creation to its end."""
