"""Text for a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._cli.layout import table, width_of, wrapped


def test_what_another_program_reads_is_neither_wrapped_nor_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a parent process says how wide its terminal is."""
    monkeypatch.setenv("COLUMNS", "80")
    assert width_of(io.StringIO()) is None
    assert width_of(None) is None
    assert wrapped("x " * 100, None) == ["x " * 100]
    rows = [("T" * 100, 12_345, None)]
    assert table(("TABLE", "ROWS", "ID"), rows, None)[1] == f"{'T' * 100}  12,345"


def test_a_table_fits_a_terminal() -> None:
    """Its widest columns are cut; numbers are aligned to the right."""
    lines = table(("TABLE", "ROWS"), [("T" * 100, 5), ("U", None), ("V", 12_345)], 40)
    assert lines[0] == f"{'TABLE':<32}    ROWS"
    assert lines[1] == f"{'T' * 31}…       5"
    assert lines[2] == "U"
    assert [len(line) for line in lines if line != "U"] == [40] * 3


@given(st.lists(st.tuples(st.text(), st.integers(0, 10**6), st.text()), max_size=4),
       st.integers(40, 100))  # fmt: skip
def test_no_line_of_a_table_is_too_long(rows: list[Any], width: int) -> None:
    """Whatever the cells hold: line breaks in them as well."""
    assert all(len(line) <= width for line in table(("A", "B", "C"), rows, width))


def test_long_lines_are_wrapped_and_indented() -> None:
    """A line that is indented stays so; what cannot be broken stays whole."""
    assert wrapped("word " * 10, 40) == ["word word word word word word word word", "  word word"]
    assert wrapped(f"  see {'x' * 50}", 40) == ["  see", f"    {'x' * 50}"]


def test_a_number_stays_with_its_unit() -> None:
    """So that no line begins with a unit."""
    text = "✓ DONE · EVENTS (DELTA) · 1,000 rows · 1 chunk · 690 B · 0.6 s"
    for width in range(40, 70):
        lines = wrapped(text, width)
        assert " ".join(line.strip() for line in lines) == text
        begins = {line.split()[0] for line in lines[1:]}
        assert not begins & {"rows", "chunk", "B", "s"}, lines
