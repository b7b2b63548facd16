"""The Data Ingestion API: a gateway like S3 that stores objects, and the worker that loads them."""

from __future__ import annotations
