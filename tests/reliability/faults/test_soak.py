"""A short soak and a few kills.

The long ones are ``soak.py 1000``, ``kills.py 200`` and ``push_id_kills.py 200``.
"""

from __future__ import annotations

from pathlib import Path

import kills
import push_id_kills
import pytest
import soak


@pytest.mark.exhaustive
def test_rows_in_the_tables_are_the_rows_reported_done(tmp_path: Path) -> None:
    """Despite faults and killed processes, every row reported DONE is in the table once."""
    report = soak.soak(16, 7, tmp_path)
    assert report.wrong == []
    figures = report.figures
    assert figures["clients killed"] >= 1
    assert figures["servers killed"] == 1
    assert figures["rows in the tables"] == (
        figures["rows of pushes reported DONE"]
        + figures["rows of killed pushes that had been submitted"]
        + figures["rows of jobs that ran on after an error"]
    )
    assert figures["rows of pushes reported DONE"] > 0


@pytest.mark.slow
def test_the_soak_detects_the_duplicates_of_the_naive_client(tmp_path: Path) -> None:
    """The same run with blind retries duplicates rows, and the report says so."""
    report = soak.soak(20, 2, tmp_path, "naive")
    assert any("twice" in problem for problem in report.wrong)


@pytest.mark.exhaustive
def test_a_killed_push_is_resumed_until_it_returns(tmp_path: Path) -> None:
    """Wherever its clients are killed: every row once or not at all, and no job left in NEW."""
    report = kills.kill_all(4, 2, tmp_path)
    assert report.wrong == []
    assert report.figures["pushes killed"] >= 4
    assert report.figures["rows of pushes reported DONE"] > 0


@pytest.mark.exhaustive
def test_a_killed_push_with_an_id_is_pushed_again_until_it_is_done(tmp_path: Path) -> None:
    """Wherever its clients are killed, and if two push at once: each row is there exactly once."""
    report = push_id_kills.kill_all(4, 3, tmp_path)
    assert report.wrong == []
    assert report.figures["clients killed"] >= 2
    assert report.figures["pushes with two clients at once"] == 1
    assert report.figures["rows in the tables"] == report.figures["rows pushed"]
