"""The formats of times are recognised, and the code of the report parses them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import EventLogReport, check_event_log

MORNING = dt.datetime(2024, 2, 29, 9, 5)
AT = MORNING.replace(second=7)
FINE = AT.replace(microsecond=250_000)
DAY = dt.datetime(2024, 2, 29)
NEXT = dt.datetime(2023, 12, 31, 23, 59, 58)

Case = tuple[str, list[Any], list[dt.datetime | None]]

TEXTS: list[Case] = [
    ("yyyy-mm-dd", ["2024-02-29"], [DAY]),
    ("yyyy-mm-dd hh:mm", ["2024-02-29 09:05"], [MORNING]),
    ("yyyy-mm-dd hh:mm:ss", ["2024-02-29 09:05:07"], [AT]),
    ("yyyy-mm-dd hh:mm:ss.f", ["2024-02-29 09:05:07.250"], [FINE]),
    ("yyyy-mm-ddThh:mm", ["2024-02-29T09:05"], [MORNING]),
    ("yyyy-mm-ddThh:mm:ss", ["2024-02-29T09:05:07"], [AT]),
    ("yyyy-mm-ddThh:mm:ss.f", ["2024-02-29T09:05:07.25"], [FINE]),
    ("yyyy-mm-ddThh:mm:ss+zz:zz", ["2024-02-29T10:05:07+01:00", "2024-02-29T09:05:07Z"], [AT, AT]),
    ("yyyy-mm-dd hh:mm:ss.f+zz:zz", ["2024-02-29 11:05:07.25+02:00"], [FINE]),
    ("dd.mm.yyyy", ["29.02.2024", "31.12.2023"], [DAY, NEXT.replace(hour=0, minute=0, second=0)]),
    ("dd.mm.yyyy hh:mm", ["29.2.2024 9:05"], [MORNING]),
    ("dd.mm.yyyy hh:mm:ss", ["29.02.2024 09:05:07", "31.12.2023 23:59:58"], [AT, NEXT]),
    ("dd.mm.yy", ["29.02.24"], [DAY]),
    ("mm/dd/yyyy", ["2/29/2024"], [DAY]),
    ("mm/dd/yyyy hh:mm:ss AM", ["02/29/2024 09:05:07 AM", "12/31/2023 11:59:58 PM"], [AT, NEXT]),
    ("dd/mm/yyyy hh:mm", ["29/02/2024 09:05"], [MORNING]),
    ("dd-mm-yyyy hh:mm:ss", ["29-02-2024 09:05:07"], [AT]),
    ("yyyy/mm/dd hh:mm:ss.f", ["2024/02/29 09:05:07.250"], [FINE]),
    ("yyyy.mm.dd", ["2024.02.29"], [DAY]),
    ("yyyymmdd", ["20240229"], [DAY]),
    ("yyyymmddhhmmss", ["20240229090507"], [AT]),
    ("seconds from 1970", ["1709197507"], [AT]),
    ("milliseconds from 1970", ["1709197507250"], [FINE]),
]
NUMBERS: list[Case] = [
    ("yyyymmdd", [20240229], [DAY]),
    ("yyyymmdd", [20240229.0], [DAY]),
    ("yyyymmddhhmmss", [20240229090507], [AT]),
    ("seconds from 1970", [1709197507], [AT]),
    ("seconds from 1970", [1709197507.25], [FINE]),
    ("milliseconds from 1970", [1709197507250], [FINE]),
    ("microseconds from 1970", [1709197507250000], [FINE]),
    ("nanoseconds from 1970", [1709197507250000000], [FINE]),
    ("days from 1899-12-30, as Excel counts", [45351.0, 45351.5], [DAY, DAY.replace(hour=12)]),
]
SEVERAL: list[Case] = [  # more than one format, or values without a time
    ("dd.mm.yyyy", ["29.02.2024", "29.02.2024 09:05:07"], [DAY, AT]),
    ("yyyy-mm-dd hh:mm:ss", ["2024-02-29 09:05:07", "2024-02-29T09:05:07.25"], [AT, FINE]),
    ("empty text", ["29.02.2024", "", " "], [DAY, None, None]),
    ("zeros, which are no date", ["20240229", "00000000"], [DAY, None]),
    ("seconds from 1970", ["1709197507", "2024-02-29 09:05:07"], [AT, AT]),
    # 1 March or 3 January: what another value shows decides for all.
    ("mm/dd/yyyy", ["02/29/2024", "02/03/2024"], [DAY, dt.datetime(2024, 2, 3)]),
    ("dd/mm/yyyy", ["29/02/2024", "03/02/2024"], [DAY, dt.datetime(2024, 2, 3)]),
    ("dd-mm-yyyy hh:mm", ["29-02-2024 09:05", "03-02-2024 09:05"],
     [MORNING, MORNING.replace(day=3)]),
]  # fmt: skip
CASES = [*TEXTS, *NUMBERS, *SEVERAL]


def _frame(kind: str, values: list[Any], folder: Path) -> Any:
    columns = {"C": ["a"] * len(values), "A": ["x"] * len(values), "T": values}
    if kind == "pandas":
        return pd.DataFrame(columns)
    if kind == "polars":
        return pl.DataFrame(columns)
    if kind == "lazy":
        return pl.LazyFrame(columns)
    if kind == "arrow":
        return pa.table(columns)
    pq.write_table(pa.table(columns), folder / "log.parquet")
    return folder / "log.parquet"


def _parsed(code: str, frame: Any) -> list[dt.datetime | None]:
    """The times after the code has run, in UTC, without a zone."""
    names = {"df": frame, "path": frame, "pd": pd, "pl": pl}
    exec(code, names)  # noqa: S102  # of the report
    found = names["df"]
    if isinstance(found, pd.DataFrame):
        found = pl.from_pandas(found)
    times = found.lazy().collect()["T"]
    assert isinstance(times.dtype, pl.Datetime)
    if times.dtype.time_zone is not None:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us")).to_list()


def _unparsed(report: EventLogReport) -> Any:
    (finding,) = [one for one in report.findings if one.severity == "error"]
    assert finding.code in ("timestamp_is_text", "timestamp_is_number")
    return finding


def _check(frame: Any) -> EventLogReport:
    return check_event_log(frame, case="C", activity="A", timestamp="T")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["pandas", "polars", "lazy", "arrow", "files"])
@pytest.mark.parametrize(
    ("name", "values", "times"),
    CASES,
    ids=[f"{place} {case[0]}" for place, case in enumerate(CASES)],
)
def test_the_code_parses_what_was_found(
    kind: str, name: str, values: list[Any], times: list[Any], tmp_path: Path
) -> None:
    """Each format is named, and the code for this kind of frame makes its times, all of them."""
    frame = _frame(kind, values, tmp_path)
    finding = _unparsed(_check(frame))
    assert finding.count == len(values)
    assert f" as {name}" in finding.message
    assert _parsed(finding.snippet, frame) == times


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_days_and_months_that_cannot_be_told_apart(kind: str, tmp_path: Path) -> None:
    """If no value decides, the report says that both are possible; if two contradict, too."""
    finding = _unparsed(_check(_frame(kind, ["02/03/2024", "04/05/2024"], tmp_path)))
    assert "2 as dd/mm/yyyy or mm/dd/yyyy" in finding.message
    assert "No value shows which of the two is the day" in finding.message
    assert '"%d/%m/%Y"' in finding.snippet
    both = ["02/13/2024", "13/02/2024", "02/03/2024"]
    finding = _unparsed(_check(_frame(kind, both, tmp_path)))
    for part in ("1 as dd/mm/yyyy,", "1 as mm/dd/yyyy.", "1 as dd/mm/yyyy or mm/dd/yyyy"):
        assert part in finding.message


def test_unknown_formats_are_counted(tmp_path: Path) -> None:
    """What no format fits is counted, and there is no code for it alone; no value is shown."""
    finding = _unparsed(_check(_frame("polars", ["yesterday", "29. Feb 2024"], tmp_path)))
    assert finding.snippet is None
    assert "2 as an unknown format" in finding.message
    assert "yesterday" not in finding.message
    finding = _unparsed(_check(_frame("polars", ["29.02.2024", "yesterday"], tmp_path)))
    assert "must be repaired by hand" in finding.message
    with pytest.raises(pl.exceptions.InvalidOperationError):  # the code loses no value in silence
        _parsed(finding.snippet, pl.DataFrame({"T": ["29.02.2024", "yesterday"]}))
    finding = _unparsed(_check(_frame("polars", [1, -5], tmp_path)))
    assert "2 as numbers that are no times" in finding.message


def test_the_code_of_ids() -> None:
    """Floats become integers, and text loses .0 and blanks: for each kind of frame."""
    codes = {
        "case_is_float": ([4500012345.0, None], [4500012345, None]),
        "case_ends_in_point_zero": (["4500012345.0", "45"], ["4500012345", "45"]),
        "case_has_blanks": ([" 1", "2 "], ["1", "2"]),
    }
    for code, (given, wanted) in codes.items():
        columns = {"T": given, "C": given, "A": ["x", "x"], "S": [AT, AT]}
        for frame in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
            report = check_event_log(frame, case="C", activity="A", timestamp="S")
            (finding,) = [one for one in report.findings if one.code == code]
            names = {"df": frame, "pd": pd, "pl": pl}
            exec(str(finding.snippet), names)  # noqa: S102  # of the report
            changed: Any = names["df"]
            values = pl.from_pandas(changed) if isinstance(changed, pd.DataFrame) else changed
            assert values["C"].to_list() == wanted


def test_the_code_of_decimals() -> None:
    """Decimals are stored as floats, and become integers, if they are whole."""
    whole = [Decimal("4500012345.00"), None]
    given = {"T": whole, "C": whole, "A": ["x", "x"], "S": [AT, AT]}
    for frame in (pd.DataFrame(given), pl.DataFrame(given), pa.table(given)):
        report = check_event_log(frame, case="C", activity="A", timestamp="S")
        (finding,) = [one for one in report.findings if one.severity == "warning"]
        assert finding.code == "case_is_float"
        assert "decimals, which are stored as floats, all of them whole" in finding.message
        names = {"df": frame, "pd": pd, "pl": pl}
        exec(str(finding.snippet), names)  # noqa: S102  # of the report
        changed: Any = names["df"]
        values = pl.from_pandas(changed) if isinstance(changed, pd.DataFrame) else changed
        assert values["C"].to_list() == [4500012345, None]
    given["C"] = [Decimal("1.50"), Decimal("2.00")]
    report = check_event_log(pl.DataFrame(given), case="C", activity="A", timestamp="S")
    assert "1 of them is not whole" in report.findings[0].message


@pytest.mark.parametrize("kind", ["pandas", "polars", "lazy", "arrow", "files"])
@pytest.mark.parametrize("value", ["29.02.2024 09:05", "1709197500"])
def test_the_code_of_categories(kind: str, value: str, tmp_path: Path) -> None:
    """Text in categories is parsed, and cut, as other text is."""
    texts = pa.array([value]).dictionary_encode()
    ids = pa.array([" 45.0"]).dictionary_encode(), pa.array(["7.0"]).dictionary_encode()
    for column, wanted in zip(ids, ("45.0", "7"), strict=True):
        table = pa.table({"C": column, "A": ["x"], "T": texts})
        frame: Any = table
        if kind == "files":
            frame = tmp_path / "log.parquet"
            pq.write_table(table, frame)
        elif kind == "pandas":
            frame = table.to_pandas()
        elif kind != "arrow":
            frame = pl.from_arrow(table)
            frame = frame.lazy() if kind == "lazy" else frame
        report = _check(frame)
        assert _parsed(_unparsed(report).snippet, frame) == [MORNING]
        (finding,) = [one for one in report.findings if one.severity != "error"]
        names = {"df": frame, "path": frame, "pd": pd, "pl": pl}
        exec(str(finding.snippet), names)  # noqa: S102  # of the report
        changed = names["df"]
        changed = pl.from_pandas(changed) if kind == "pandas" else changed.lazy().collect()
        assert changed["C"].to_list() == [wanted]
