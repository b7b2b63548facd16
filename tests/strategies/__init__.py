"""Hypothesis strategies for columns of every type, each with what must be stored for its values.

The stored values are computed from Python values alone, without the code under test: this is the
oracle of tests/integration/test_roundtrip.py, and what docs/types.md promises.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

from strategies.arrow_columns import ARROW, cut
from strategies.oracle import (
    INT96_FIRST,
    PER_SECOND,
    REJECTED,
    Drawn,
    columns,
    equal,
    physical,
)
from strategies.pandas_columns import PANDAS, pandas_own
from strategies.polars_columns import POLARS, polars_own

__all__ = [
    "INT96_FIRST",
    "PER_SECOND",
    "REJECTED",
    "Drawn",
    "any_column",
    "cut",
    "equal",
    "frame",
    "numbers",
    "physical",
]


def any_column(library: str, rows: int) -> st.SearchStrategy[Drawn]:
    """A column of any type of a library."""
    kinds = {"arrow": ARROW, "polars": POLARS, "pandas": PANDAS}[library]
    some = st.sampled_from(kinds).flatmap(lambda kind: columns(kind, rows))
    own = {"polars": polars_own, "pandas": pandas_own}.get(library)
    return some if own is None else st.integers(0, 9).flatmap(
        lambda n: some if n else own(rows)
    )  # fmt: skip


def frame(library: str, named: dict[str, Any]) -> Any:
    """A frame of a library from its columns."""
    if library == "polars":
        return pl.DataFrame([series.alias(name) for name, series in named.items()])
    if library == "pandas":
        return pd.concat(list(named.values()), axis=1, keys=list(named))
    return pa.table(named)


def numbers(library: str, rows: int) -> Any:
    """A column with the numbers of the rows."""
    return {"arrow": pa.array, "polars": pl.Series, "pandas": pd.Series}[library](list(range(rows)))
