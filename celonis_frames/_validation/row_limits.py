"""How many rows a table may have.

Celonis documents the limits of its query engine, into which tables are loaded as data models
(https://docs.celonis.com/en/engine-limitations.html): 2.1 billion rows a table, of which it advises
800 million. Later editions of the page name 5 and 6 billion for newer engines, but which one a team
has cannot be read.
"""

from __future__ import annotations

from celonis_frames.exceptions import FrameError

ADVISED_ROWS = 800_000_000
"""Most rows of a table that Celonis advises."""

MAX_ROWS = 2_100_000_000
"""Most rows of a table that every engine of Celonis loads."""


def check_table_rows(table: str, sent: int, *, before: int = 0, keyed: bool) -> tuple[str, ...]:
    """Warnings about the rows that a table will have.

    Args:
        table: Its name.
        sent: Rows sent.
        before: Rows that the table has already, as far as they are known.
        keyed: Whether rows with the same key become one, so that `sent` is only an upper bound.

    Raises:
        FrameError: More than `MAX_ROWS`, for certain.
    """
    rows = before + sent
    if rows <= ADVISED_ROWS:
        return ()
    sum_ = f" ({before:,} are there, {sent:,} in the frame)" if before else ""
    would_have = f"Table {table!r} {'may' if keyed else 'would'} have {rows:,} rows{sum_}"
    if rows <= MAX_ROWS:
        return (
            f"{would_have}; Celonis advises up to {ADVISED_ROWS:,} for a table that is analysed.",
        )
    beyond = f"{would_have}, more than the {MAX_ROWS:,} that every engine of Celonis loads"
    advice = "filter the frame, or split it into several tables, for example by year"
    if keyed:
        return (f"{beyond}, if few of them have the same key: {advice}.",)
    raise FrameError(f"{beyond}: {advice}.")
