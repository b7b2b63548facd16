"""Times with a zone: their UTC instant, or with ``times="local"`` the hours that people saw."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._arrow.wall_clock import wall_clock

pytestmark = pytest.mark.usefixtures("impatient")

POOL = "Frames"
WINTER, SUMMER = dt.datetime(2024, 1, 1, 9, 30), dt.datetime(2024, 7, 1, 9, 30)
SEEN = [WINTER, SUMMER, None]
IN_UTC = [WINTER - dt.timedelta(hours=1), SUMMER - dt.timedelta(hours=2), None]
BERLIN = pd.to_datetime(pd.Series(SEEN)).dt.tz_localize("Europe/Berlin")


def _offset(hours: float) -> dt.timezone:
    return dt.timezone(dt.timedelta(hours=hours))


OBJECTS = [WINTER.replace(tzinfo=_offset(1)), SUMMER.replace(tzinfo=_offset(2)), None]
"""As a parser of ISO 8601 leaves them: the offset of each time, and no zone."""
ARROW = pa.array(IN_UTC, pa.timestamp("us", "Europe/Berlin"))
FRAMES: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame({"T": BERLIN}),
    "pandas nanoseconds": lambda: pd.DataFrame({"T": BERLIN.dt.as_unit("ns")}),
    "pandas objects": lambda: pd.DataFrame({"T": pd.Series(OBJECTS, dtype=object)}),
    "pandas categories": lambda: pd.DataFrame({"T": BERLIN.astype("category")}),
    "pandas index": lambda: pd.DataFrame(index=pd.Index(BERLIN, name="T")),
    "polars": lambda: pl.DataFrame({"T": pl.Series(ARROW)}),
    "polars lazy": lambda: pl.LazyFrame({"T": pl.Series(ARROW)}),
    "Arrow": lambda: pa.table({"T": ARROW}),
    "dictionary": lambda: pa.table({"T": ARROW.dictionary_encode()}),
    "runs": lambda: pa.table(
        {"T": pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], pa.int32()), ARROW)}
    ),
    "frames of two zones": lambda: iter([
        pl.DataFrame({"T": [WINTER]}).with_columns(pl.col("T").dt.replace_time_zone("Asia/Tokyo")),
        pl.DataFrame({"T": [SUMMER, None]}).with_columns(
            pl.col("T").dt.replace_time_zone("Europe/Berlin")
        ),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FRAMES)
def test_the_local_time_of_each_kind_of_frame(
    kind: str, server: Any, connection: Celonis, table: str
) -> None:
    """`times="local"` stores the hours that the frame shows; a warning names the column."""
    status = connection.push(FRAMES[kind](), POOL, table, mode="REPLACE", times="local")
    assert server.table(POOL, table)["T"].to_pylist() == SEEN
    (warning,) = status.warnings
    assert "'T'" in warning
    assert "local time" in warning


AUTUMN = [dt.datetime(2024, 10, 26, 23, 30) + dt.timedelta(hours=hours) for hours in range(4)]
"""In UTC; clocks in Berlin show 1:30, 2:30, 2:30 and 3:30."""
ZONED = pa.array([*AUTUMN, None], pa.timestamp("us", "Europe/Berlin"))
REPEATED: dict[str, Any] = {
    "Arrow": lambda: pa.table({"T": ZONED}),
    "dictionary": lambda: pa.table({"T": ZONED.dictionary_encode()}),
    "pandas": lambda: pd.DataFrame({"T": pd.Series(AUTUMN).dt.tz_localize("UTC").dt.tz_convert(
        "Europe/Berlin")}),
    "objects": lambda: pd.DataFrame({"T": pd.Series(
        [time.replace(tzinfo=dt.UTC).astimezone(ZoneInfo("Europe/Berlin")) for time in AUTUMN],
        dtype=object)}),
    "lazy": lambda: pl.LazyFrame({"T": pl.Series(ZONED)}),
    "stream": lambda: pa.table({"T": ZONED}).to_reader(),
    "two frames": lambda: iter(
        [pa.table({"T": part}) for part in (ZONED.slice(0, 2), ZONED.slice(2))]),
}  # fmt: skip


@pytest.mark.parametrize("kind", REPEATED)
def test_times_that_clocks_show_twice_are_counted(
    kind: str, connection: Celonis, table: str
) -> None:
    """Only for local times, and only in the night in which clocks are set back."""
    status = connection.push(REPEATED[kind](), POOL, table, times="local")
    (counted,) = (warning for warning in status.warnings if "2 times in" in warning)
    assert counted.startswith("Column 'T'")
    if kind not in {"stream", "two frames"}:
        assert set(plan(REPEATED[kind](), POOL, table, times="local").warnings) <= {
            *status.warnings
        }
    later = connection.push(REPEATED[kind](), POOL, f"{table}_utc")
    assert not any("times in" in warning for warning in later.warnings)


@pytest.mark.parametrize("kind", [kind for kind in FRAMES if kind != "frames of two zones"])
def test_the_instant_of_each_kind_of_frame(
    kind: str, server: Any, connection: Celonis, table: str
) -> None:
    """By default the UTC instant is stored; plan and status name the column and the other way."""
    status = connection.push(FRAMES[kind](), POOL, table, mode="REPLACE")
    assert server.table(POOL, table)["T"].to_pylist() == IN_UTC
    for warnings in (status.warnings, plan(FRAMES[kind](), POOL, table).warnings):
        (warning,) = warnings
        assert "Column 'T': stored as the UTC instant" in warning
        assert 'times="local"' in warning


@pytest.mark.parametrize("times", ["utc", "local"])
@pytest.mark.parametrize("kind", ["pandas", "pandas objects", "polars", "frames of two zones"])
def test_a_delete_tells_of_its_keys_only(
    kind: str, times: Any, server: Any, connection: Celonis, table: str
) -> None:
    """Columns that are not sent are in no warning."""
    frame: Any = FRAMES[kind]()
    if kind == "polars":
        frame = frame.with_columns(K=1)
    elif isinstance(frame, pd.DataFrame):
        frame = frame.assign(K=1)
    else:
        frame = (part.with_columns(K=1) for part in frame)
    connection.push(pl.DataFrame({"K": [1]}), POOL, table, mode="REPLACE", keys="K")
    assert connection.delete(frame, POOL, table, keys="K", times=times).warnings == ()
    assert server.table(POOL, table).num_rows == 0


@pytest.mark.parametrize("times", ["utc", "local"])
def test_utc_is_the_same_either_way(
    times: Any, server: Any, connection: Celonis, table: str
) -> None:
    """Times in UTC, and without a zone, are stored as they are, without a warning."""
    frame = pa.table({
        "U": pa.array(SEEN, pa.timestamp("us", "UTC")), "N": pa.array(SEEN, pa.timestamp("us")),
        "Z": pa.array(SEEN, pa.timestamp("ms", "+00:00")),
    })  # fmt: skip
    status = connection.push(frame, POOL, table, mode="REPLACE", times=times)
    assert status.warnings == ()
    assert server.table(POOL, table).to_pydict() == dict.fromkeys("UNZ", SEEN)


def test_local_times_in_csv(server: Any, connection: Celonis, table: str) -> None:
    """The file type makes no difference."""
    frame = pd.DataFrame({"T": BERLIN, "N": range(3)})
    connection.push(frame, POOL, table, mode="REPLACE", times="local", upload={"file_type": "CSV"})
    assert server.table(POOL, table)["T"].to_pylist() == SEEN


def test_local_times_as_other_types(server: Any, connection: Celonis, table: str) -> None:
    """Local midnights are days, strings have no Z, and keys are compared as they are stored."""
    frame = pd.DataFrame({"D": BERLIN.dt.normalize(), "S": BERLIN}).dropna()
    connection.push(
        frame, POOL, table, mode="REPLACE", times="local", columns={"D": "DATE", "S": "STRING"}
    )
    rows = server.table(POOL, table).to_pydict()
    assert rows["D"] == [WINTER.date(), SUMMER.date()]
    assert rows["S"] == ["2024-01-01 09:30:00.000000", "2024-07-01 09:30:00.000000"]
    with pytest.raises(exceptions.ColumnTypeError, match=r'midnight.*times="local"'):
        connection.push(frame, POOL, table, columns={"D": "DATE"})
    twice = pa.array([1_729_989_000, 1_729_992_600], pa.timestamp("s", "Europe/Berlin"))
    keys = pa.table({"K": twice})  # 02:30 in summer, and an hour later in winter
    status = connection.push(keys, POOL, table, mode="REPLACE", keys="K", times="local")
    assert "1 has the key of another row" in " ".join(status.warnings)
    assert connection.delete(keys, POOL, table, keys="K", times="local").ok
    assert server.table(POOL, table).num_rows == 0


def test_local_times_of_parquet_files(
    tmp_path: Path, server: Any, connection: Celonis, table: str
) -> None:
    """Files keep the zone of a column; several zones in one are rejected."""
    pq.write_table(pa.table({"T": ARROW}), tmp_path / "1.parquet")
    connection.push(tmp_path, POOL, table, mode="REPLACE", times="local")
    assert server.table(POOL, table)["T"].to_pylist() == SEEN
    tokyo = ARROW.cast(pa.timestamp(ARROW.type.unit, "Asia/Tokyo"))
    pq.write_table(pa.table({"T": tokyo}), tmp_path / "2.parquet")
    with pytest.raises(exceptions.ColumnTypeError, match="several zones"):
        connection.push(tmp_path, POOL, table, times="local")
    connection.push(tmp_path, POOL, table, mode="REPLACE")
    assert server.table(POOL, table)["T"].to_pylist() == [*IN_UTC, *IN_UTC]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array([0], pa.timestamp("us", "Nowhere/Else")), "'Nowhere/Else'"),
        (pa.array([2**63 - 2], pa.timestamp("us", "Europe/Berlin")), "no local time"),
        (pa.array([-(2**63) + 1], pa.timestamp("ns", "-10:00")), "no local time"),
    ],
)
def test_times_without_a_local_time_are_rejected(array: Any, message: str) -> None:
    """An unknown zone and a time at the very end of the range are errors with their column."""
    with pytest.raises(exceptions.ColumnTypeError, match=f"'T'.*{message}"):
        plan(pa.table({"T": array}), POOL, "T", times="local")


ZONES = st.sampled_from(
    [
        "Europe/Berlin",
        "America/St_Johns",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "UTC",
        "+05:30",
        "-0930",
    ]
)


@settings(max_examples=100)
@given(
    st.lists(st.none() | st.datetimes(dt.datetime(1950, 1, 2), dt.datetime(2036, 12, 30))), ZONES
)
def test_local_times_are_those_of_python(values: list[dt.datetime | None], zone: str) -> None:
    """In every zone, with every offset, in summer and in winter."""
    array = pa.array(values, pa.timestamp("us", zone))
    if zone[0] in "+-":
        sign, hours, minutes = int(f"{zone[0]}1"), int(zone[1:3]), int(zone[-2:])
        info: dt.tzinfo = dt.timezone(sign * dt.timedelta(hours=hours, minutes=minutes))
    else:
        info = ZoneInfo(zone)
    expected = [
        None if value is None
        else value.replace(tzinfo=dt.UTC).astimezone(info).replace(tzinfo=None)
        for value in values
    ]  # fmt: skip
    assert wall_clock(array).to_pylist() == expected
