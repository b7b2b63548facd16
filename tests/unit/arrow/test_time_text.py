"""Dates, times and durations as text: exact, or an error; never what Arrow prints instead."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._arrow import time_text
from celonis_frames._arrow.casts import ConversionError

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY = 86_400
FUNCTIONS = (
    (time_text.time_text, pa.time32("s")), (time_text.time_text, pa.time32("ms")),
    (time_text.time_text, pa.time64("us")), (time_text.time_text, pa.time64("ns")),
    (time_text.time_text_of_table, pa.time64("us")), (time_text.iso_time, pa.time64("us")),
    (time_text.date_text, pa.date32()), (time_text.date_text, pa.date64()),
    (time_text.iso_date, pa.date32()),
    *((function, pa.timestamp(unit, zone))
      for function in (time_text.timestamp_text, time_text.iso_timestamp)
      for unit in UNITS for zone in (None, "UTC", "America/New_York")),
)  # fmt: skip


def _counts(values: list[int | None], kind: pa.DataType) -> Any:
    whole = pa.int32() if kind.bit_width == 32 else pa.int64()
    return pa.array(values, whole).cast(kind)


def _name(value: Any) -> str:
    # No address: all processes that share the tests must find the same names.
    return getattr(value, "__name__", None) or str(value)


@pytest.mark.parametrize(("convert", "kind"), FUNCTIONS, ids=_name)
@settings(max_examples=30)
@given(share=st.floats(-1, 1), near=st.integers(-(2**20), 2**20))
def test_text_is_a_time_or_an_error(
    convert: Any, kind: pa.DataType, share: float, near: int
) -> None:
    """Every count that the type holds becomes a text with digits only, or a ConversionError."""
    limit = 2 ** (kind.bit_width - 1) - 1
    for count in (int(share * limit), near, limit, -limit, DAY, DAY * 10**6):
        if abs(count) > limit:
            continue
        try:
            (text,) = convert(_counts([count], kind)).to_pylist()
        except (ConversionError, pa.ArrowInvalid):
            continue
        assert not set(text) - set("0123456789-:. TZ+"), (count, text)


@pytest.mark.parametrize("unit", UNITS)
def test_the_end_of_the_day(unit: str) -> None:
    """24:00:00 is written as it is; as a TIME it is rejected, as times outside the day are."""
    kind = pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    end = DAY * UNITS[unit]
    assert time_text.time_text(_counts([end, None, 0], kind)).to_pylist() == [
        "24:00:00.000000", None, "00:00:00.000000"
    ]  # fmt: skip
    assert time_text.iso_time(_counts([end, 0], kind)).to_pylist() == ["24:00:00", "00:00:00"]
    with pytest.raises(ConversionError, match=r"24:00:00"):
        time_text.time_text_of_table(_counts([end], kind))
    for count in (end + 1, -1):
        with pytest.raises(ConversionError, match="no times of day"):
            time_text.time_text(_counts([count], kind))


def test_far_years() -> None:
    """Years that Arrow prints are kept; ISO 8601 has years of four digits."""
    far = pa.array([10_957 + 365 * 20_000], pa.date32())
    assert time_text.date_text(far).to_pylist() == ["21986-09-21"]
    for convert in (
        time_text.iso_date,
        lambda a: time_text.iso_timestamp(a.cast(pa.timestamp("s"))),
    ):
        with pytest.raises(ConversionError, match="years 1 to 9999"):
            convert(far)
    beyond = pa.array([2**31 - 1], pa.date32())
    with pytest.raises(ConversionError, match="years -32767 to 32767"):
        time_text.date_text(beyond)
    with pytest.raises(ConversionError, match="years -32767 to 32767"):
        time_text.timestamp_text(beyond.cast(pa.timestamp("s")))


@given(
    st.lists(st.datetimes(dt.datetime(1800, 1, 2), dt.datetime(2200, 1, 1)), max_size=5),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "-03:30", "UTC"]),
    st.booleans(),
)
def test_iso_times_keep_their_zone(moments: list[dt.datetime], zone: str, by_python: bool) -> None:
    """The clock time in the zone with its offset, by Arrow's time zones or by Python's."""
    array = pa.array(moments, pa.timestamp("us", zone))
    with (
        mock.patch.object(pc, "local_timestamp", mock.Mock(side_effect=pa.ArrowInvalid))
        if by_python
        else mock.MagicMock()
    ):
        texts = time_text.iso_timestamp(array).to_pylist()
    known = dt.timezone(-dt.timedelta(hours=3, minutes=30)) if zone == "-03:30" else ZoneInfo(zone)
    shown = [moment.replace(tzinfo=dt.UTC).astimezone(known) for moment in moments]
    assert texts == [moment.isoformat() for moment in shown]


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1)), st.sampled_from(list(UNITS)))
def test_seconds_have_all_digits(counts: list[int], unit: str) -> None:
    """No digit of a duration is lost, whatever its size."""
    texts = time_text.iso_seconds(_counts(list(counts), pa.duration(unit))).to_pylist()
    for count, text in zip(counts, texts, strict=True):
        whole, _, rest = text.partition(".")
        digits = len(str(UNITS[unit])) - 1
        assert rest
        assert int(whole + rest.ljust(digits, "0")[: digits or None] if digits else whole) == count
