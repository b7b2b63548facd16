"""What arrives is what was sent: frames of every type, through HTTP into DuckDB and back.

A column is one example. `CELONIS_FRAMES_EXAMPLES=100000 pytest tests/test_roundtrip.py -k every`
runs many more than the 2,000 that are always run.
"""

from __future__ import annotations

import math
import os
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celonis_frames import Celonis, exceptions, plan

COLUMNS = 20
EXAMPLES = int(os.environ.get("CELONIS_FRAMES_EXAMPLES", "2100"))
LIBRARIES = ("arrow", "polars", "pandas")
ROWS = 5

PROPERTY = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}


pytestmark = pytest.mark.usefixtures("impatient")


def physical(column: Any) -> list[Any]:
    """Stored values as the oracle says them: times in microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    return column.to_pylist()


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_type_of_every_library_arrives_as_documented(
    library: str, server: Any, connection: Celonis, table: str
) -> None:
    """Each column of a frame is stored as the oracle says, or refused before anything is sent."""

    @settings(max_examples=max(1, EXAMPLES // COLUMNS // len(LIBRARIES)), **PROPERTY)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        file_type: Any = data.draw(st.sampled_from(["PARQUET", "PARQUET", "CSV"]))
        options = {"binary": "hex", "file_type": file_type}
        drawn = data.draw(
            st.lists(strategies.any_column(library, ROWS), min_size=COLUMNS, max_size=COLUMNS)
        )
        number = strategies._drawn(
            next(k for k in strategies.ARROW + strategies.POLARS + strategies.PANDAS
                 if k.id in (f"{library} int64", f"{library} Int64")), list(range(ROWS)))  # fmt: skip
        sent, expected = {"N": number.column}, {"N": number.parquet}
        for place, column in enumerate(drawn):
            name = f"C{place}"
            stored = column.stored(file_type)
            alone = strategies.frame(library, {"N": number.column, name: column.column})
            if stored is strategies.REFUSED:
                with pytest.raises(exceptions.FrameError, match=name):
                    plan(alone, "P", table, **options)
            else:
                assert plan(alone, "P", table, **options).rows == ROWS, column.kind
                values = column.column
                sent[name] = data.draw(strategies.cut(values)) if library == "arrow" else values
                expected[name] = stored
        whole = strategies.frame(library, sent)
        connection.push(whole, "Roundtrip", table, mode="REPLACE", **options)
        back = server.table("Roundtrip", table)
        assert back.schema.names == list(expected)
        order = back["N"].to_pylist()
        for name, values in expected.items():
            got = physical(back[name])
            kind = name if name == "N" else drawn[int(name[1:])].kind
            for row, place in enumerate(order):
                assert equal(got[row], values[place]), (kind, file_type, got[row], values[place])

    check()
