"""DuckDB's relations as Arrow batches, without importing DuckDB.

DuckDB passes UHUGEINT to Arrow as signed numbers, BIGNUM, BIT and VARIANT as bytes of its own and
TIME WITH TIME ZONE without its zone. The types of a relation show such columns; those of its Arrow
stream do not. All but the last are therefore read as strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames._sources.foreign_errors import translate_errors
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames.exceptions import ColumnTypeError

_UNSIGNED = pa.decimal256(39, 0)
"""Holds every UHUGEINT, which has up to 39 digits, as a decimal, as DuckDB exports HUGEINT."""

_TOP_LEVEL = {"uhugeint": _UNSIGNED, "bignum": WideInteger()}
_WIDE = frozenset({"hugeint", "uhugeint", "bignum"})
_TEXTS = {"bit": "VARCHAR", "variant": "JSON"}
_ZONED = "time with time zone"
_NESTED = frozenset({"list", "array", "struct", "map", "union"})


def is_relation(frame: Any) -> bool:
    """Whether this is a relation of DuckDB."""
    return type(frame).__name__ == "DuckDBPyRelation"


def read_relation(relation: Any, kind: str, options: ReadOptions) -> Source:
    """A relation's rows as Arrow batches.

    Raises:
        ColumnTypeError: A column has times with a zone, for which Arrow has no type.
    """
    names, types = list(relation.columns), dict(zip(relation.columns, relation.dtypes, strict=True))
    if options.choose is not None:
        names = options.choose(names)
    for name in names:
        _check_type(name, types[name])
    wide = [name for name in names if _sql_type(types[name]) != str(types[name])]
    if wide or len(names) < len(types):
        relation = relation.project(", ".join(_projected(name, types[name]) for name in names))
    reader = pa.RecordBatchReader.from_stream(relation)
    schema = reader.schema
    for name in wide:
        place = schema.get_field_index(name)
        own = _TOP_LEVEL.get(types[name].id) or _arrow_type(types[name], schema.field(place).type)
        schema = schema.set(place, pa.field(name, own))

    def batches() -> Iterator[pa.RecordBatch]:
        with translate_errors(kind):
            for batch in reader:
                arrays = [_typed(array, f.type) for array, f in zip(batch, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return Source(kind, schema, None, False, False, batches)


def _check_type(name: str, dtype: Any) -> None:
    inside = _ids(dtype)
    if _ZONED in inside:
        raise ColumnTypeError(
            f"Column {name!r} is {dtype}, and DuckDB passes on such times without their zone: cast "
            "them to TIME or VARCHAR in the query.",
            column=name,
        )
    if "union" in inside and inside & _WIDE:
        raise ColumnTypeError(
            f"Column {name!r} is {dtype}, and DuckDB passes on such integers in a union as others: "
            "cast them to BIGINT or VARCHAR in the query.",
            column=name,
        )


def _ids(dtype: Any) -> set[str]:
    """The kinds of a type and of those inside it."""
    return {dtype.id}.union(*(_ids(child) for _, child in _children(dtype)))


def _children(dtype: Any) -> list[tuple[str, Any]]:
    """The types inside a nested type."""
    if dtype.id not in _NESTED:
        return []
    return [
        (name, child) for name, child in dtype.children if name != "size" or dtype.id != "array"
    ]


def _sql_type(dtype: Any, *, inside: bool = False) -> str:
    """The type in SQL, with strings in place of what Arrow does not get right."""
    if dtype.id in _TOP_LEVEL or (inside and dtype.id in _WIDE):
        return "VARCHAR"
    if dtype.id in _TEXTS:
        return _TEXTS[dtype.id]
    parts = {name: _sql_type(child, inside=True) for name, child in _children(dtype)}
    if all(
        part == str(child)
        for part, (_, child) in zip(parts.values(), _children(dtype), strict=True)
    ):
        return str(dtype)
    if dtype.id == "struct":
        return f"STRUCT({', '.join(f'{_quoted(name)} {part}' for name, part in parts.items())})"
    if dtype.id == "map":
        return f"MAP({', '.join(parts.values())})"
    size = dict(dtype.children)["size"] if dtype.id == "array" else ""
    return f"{parts['child']}[{size}]"


def _arrow_type(dtype: Any, exported: pa.DataType) -> pa.DataType:
    """The exported type with `WideInteger` in place of the strings of wide integers."""
    if dtype.id in _WIDE:
        return WideInteger()
    inside = [child for _, child in _children(dtype)]
    if dtype.id == "struct":
        fields = zip(inside, exported, strict=True)
        return pa.struct([f.with_type(_arrow_type(child, f.type)) for child, f in fields])
    if dtype.id == "map":
        parts = zip(inside, (exported.key_type, exported.item_type), strict=True)
        return pa.map_(*(_arrow_type(child, part) for child, part in parts))
    if dtype.id == "array":
        return pa.list_(_arrow_type(inside[0], exported.value_type), exported.list_size)
    return pa.list_(_arrow_type(inside[0], exported.value_type)) if inside else exported


def _typed(array: Any, kind: pa.DataType) -> Any:
    if array.type == kind:
        return array
    if isinstance(kind, WideInteger):
        return pa.ExtensionArray.from_storage(kind, array.cast(kind.storage_type))
    return array.cast(kind)


def _projected(name: str, dtype: Any) -> str:
    sql = _sql_type(dtype)
    return (
        _quoted(name) if sql == str(dtype) else f"CAST({_quoted(name)} AS {sql}) AS {_quoted(name)}"
    )


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
