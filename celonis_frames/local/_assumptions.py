"""Every choice of the local Celonis where the API's behaviour is not documented.

docs/local.md shows this list; a test compares them.
"""

from __future__ import annotations

ASSUMPTIONS: tuple[tuple[str, str], ...] = (
    ("Pools", "A pool is made when it is first asked for by id or name, or first pushed to, unless strict_pools=True."),
    ("Data connections", "A job for an unknown data connection is refused with 400; add_connection makes one."),
    ("1 GB", "A chunk may have 1,000,000,000 bytes; a larger one is answered 413."),
    ("Checksum", "A chunk's checksum is the SHA-1 of the file, in hex."),
    ("Cancel", "POST, and GET as well; the answer is the job; 400 when the job has ended."),
    ("Deleting jobs", "A deleted job answers 204; a queued or running one 400; the table stays."),
    ("Late chunks", "A chunk for a job that was submitted, and a second submission, are answered 400."),
    ("No chunks", "A job without chunks ends in ERROR."),
    ("Failing jobs", "A job is one transaction: when it fails or is cancelled the table is as before."),
    ("Order", "Jobs run one after the other in the order of submission; upserts and deletes of one job apply in upload order."),
    ("Equal keys in one job", "The last row in chunk order wins, unless duplicateRemovalColumn is given: then the highest value, nulls last."),
    ("Null keys", "Rows with a null in a key are appended; they never equal another row."),
    ("Missing columns", "A DELTA that lacks a column leaves it NULL in the rows it writes; ERROR under UPSERT_WITH_UNCHANGED_METADATA."),
    ("New columns", "A DELTA with a new column adds it at the end; ERROR under UPSERT_WITH_UNCHANGED_METADATA."),
    ("Changed types", "A column of another type than the table's ends the job in ERROR."),
    ("Lengths in DELTA", "A column keeps the length the table was made with; longer texts are cut without a word."),
    ("Declared types", "A type in tableSchema may differ from the file's only from INTEGER to FLOAT and between DATE and DATETIME at midnight."),
    ("Column types shown", "The columns call shows DATETIME as DATE, BOOLEAN as INTEGER and TIME as STRING."),
    ("Rows of a table", "The tables call also tells a table's rows, as rowCount."),
    ("Parquet", "Only what is certain or likely is taken: SNAPPY or no compression, data page v1, booleans, signed integers, floats, text, INT96 and TIMESTAMP_MILLIS; lenient=True takes what DuckDB reads."),
    ("Nanoseconds", "INT96 holds nanoseconds; they are cut to the microseconds of a DuckDB TIMESTAMP, downwards with DuckDB 2 and towards 1970 with DuckDB 1."),
    ("No rows", "A chunk without rows is taken: REPLACE makes an empty table of its columns."),
    ("DECIMAL", "With lenient=True a decimal is stored as FLOAT."),
    ("CSV nulls", "An empty field is NULL, a quoted empty field is an empty text."),
    ("CSV types", "A column that tableSchema does not name is STRING."),
    ("Time of load", "_CELONIS_CHANGE_DATE is the UTC time at which the job ran, the same for all its rows."),
    ("Restart", "After a restart a job that was RUNNING is in ERROR, a QUEUED one runs, a NEW one keeps its chunks."),
    ("429", "An answer to too many submissions has Retry-After in seconds and no body."),
    ("Access tokens", "/oauth2/token takes client credentials, form-encoded in the header or as fields; a token lives 900 seconds, unless token_seconds says otherwise, and is checked when a request's header has arrived."),
    ("Scopes", "Calls on jobs need integration.data-pools:data_push, look-ups of pools, data connections, tables and columns integration.data-pools:read, else 403; integration.data-pools opens both; without a scope in the request the token has all."),
    ("JSON", "A body that is nested deeper than 50 levels, or holds NaN or half a surrogate pair, is refused with 400; beyond 10,000,000 bytes with 413."),
    ("The page", "The page at / needs no key; it answers only under a loopback name."),
)  # fmt: skip
