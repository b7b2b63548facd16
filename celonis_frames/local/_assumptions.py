"""What the local Celonis assumes about the API where its behaviour is not documented.

docs/local.md shows this list; a test compares them.
"""

from __future__ import annotations

ASSUMPTIONS: tuple[tuple[str, str], ...] = (
    ("Pools", "A pool is created by its first job, unless strict_pools=True; no other call creates one."),
    ("Data connections", "A job for an unknown data connection is rejected with 400; add_connection adds one."),
    ("1 GB", "The largest chunk has 1,000,000,000 bytes; a larger one is rejected with 413."),
    ("Checksum", "The checksum of a chunk is the SHA-1 of the file, in hex."),
    ("Cancel", "POST or GET; the response is the job, or 400 if the job has ended."),
    ("Deleting jobs", "Deleting a job returns 204, or 400 if it is queued or running; the table stays."),
    ("Late chunks", "Uploads to a submitted job, and a second submission of it, are rejected with 400."),
    ("No chunks", "A job without chunks ends in ERROR."),
    ("Failing jobs", "A job is one transaction: if it fails or is cancelled, the table is unchanged."),
    ("Order", "Jobs run one after the other in the order of submission; the upserts and deletes of a job apply in upload order."),
    ("Duplicate keys in one job", "The last row in upload order is kept or, with duplicateRemovalColumn, the row with the highest value there; nulls are lowest."),
    ("Null keys", "Rows with a null in a key are appended; they never equal another row."),
    ("Missing columns", "In the rows that a DELTA writes, a column that it lacks is NULL; under UPSERT_WITH_UNCHANGED_METADATA the job ends in ERROR."),
    ("New columns", "A DELTA with a new column adds it at the end; under UPSERT_WITH_UNCHANGED_METADATA the job ends in ERROR."),
    ("Changed types", "If the type of a column differs from the type in the table, the job ends in ERROR."),
    ("Lengths in DELTA", "A column keeps the length with which the table was created; longer strings are truncated silently."),
    ("Declared types", "A type in tableSchema may differ from the type in the file only from INTEGER to FLOAT, and between DATE and DATETIME at midnight."),
    ("Column types", "The columns call returns DATETIME as DATE, BOOLEAN as INTEGER and TIME as STRING."),
    ("Row counts", "The tables call also returns the number of rows of each table, as rowCount."),
    ("Parquet", "Only what Celonis most likely accepts is accepted: SNAPPY or no compression, data page v1, booleans, signed integers, floats, strings, INT96 and TIMESTAMP_MILLIS; lenient=True accepts what DuckDB reads."),
    ("Nanoseconds", "INT96 values have nanoseconds; they are cut to the microseconds of a DuckDB TIMESTAMP, downwards with DuckDB 2 and towards 1970 with DuckDB 1."),
    ("No rows", "A chunk without rows is accepted: REPLACE creates an empty table with its columns."),
    ("DECIMAL", "With lenient=True a decimal is stored as FLOAT."),
    ("CSV nulls", "An empty field is NULL, a quoted empty field is an empty string."),
    ("CSV types", "A column that is not in tableSchema is STRING."),
    ("Change date", "_CELONIS_CHANGE_DATE is the UTC time at which the job ran, the same for all its rows."),
    ("Restart", "After a restart a job that was RUNNING is in ERROR, a QUEUED one runs, and a NEW one still has its chunks."),
    ("429", "The response to too many submissions has Retry-After in seconds and no body."),
    ("Access tokens", "/oauth2/token accepts client credentials in the Authorization header or as form fields; a token is valid for 900 seconds, unless token_seconds is given, and is checked before the body of a request is read."),
    ("Scopes", "Calls on jobs need integration.data-pools:data_push; look-ups of pools, data connections, tables and columns need integration.data-pools:read; integration.data-pools includes both. Other tokens get 403. A token requested without a scope has all scopes."),
    ("JSON", "A body with more than 50 levels of nesting, NaN or a lone surrogate is rejected with 400, one of more than 10,000,000 bytes with 413."),
    ("The page", "The page at / needs no key from a loopback address with a loopback host name; all other callers need a key, which a browser sends as a password."),
    ("Slashes", "Several slashes in a row in a path are one, and a slash at its end is ignored."),
)  # fmt: skip
