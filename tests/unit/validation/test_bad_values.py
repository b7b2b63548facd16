"""Bad values are found wherever they are, and nothing else is: for every type and reason."""

from __future__ import annotations

import decimal
import math
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import Column
from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.json_text import BYTES_ERROR
from celonis_frames._validation import bad_values, column_stats
from celonis_frames._validation.bad_values import _UTF8, FoundBad, find_bad
from celonis_frames._validation.rejects import Reason
from celonis_frames.exceptions import ColumnTypeError

D = decimal.Decimal
INF, NAN = float("inf"), float("nan")
DAY = 86_400_000_000


def _found(array: Any, *, limit: int = 16_250, no_nulls: bool = False, **options: Any) -> FoundBad:
    prepared = prepare(pa.table({"C": array}), "T", PushOptions.parse(on_bad="null", **options))
    column, source = prepared.layout.columns[0], array
    return find_bad(column, source, limit=limit, options=prepared.layout.options, no_nulls=no_nulls)


def _places(found: FoundBad) -> dict[str, list[int]]:
    return {
        reason.value[0]: [n for n, bad in enumerate(mask.to_pylist()) if bad]
        for reason, mask in found.masks.items()
    }


def _wide(*values: int) -> Any:
    return pa.ExtensionArray.from_storage(
        WideInteger(), pa.array(map(str, values), pa.large_string())
    )


def _dictionary(indices: list[int | None], *values: bytes) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(indices), _text(*values))


def _text(*values: bytes) -> Any:
    return pa.array(values, pa.binary()).view(pa.string())


INTEGER = {"columns": {"C": "INTEGER"}}
DATE = {"columns": {"C": "DATE"}}
STRING = {"columns": {"C": "STRING"}}
SECRET = {"columns": {"C": Column(pseudonymise="key")}}
CSV = {"upload": {"file_type": "CSV"}}
TOP = 2**63 - 1

CASES: list[tuple[str, Any, dict[str, Any], dict[str, list[int]]]] = [
    ("uint64", pa.array([0, TOP, TOP + 1, None, 2**64 - 1], pa.uint64()), {},
     {"does not fit": [2, 4]}),
    ("wide integers", _wide(TOP, TOP + 1, -TOP - 1, -TOP - 2, 10**30, -(10**30), 0), {},
     {"does not fit": [1, 3, 4, 5]}),
    *((f"{kind} as INTEGER", pa.array([1.0, 0.5, NAN, INF, None, -3.0], kind), INTEGER,
       {"infinite": [3], "does not fit": [1, 2]}) for kind in (pa.float32(), pa.float64())),
    ("far floats as INTEGER", pa.array([2.0**63, -(2.0**63), 1e300, 2.0**62]), INTEGER,
     {"does not fit": [0, 2]}),
    *((f"{kind} as INTEGER", pa.array([D("1.00"), D("1.01"), None, D("-2.00")], kind), INTEGER,
       {"does not fit": [1]}) for kind in (pa.decimal128(9, 2), pa.decimal256(50, 2))),
    ("far decimals as INTEGER", pa.array([D(TOP), D(TOP + 1), D(-TOP - 1), D(-TOP - 2)]), INTEGER,
     {"does not fit": [1, 3]}),
    ("floats", pa.array([1.0, INF, NAN, -INF, None]), {}, {"infinite": [1, 3]}),
    ("floats in a dictionary", pa.array([1.0, INF, INF]).dictionary_encode(), {},
     {"infinite": [1, 2]}),
    ("floats as STRING", pa.array([1.0, INF]), STRING, {}),
    *((f"{kind} as DATE", pa.array([0, DAY, DAY + 1000, None], pa.timestamp("us")).cast(kind), DATE,
       {"does not fit": [2]}) for kind in
      (pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ms"), pa.timestamp("us", "UTC"))),
    ("far seconds", pa.array([0, 2**62, 1], pa.timestamp("s")), {}, {"does not fit": [1]}),
    ("far dates as STRING", pa.array([0, 2**31 - 1, 1], pa.date32()), STRING,
     {"does not fit": [1]}),
    ("times of day", pa.array([0, -1, 5], pa.time64("us")), {},
     {"does not fit": [1], "too long": [0, 2]}),
    ("nanoseconds in CSV", pa.array([0, 1, 1000], pa.timestamp("ns")), CSV, {"does not fit": [1]}),
    ("nanoseconds of a day in CSV", pa.array([0, 1, 1000], pa.time64("ns")),
     {**CSV, "columns": {"C": "TIME"}}, {"does not fit": [1]}),
    ("times that INT96 lacks", pa.array([0, -210_866_716_800_000_001], pa.timestamp("us")), {},
     {"time out of range": [1]}),
    ("times that CSV lacks", pa.array([0, -62_135_596_800_000_001], pa.timestamp("us")), CSV,
     {"time out of range": [1]}),
    ("strings", _text(b"ok", b"\xff", b"x" * 11, b"a\0", b"\0" * 11), {},
     {"not UTF-8": [1], "too long": [2, 4], "NUL character": [3]}),
    ("large strings", _text(b"\xed\xa0\x80", "ä".encode() * 10).cast(pa.large_string()), {},
     {"not UTF-8": [0]}),
    ("a dictionary", _dictionary([0, 1, 2, 1, None], b"a", b"b\0", b"\xc3"), {},
     {"not UTF-8": [2], "NUL character": [1, 3]}),
    ("views", pa.array(["a", "b\0"], pa.string_view()), {}, {"NUL character": [1]}),
    ("runs", pa.RunEndEncodedArray.from_arrays([2, 5], ["a\0", "b"]), {},
     {"NUL character": [0, 1]}),
    ("hex", pa.array([b"\0" * 6, b"\1"]), {"binary": "hex"}, {"too long": [0]}),
    ("JSON", pa.array([[1.0], [INF], [2.0, 3.0, 4.0, 5.0], None]), {"nested": "json"},
     {"infinite": [1], "too long": [2]}),
    ("pseudonyms", _text(b"a", b"\xff", b"\xc3", b"d\0"), SECRET, {"not UTF-8": [1, 2]}),
    ("pseudonyms in a dictionary", _dictionary([0, 1, 0, 2, 1], b"a", b"\xff", b"d"), SECRET,
     {"not UTF-8": [1, 4]}),
    ("dates in JSON", pa.array([[0], [2**30]], pa.list_(pa.date32())), {"nested": "json"},
     {"does not fit": [1], "too long": [0]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "options", "bad"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_each_reason_of_each_type(
    array: Any, options: dict[str, Any], bad: dict[str, list[int]]
) -> None:
    """With and without the masks of whole arrays, of any slice; strings of 10 characters fit."""
    for start in range(len(array)):
        part = array.slice(start)
        found = _found(part, limit=32 if options is SECRET else 10, **options)
        expected = {why: [n - start for n in places if n >= start] for why, places in bad.items()}
        assert _places(found) == {why: places for why, places in expected.items() if places}
        values = found.array.to_pylist()
        rejected = {n for places in expected.values() for n in places}
        nulls = [n for n, valid in enumerate(part.is_valid().to_pylist()) if not valid]
        assert [n for n, value in enumerate(values) if value is None] == sorted({*rejected, *nulls})


@pytest.mark.parametrize(
    ("array", "options", "bad"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_halving_alone_finds_what_does_not_fit(
    array: Any, options: dict[str, Any], bad: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The masks of whole arrays are only a faster way."""
    monkeypatch.setattr(bad_values, "_unfit", lambda *_: None)
    found = _found(array, limit=10, **options)
    assert _places(found).get("does not fit") == bad.get("does not fit")


@settings(max_examples=200)
@given(st.lists(st.floats() | st.integers(-(2**64), 2**64).map(float), min_size=1, max_size=9))
def test_floats_as_integers(values: list[float]) -> None:
    """Exactly those are kept that a cast of each value alone accepts."""
    found = _found(pa.array(values), **INTEGER)
    assert found.array.to_pylist() == [
        int(v) if math.isfinite(v) and v == int(v) and -TOP - 1 <= int(v) <= TOP else None
        for v in values
    ]


ODD = [b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\n", b"\xf0\x90\x80\x80"]
SURROGATES = st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass"))


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=8) | SURROGATES | st.sampled_from(ODD), min_size=1, max_size=6))
def test_utf8(values: list[bytes]) -> None:
    """What Python decodes is UTF-8."""

    def decodes(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
        return True

    found = _found(_text(*values))
    wrong = [n for n, value in enumerate(values) if not decodes(value)]
    assert _places(found).get("not UTF-8", []) == wrong
    assert re.compile(_UTF8.encode().replace(rb"\z", rb"\Z")).match(b"a\n")


def test_no_bad_value_stays_in_a_dictionary() -> None:
    """A dictionary is written whole: neither a bad value nor an unused one that is bad is in it."""
    found = _found(_dictionary([0, 1, 0, 2], b"good", b"bad\0", b"\xff"))
    assert found.array.type == pa.dictionary(pa.int32(), pa.large_string())
    assert found.array.dictionary.to_pylist() == ["good"]


def test_times_that_an_old_arrow_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day before 1970 are bad if this pyarrow is older than 23; midnights are not."""
    monkeypatch.setattr(column_stats, "WRITES_EARLY_TIMES", False)
    array = pa.array([0, -1, -DAY, None], pa.timestamp("us"))
    assert _places(_found(array)) == {"time before 1970": [1]}
    assert _places(_found(array, **CSV)) == {}


def test_nulls_are_bad_in_keys_only() -> None:
    """A null that stands for a bad value counts for its own reason."""
    array = pa.array([1.0, None, INF])
    assert _places(_found(array, no_nulls=True)) == {"infinite": [2], "null key": [1]}
    found = _found(array, no_nulls=True, infinity="null")
    assert _places(found) == {"null key": [1, 2]}


def test_a_type_that_cannot_be_converted_is_an_error() -> None:
    """It is no matter of values, so no row is left out for it."""
    array = pa.array([[b"x"], [b"y"]])
    prepared = prepare(pa.table({"C": array}), "T", PushOptions.parse(on_bad="drop", nested="json"))
    with pytest.raises(ColumnTypeError, match=re.escape(BYTES_ERROR[1])):
        prepared.measure.convert(pa.record_batch({"C": array}))


def test_a_good_batch_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a good column of a batch with bad ones."""
    searched: list[str] = []
    find = bad_values.find_bad

    def noted(column: Any, *given: Any, **more: Any) -> Any:
        searched.append(column.name)
        return find(column, *given, **more)

    monkeypatch.setattr("celonis_frames._validation.validator.find_bad", noted)
    good = pa.record_batch({"A": [1.0, 2.0], "B": ["x", "y"]})
    bad = pa.record_batch({"A": [1.0, INF], "B": ["x", "y"]})
    for on_bad in ("null", "drop"):
        measure = prepare(good, "T", PushOptions.parse(on_bad=on_bad)).measure
        measure.convert(good)
        assert searched == []
        measure.convert(bad, 2)
        assert searched.pop() == "A"


@pytest.mark.parametrize("on_bad", ["null", "drop"])
def test_rejected_values_leave_no_trace_in_the_statistics(on_bad: str) -> None:
    """Lengths, keys and warnings are those of the rows that are sent."""
    bad = pa.record_batch({"K": [1, 2, 2], "T": ["a", "b" * 20_000, "ccc"], "U": [INF, 1.0, 2.0]})
    options = PushOptions.parse(on_bad=on_bad, keys="K")
    measure = prepare(bad, "T", options).measure
    converted = measure.convert(bad)
    kept = 1 if on_bad == "drop" else 3
    assert (measure.rows, converted.num_rows) == (kept, kept)
    assert measure.longest("T") == (3, 3)
    assert measure.different_keys == (1 if on_bad == "drop" else 2)
    assert ("2 of 3 rows left out" in str(measure.check())) == (on_bad == "drop")


def test_every_reason_has_its_words() -> None:
    """Short, different, and explained."""
    words = [reason.value[0] for reason in Reason]
    assert len(set(words)) == len(words)
    assert all(reason.value[1] and reason.place == n for n, reason in enumerate(Reason))
