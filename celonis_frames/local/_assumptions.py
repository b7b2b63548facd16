"""What the local Celonis assumes about the API where its behaviour is not documented.

docs/local.md shows this list; a test compares them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from celonis_frames._formatting import shown
from celonis_frames.exceptions import ConfigError

CODECS = ("none", "snappy", "zstd", "gzip", "lz4", "brotli")
TIMESTAMPS = ("int96", "ms", "us", "ns")


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What the local Celonis does where the behaviour of Celonis is not documented.

    The defaults are what its tests and most users want: a server that accepts only what Celonis
    most likely accepts. Others are for testing that a program works however Celonis behaves.

    Attributes:
        codecs: Codecs of Parquet files that are accepted: none, snappy, zstd, gzip, lz4, brotli.
        timestamps: Encodings of timestamps that are accepted: int96, ms, us, ns.
        dates: Whether Parquet's DATE is accepted.
        decimals: Whether decimals are accepted; they are stored as FLOAT.
        page_v2: Whether data pages v2 are accepted.
        other_types: Whether all that DuckDB reads is accepted, whatever the settings above say.
        max_length: Most characters that a column can be declared with.
        checksum: Checksums of chunks, in hex.
        informational: Status of an informational response (1xx) before the response to an upload.
        cancel_ended: Whether cancelling a job that has ended is rejected (400), or accepted.
        cancel_response: Whether the response to a cancellation is the job, or empty.
        delete_status: Status of the response to the deletion of a job.
        late_chunks: Whether a chunk for a submitted job is rejected (400), or accepted and ignored.
        second_executions: The same for a second submission.
        no_chunks: Whether a job without chunks ends in ERROR, is rejected (400), or is DONE.
        empty_chunks: Whether a chunk without rows is accepted, or rejected (400).
        duplicate_keys: Which of the rows with one key in a job stays, by the order of upload; or
            whether the job ends in ERROR.
        null_keys: Whether rows with a null in a key are appended, or the job ends in ERROR.
        missing_columns: Whether a column that a DELTA lacks is NULL in its rows, or the job ends in
            ERROR.
        new_columns: Whether a new column of a DELTA is added, or the job ends in ERROR.
        unchanged_metadata: The same under UPSERT_WITH_UNCHANGED_METADATA.
        changed_types: Whether a column of another type than the table's ends the job in ERROR, or
            is converted, with NULL for what cannot be.
        declared_types: Whether a declared type that loses nothing is converted to, or ends the job
            in ERROR.
        order: Whether the upserts and deletes of a job apply in upload order, or all deletes first.
        failing_jobs: Whether a failing job leaves the table unchanged, or what it did before.
        delta_lengths: Whether a column keeps its length, or gets that of a DELTA if it is greater.
        sent_change_dates: Whether a column _CELONIS_CHANGE_DATE in a file ends the job in ERROR, or
            is ignored.
        csv_quoted_empty: What a quoted empty field of a CSV file is.
        csv_undeclared: Whether a column that tableSchema lacks is STRING, or ends the job in ERROR.
        precision: The unit to which timestamps are cut: us or ms.
        shown_types: Whether the columns call shows DATETIME as DATE, BOOLEAN as INTEGER and TIME as
            STRING, or each type as its own.
        shown_lengths: Whether it shows lengths in bytes (4 for a character), or in characters.
        row_counts: Whether the tables call shows numbers of rows.

    Raises:
        ConfigError: A value is not one of those that a setting can have.
    """

    codecs: Collection[str] = ("none", "snappy")
    timestamps: Collection[str] = ("int96", "ms")
    dates: bool = False
    decimals: bool = False
    page_v2: bool = False
    other_types: bool = False
    max_length: int = 65_000
    checksum: Literal["sha1", "md5", "sha256", "none"] = "sha1"
    informational: int | None = None
    cancel_ended: Literal["reject", "accept"] = "reject"
    cancel_response: Literal["job", "empty"] = "job"
    delete_status: Literal[204, 200] = 204
    late_chunks: Literal["reject", "ignore"] = "reject"
    second_executions: Literal["reject", "ignore"] = "reject"
    no_chunks: Literal["error", "reject", "done"] = "error"
    empty_chunks: Literal["accept", "reject"] = "accept"
    duplicate_keys: Literal["last", "first", "error"] = "last"
    null_keys: Literal["append", "error"] = "append"
    missing_columns: Literal["null", "error"] = "null"
    new_columns: Literal["add", "error"] = "add"
    unchanged_metadata: Literal["error", "add"] = "error"
    changed_types: Literal["error", "convert"] = "error"
    declared_types: Literal["convert", "error"] = "convert"
    order: Literal["upload", "deletes_first"] = "upload"
    failing_jobs: Literal["unchanged", "partial"] = "unchanged"
    delta_lengths: Literal["keep", "grow"] = "keep"
    sent_change_dates: Literal["error", "ignore"] = "error"
    csv_quoted_empty: Literal["string", "null"] = "string"
    csv_undeclared: Literal["string", "error"] = "string"
    precision: Literal["us", "ms"] = "us"
    shown_types: Literal["merged", "own"] = "merged"
    shown_lengths: Literal["bytes", "characters"] = "bytes"
    row_counts: bool = True

    def __post_init__(self) -> None:
        """Reject what no setting can be."""
        hints = get_type_hints(type(self))
        for one in fields(self):
            value, hint = getattr(self, one.name), hints[one.name]
            if one.name in _SETS:
                values = _SETS[one.name]
                given = {value} if isinstance(value, str) else set(value)
                good = given <= set(values)
                object.__setattr__(self, one.name, tuple(filter(given.__contains__, values)))
            elif one.name == "informational":
                values, good = ("None", "100", "102 to 199"), value in {None, 100, *range(102, 200)}
            elif one.name == "max_length":
                values, good = ("1 to 65,000",), type(value) is int and 1 <= value <= 65_000
            else:
                values = get_args(hint) or (True, False)
                good = value in values and type(value) in map(type, values)
            if not good:
                raise ConfigError(
                    f"Assumptions({one.name}={shown(value)}): it can be "
                    f"{', '.join(map(str, values))}."
                )


_SETS = {"codecs": CODECS, "timestamps": TIMESTAMPS}
STRICT = Assumptions()
LENIENT = Assumptions(
    codecs=CODECS, timestamps=TIMESTAMPS, dates=True, decimals=True,
    page_v2=True, other_types=True,
)  # fmt: skip
"""What ``lenient=True`` means."""

ASSUMPTIONS: tuple[tuple[str, str, str], ...] = (
    ("Pools", "A pool is created by its first job, unless strict_pools=True; no other call creates one.", ""),
    ("Data connections", "A job for an unknown data connection is rejected with 400; add_connection adds one.", ""),
    ("1 GB", "The largest chunk has 1,000,000,000 bytes; a larger one is rejected with 413.", ""),
    ("Checksum", "The checksum of a chunk is the SHA-1 of the file, in hex.", "checksum"),
    ("Cancel", "POST or GET; the response is the job, or 400 if the job has ended.", "cancel_ended, cancel_response"),
    ("Deleting jobs", "Deleting a job returns 204, or 400 if it is queued or running; the table stays.", "delete_status"),
    ("Late chunks", "Uploads to a submitted job, and a second submission of it, are rejected with 400.", "late_chunks, second_executions"),
    ("No chunks", "A job without chunks ends in ERROR.", "no_chunks"),
    ("Failing jobs", "A job is one transaction: if it fails or is cancelled, the table is unchanged.", "failing_jobs"),
    ("Order", "Jobs run one after the other in the order of submission; the upserts and deletes of a job apply in upload order.", "order"),
    ("Duplicate keys in one job", "The last row in upload order is kept or, with duplicateRemovalColumn, the row with the highest value there; nulls are lowest.", "duplicate_keys"),
    ("Null keys", "Rows with a null in a key are appended; they never equal another row.", "null_keys"),
    ("Missing columns", "In the rows that a DELTA writes, a column that it lacks is NULL; under UPSERT_WITH_UNCHANGED_METADATA the job ends in ERROR.", "missing_columns"),
    ("New columns", "A DELTA with a new column adds it at the end; under UPSERT_WITH_UNCHANGED_METADATA the job ends in ERROR.", "new_columns, unchanged_metadata"),
    ("Changed types", "If the type of a column differs from the type in the table, the job ends in ERROR.", "changed_types"),
    ("Lengths in DELTA", "A column keeps the length with which the table was created; longer strings are truncated silently.", "delta_lengths"),
    ("Longest string", "A column can be declared with 1 to 65,000 characters, whatever their bytes.", "max_length"),
    ("Declared types", "A type in tableSchema may differ from the type in the file only from INTEGER to FLOAT, and between DATE and DATETIME at midnight.", "declared_types"),
    ("Column types", "The columns call returns DATETIME as DATE, BOOLEAN as INTEGER and TIME as STRING.", "shown_types, shown_lengths"),
    ("Row counts", "The tables call also returns the number of rows of each table, as rowCount.", "row_counts"),
    ("Parquet", "Only what Celonis most likely accepts is accepted: SNAPPY or no compression, data page v1, booleans, signed integers, floats, strings, INT96 and TIMESTAMP_MILLIS; lenient=True accepts what DuckDB reads.", "codecs, timestamps, dates, decimals, page_v2, other_types"),
    ("Nanoseconds", "INT96 values have nanoseconds; they are cut to the microseconds of a DuckDB TIMESTAMP, downwards with DuckDB 2 and towards 1970 with DuckDB 1.", "precision"),
    ("No rows", "A chunk without rows is accepted: REPLACE creates an empty table with its columns.", "empty_chunks"),
    ("DECIMAL", "With lenient=True a decimal is stored as FLOAT.", "decimals"),
    ("CSV nulls", "An empty field is NULL, a quoted empty field is an empty string.", "csv_quoted_empty"),
    ("CSV types", "A column that is not in tableSchema is STRING.", "csv_undeclared"),
    ("Change date", "_CELONIS_CHANGE_DATE is the UTC time at which the job ran, the same for all its rows.", ""),
    ("A change date that is sent", "A job whose files have a column _CELONIS_CHANGE_DATE ends in ERROR.", "sent_change_dates"),
    ("Restart", "After a restart a job that was RUNNING is in ERROR, a QUEUED one runs, and a NEW one still has its chunks.", ""),
    ("429", "The response to too many submissions has Retry-After in seconds and no body.", ""),
    ("Informational responses", "None (1xx) precedes a response.", "informational"),
    ("Access tokens", "/oauth2/token accepts client credentials in the Authorization header or as form fields; a token is valid for 900 seconds, unless token_seconds is given, and is checked before the body of a request is read.", ""),
    ("Scopes", "Calls on jobs need integration.data-pools:data_push; look-ups of pools, data connections, tables, columns, data models, loads and data jobs need integration.data-pools:read; integration.data-pools includes both, and is needed to load data models and to execute data jobs. Other tokens get 403. A token requested without a scope has all scopes.", ""),
    ("JSON", "A body with more than 50 levels of nesting, NaN or a lone surrogate is rejected with 400, one of more than 10,000,000 bytes with 413.", ""),
    ("Ingestion: calls", "The gateway answers 403 AccessDenied to every call of S3 but a plain PutObject; with lenient=True also HeadObject. Multipart uploads, aws-chunked bodies, conditions, checksums in headers and S3's other options are rejected.", ""),
    ("Ingestion: signatures", "The Host and all x-amz-* headers must be signed; the time may differ by 15 minutes from that of the server; the region is eu-central-1, the bucket continuous.", ""),
    ("Ingestion: keys of objects", "An object is stored at connection/<connection id>/<source table>/<file>; the keys of a connection open nothing else. A key that is stored again with the bytes that were last stored there is one object, with other bytes one more.", ""),
    ("Ingestion: unknown tables", "An object for a table that the connection does not have is stored, and fails.", ""),
    ("Ingestion: size", "The largest object is as large as the largest chunk; a larger one is rejected with EntityTooLarge.", ""),
    ("Ingestion: files", "Only uncompressed Parquet is ingested, with data pages v1 or v2, booleans, signed integers, floats, strings, INT96, TIMESTAMP_MILLIS and TIMESTAMP_MICROS; lenient=True ingests what DuckDB reads.", ""),
    ("Ingestion: order", "The objects of a connection are ingested one after the other in the order in which they were stored, a replayed one after those that wait; each is one transaction.", ""),
    ("Ingestion: age", "Of the rows of a file with one key, that with the highest age is applied, of equal ages the last; it replaces a stored row whose age is not higher. Null is the lowest age. Without an age column the last row is applied.", ""),
    ("Ingestion: null keys", "Rows with a null in a key are appended; they never equal another row.", ""),
    ("Ingestion: columns", "A new column is added at the end; in the rows that a file writes, a column that it lacks is NULL; if the type of a column differs from the type in the table, the object fails.", ""),
    ("Ingestion: lengths", "Strings longer than 16,250 characters are truncated silently.", ""),
    ("Ingestion: restart", "With a DuckDB file, connections keep their keys, PENDING objects are ingested after a restart, and FAILED ones can still be replayed.", ""),
    ("Data models", "A data model is created by its first load, with all tables of its pool, unless strict_pools=True; look-ups and loads of some tables create none, and no load creates a pool.", ""),
    ("Data models: equal names", "If a data model has two tables of one name, the later one has an alias: the name of its data connection, an underscore and its name.", ""),
    ("Loads", "A load is RUNNING from the call on; loads run one after the other, and each reads the tables when it is its turn. The response to the call is empty, or 409 without a body while a load of that data model runs.", ""),
    ("Loads: tables", "A load copies its tables in one transaction, all their rows: fullReload and forceComplete change nothing. Its type is COMPLETE, or PARTIAL if the call names tables; PARTIAL needs ids that the data model has, else 400.", ""),
    ("Loads: ends", "A load ends in WARNING if some of its tables cannot be loaded, for example because the pool has no such table; these keep the rows of an earlier load. If none can be loaded it ends in ERROR, and the data model is unchanged.", ""),
    ("Loads: responses", "last-load returns the fields of currentComputeLoad, null before the first load, and its tableLoads, each with a message; currentComputeLoad is the last load, also when it has ended. The history has the last 20 loads.", ""),
    ("Loads: restart", "After a restart a load that was RUNNING is LOST_CONNECTION, and the data model is unchanged.", ""),
    ("Data jobs", "A data job is SQL in DuckDB's dialect, executed in one transaction; names without a schema are tables of the pool's global schema. Data jobs run one after the other; the mode, DELTA if none is given, is recorded and changes nothing. The response to the call is empty, or 409 without a body while the data job is QUEUED or RUNNING.", ""),
    ("Data jobs: statements", "SELECT, INSERT, UPDATE, DELETE, MERGE, CREATE, ALTER and DROP can be recorded; others, such as COPY, ATTACH, INSTALL, SET and COMMIT, are rejected by add_data_job. Functions that read files are not.", ""),
    ("Data jobs: fields", "The data jobs call also returns mode, message, startDate and endDate of the last execution.", ""),
    ("Data jobs: tables", "A column that SQL makes gets the DuckDB type of the nearest Celonis type, a string column 16,250 characters; a type without one, such as a list, ends the data job in FAIL. A table that SQL makes gets _CELONIS_CHANGE_DATE by its first push; rows cannot be pushed into a view.", ""),
    ("Data jobs: restart", "After a restart a data job that was RUNNING is in FAIL, and its tables are unchanged; a QUEUED one is executed.", ""),
    ("The page", "The page at / needs no key from a loopback address with a loopback host name; all other callers need a key, which a browser sends as a password.", ""),
    ("Slashes", "Several slashes in a row in a path are one, and a slash at its end is ignored.", ""),
)  # fmt: skip
"""Topic, assumption, and the settings of `Assumptions` that change it."""
