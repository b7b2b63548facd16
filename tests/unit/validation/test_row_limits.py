"""How many rows a table may have: a warning, then an error."""

from __future__ import annotations

import re

import pytest

from celonis_frames._validation.row_limits import ADVISED_ROWS, MAX_ROWS, check_table_rows
from celonis_frames.exceptions import FrameError

SPLIT = "split it into several tables"


@pytest.mark.parametrize(
    ("sent", "before", "keyed", "found"),
    [
        (0, 0, False, None),
        (ADVISED_ROWS, 0, False, None),
        (ADVISED_ROWS + 1, 0, False, "would have 800,000,001 rows; Celonis advises up to 800,0"),
        (1, ADVISED_ROWS, False, r"rows \(800,000,000 are there, 1 in the frame\); Celonis"),
        (1, ADVISED_ROWS, True, r"may have 800,000,001 rows \(800,"),
        (MAX_ROWS, 0, False, "would have 2,100,000,000 rows; Celonis advises"),
        (MAX_ROWS + 1, 0, False, FrameError),
        (1, MAX_ROWS, False, FrameError),
        (MAX_ROWS + 1, 0, True, f"more than the 2,100,000,000 .*same key.*{SPLIT}"),
        (1, MAX_ROWS, True, f"more than .*same key.*{SPLIT}"),
    ],
)
def test_what_is_said_of_so_many_rows(
    sent: int, before: int, keyed: bool, found: str | type[FrameError] | None
) -> None:
    """Rows with keys may become fewer, so that only other rows are certainly too many."""
    if found is FrameError:
        with pytest.raises(
            FrameError, match=f"'T' .*{sent + before:,} rows.*{MAX_ROWS:,}.*{SPLIT}"
        ):
            check_table_rows("T", sent, before=before, keyed=keyed)
        return
    warnings = check_table_rows("T", sent, before=before, keyed=keyed)
    assert len(warnings) == (found is not None)
    for warning in warnings:
        assert re.search(str(found), warning)
