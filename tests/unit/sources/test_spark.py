"""What is decided of a Spark DataFrame without Spark; tests/spark has the rest."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from celonis_frames._sources.spark import rows_of, session_zone


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"), ("Etc/UTC", "Etc/UTC"), ("UTC", "UTC"),
        ("GMT+08:00", "+08:00"), ("-03:30", "-03:30"), ("UTC+01:00", "+01:00"),
        ("PST8PDT+nowhere", "UTC"),
    ],
)  # fmt: skip
def test_a_zone_of_spark_is_one_of_arrow(name: str, zone: str) -> None:
    """Java takes spellings that Arrow does not know."""
    assert session_zone(name) == zone


def test_the_batches_of_a_task_get_the_schema_of_the_frame() -> None:
    """The same instants and strings, though a worker's batches have another zone and offsets."""
    schema = pa.schema([("at", pa.timestamp("us", "+02:00")), ("text", pa.string())])
    at = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    batch = pa.record_batch({
        "at": pa.array([at], pa.timestamp("us", "Europe/Berlin")),
        "text": pa.array(["x"], pa.large_string()),
    })  # fmt: skip
    table = rows_of(iter([batch, batch]), schema).read_all()
    assert table.schema == schema
    assert table.column("at").to_pylist() == [at, at]
    assert rows_of(iter([]), schema).read_all().num_rows == 0


def test_an_error_in_the_batches_is_raised() -> None:
    """As when the user's own step before the push fails."""

    def batches() -> object:
        raise RuntimeError("injected")
        yield  # pragma: no cover

    with pytest.raises(RuntimeError, match="injected"):
        rows_of(batches(), pa.schema([("a", pa.int64())])).read_all()  # type: ignore[arg-type]
