"""The columns of a nested type as the other readers of JSON want them told: pyarrow, polars, DuckDB.

They make one table of all types of a union, with the fields of its members side by side. Where a reader has
no such column it gets another one:

- Maps: polars has none, and keeps their JSON; pyarrow reads none from objects, and has a field for every key.
- Free-form objects: pyarrow does not keep them as text, and skips them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import inspect

from rlfast.schema._names import distinct_names

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.fZ"


def fields(type_: Any, tag_field: str | None) -> dict[str, inspect.Type]:
    """Names and types of the columns of one table for all members of a union, its tag in front."""
    info = inspect.type_info(type_)
    if isinstance(info, inspect.ListType):
        info = info.item_type
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    out: dict[str, inspect.Type] = {} if tag_field is None else {tag_field: inspect.StrType()}
    for member in members:
        assert isinstance(member, inspect.StructType)
        out |= {field.encode_name: field.type for field in member.fields}
    return out


def without_none(info: inspect.Type) -> inspect.Type:
    """The type inside an Optional, or the type."""
    if isinstance(info, inspect.UnionType):
        (info,) = (member for member in info.types if not isinstance(member, inspect.NoneType))
    return info


def is_json(info: inspect.Type) -> bool:
    """Whether any JSON fits: its column is the JSON's text."""
    if isinstance(info, inspect.DictType):
        info = info.value_type
    return isinstance(info, inspect.AnyType)


def arrow(columns: dict[str, inspect.Type], keys: dict[str, list[str]]) -> Any:
    """A pyarrow schema; `keys` are those of maps, by the name of their field."""
    import pyarrow as pa

    simple = {
        inspect.IntType: pa.int64(),
        inspect.FloatType: pa.float64(),
        inspect.BoolType: pa.bool_(),
        inspect.DateTimeType: pa.timestamp("us", "UTC"),
    }

    def members(found: Iterable[tuple[str, inspect.Type]]) -> list[tuple[str, Any]]:
        return [(name, inner) for name, info in found if (inner := column(name, info)) is not None]

    def column(name: str, info: inspect.Type) -> Any:
        info = without_none(info)
        if is_json(info):
            return None
        if isinstance(info, inspect.ListType):
            item = column(name, info.item_type)
            return None if item is None else pa.list_(item)
        if isinstance(info, inspect.DictType):
            return pa.struct([(key, column(key, info.value_type)) for key in keys[name]])
        if isinstance(info, inspect.StructType):
            return pa.struct(members((field.encode_name, field.type) for field in info.fields))
        return simple.get(type(info), pa.string())

    return pa.schema(members(columns.items()))


def polars(columns: dict[str, inspect.Type]) -> dict[str, Any]:
    """A polars schema, with times as text; see `polars_times`."""
    import polars as pl

    simple: dict[type, Any] = {
        inspect.IntType: pl.Int64,
        inspect.FloatType: pl.Float64,
        inspect.BoolType: pl.Boolean,
    }

    def column(info: inspect.Type) -> Any:
        info = without_none(info)
        if isinstance(info, inspect.ListType):
            return pl.List(column(info.item_type))
        if isinstance(info, inspect.StructType):
            return pl.Struct({field.encode_name: column(field.type) for field in info.fields})
        return simple.get(type(info), pl.String)

    return {name: column(info) for name, info in columns.items()}


def polars_times(columns: dict[str, inspect.Type]) -> list[Any]:
    """Expressions that make times of their text, which is six times faster than to read them as times."""
    import polars as pl

    def times(expression: Any, info: inspect.Type) -> Any:
        info = without_none(info)
        if isinstance(info, inspect.DateTimeType):
            return expression.str.to_datetime(TIME_FORMAT, time_unit="us", time_zone="UTC")
        if isinstance(info, inspect.ListType):
            inner = times(pl.element(), info.item_type)
            return None if inner is None else expression.list.eval(inner)
        if isinstance(info, inspect.StructType):
            found = [times(pl.field(field.encode_name), field.type) for field in info.fields]
            changed = [inner for inner in found if inner is not None]
            return expression.struct.with_fields(changed) if changed else None
        return None

    found = [times(pl.col(name), info) for name, info in columns.items()]
    return [expression for expression in found if expression is not None]


def duckdb(columns: dict[str, inspect.Type]) -> dict[str, str]:
    """Names and SQL types of DuckDB's columns, whose names must differ in more than case."""
    simple: dict[type, str] = {
        inspect.IntType: "BIGINT",
        inspect.FloatType: "DOUBLE",
        inspect.BoolType: "BOOLEAN",
        inspect.DateTimeType: "TIMESTAMPTZ",
    }

    def column(info: inspect.Type) -> str:
        info = without_none(info)
        if is_json(info):
            return "JSON"
        if isinstance(info, inspect.ListType):
            return f"{column(info.item_type)}[]"
        if isinstance(info, inspect.DictType):
            return f"MAP(VARCHAR, {column(info.value_type)})"
        if isinstance(info, inspect.StructType):
            inner = (f'"{field.encode_name}" {column(field.type)}' for field in info.fields)
            return f"STRUCT({', '.join(inner)})"
        return simple.get(type(info), "VARCHAR")

    names = distinct_names(columns)
    return {name: column(info) for name, info in zip(names, columns.values(), strict=True)}


def duckdb_source(path: object, columns: dict[str, inspect.Type]) -> str:
    """SQL of the rows of an NDJSON file."""
    kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in duckdb(columns).items())
    return f"read_json('{path}', format='newline_delimited', columns={{{kinds}}})"
