"""One request to one host; the only package that imports the HTTP library."""
