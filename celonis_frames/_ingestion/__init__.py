"""The Data Ingestion API: a gateway like S3 that stores objects, which Celonis then loads."""
