"""fsspec, at one border: its errors, its names, its threads, and what its URLs show."""
