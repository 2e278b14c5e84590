"""Struct types, and tagged unions of them, to tables: what batch mode makes of a type."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from rlfast.errors import UnsupportedFieldError
from rlfast.schema import kinds
from rlfast.schema._columns import Column, struct_column
from rlfast.schema._names import OwnNames, own_names

__all__ = ["ColumnPlan", "TablePlan", "compile_plan"]


class TablePlan(msgspec.Struct, frozen=True):
    """One struct type and its table.

    Attributes:
        name: the tag, or the name of the class for a struct without tag.
        struct: the class.
        column: the struct as a column, whose children are the columns of the table.
    """

    name: str
    struct: Any
    column: Column

    @property
    def fields(self) -> tuple[Column, ...]:
        """The columns of the fields."""
        return self.column.children


class ColumnPlan(msgspec.Struct, frozen=True):
    """What a struct type, or a tagged union, becomes as columns.

    Attributes:
        type: the type.
        tag_field: what tells the tables apart.
        tables: one for each struct.
        own_names: what the columns that rlfast adds are called, in all tables.
        splits: whether messages are arrays, each element of which is an event.
    """

    type: Any
    tag_field: str | None
    tables: tuple[TablePlan, ...]
    own_names: OwnNames
    splits: bool = False

    @property
    def event(self) -> Column:
        """An event as one column."""
        if len(self.tables) == 1:
            return self.tables[0].column
        members = tuple(table.column for table in self.tables)
        return Column("", kinds.UNION, children=members, tag_field=self.tag_field, is_array=self.is_array)

    @property
    def is_array(self) -> bool:
        """Whether JSON has the structs as arrays."""
        return self.tables[0].column.is_array


_ROOTS = (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType, inspect.TypedDictType)


def compile_plan(type_: Any) -> ColumnPlan:
    """Make the column plan of a struct type, a tagged union of structs, or a list of either.

    Raises:
        UnsupportedFieldError: it is none of these.
    """
    try:
        info = inspect.type_info(type_)
    except TypeError as error:
        raise UnsupportedFieldError(f"{type_!r} is not a type that msgspec can decode: {error}") from None
    splits = isinstance(info, (inspect.ListType, inspect.VarTupleType))
    if splits:
        info = info.item_type  # type: ignore[attr-defined]
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    if not all(isinstance(member, _ROOTS) for member in members):
        raise UnsupportedFieldError(
            f"batch mode needs a msgspec.Struct, a tagged union of them, or a list of either, not {type_!r}; "
            "use type=None to capture any JSON as text"
        )
    tables = []
    for member in members:
        tag = getattr(member, "tag", None)
        name = member.cls.__name__ if tag is None else str(tag)  # type: ignore[attr-defined]
        column = struct_column(member, name)
        assert column is not None
        tables.append(TablePlan(name, member.cls, column))  # type: ignore[attr-defined]
    names = own_names((field.name for table in tables for field in table.fields), splits=splits)
    return ColumnPlan(type_, tables[0].column.tag_field, tuple(tables), names, splits)
