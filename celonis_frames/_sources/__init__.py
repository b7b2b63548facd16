"""Any kind of frame as a source of Arrow record batches."""
