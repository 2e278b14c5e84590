"""Struct types, and tagged unions of them, to tables: what batch mode makes of a type."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from rlfast.errors import UnsupportedFieldError
from rlfast.schema import kinds
from rlfast.schema._columns import Column, struct_column
from rlfast.schema._names import OwnNames, own_names

__all__ = ["ROOTS", "ColumnPlan", "Envelope", "TablePlan", "compile_plan", "table_name"]


class TablePlan(msgspec.Struct, frozen=True):
    """One struct type and its table.

    Attributes:
        name: the tag, or the name of the class for a struct without tag.
        struct: the class.
        column: a message as a column; that of the struct, whose children are the columns of the table, unless
            it is inside of an envelope.
        event_at: of a struct inside of an envelope: the index of the child that it is in, and of the child of
            that.
        fields: the columns of the fields: first those of the envelope.
    """

    name: str
    struct: Any
    column: Column
    event_at: tuple[int, ...] = ()
    fields: tuple[Column, ...] = ()


class Envelope(msgspec.Struct, frozen=True):
    """What events are inside of.

    Attributes:
        type: of the messages.
        column: a message as a column.
        events_at: the names that lead to the event, or the array of events.
        is_array: whether JSON has something on that way as an array.
    """

    type: Any
    column: Column
    events_at: tuple[str, ...]
    is_array: bool


class ColumnPlan(msgspec.Struct, frozen=True):
    """What a struct type, or a tagged union, becomes as columns.

    Attributes:
        type: the type.
        tag_field: what tells the tables apart.
        tables: one for each struct.
        own_names: what the columns that rlfast adds are called, in all tables.
        splits: whether messages are arrays, each element of which is an event.
        envelope: around the events; or None.
    """

    type: Any
    tag_field: str | None
    tables: tuple[TablePlan, ...]
    own_names: OwnNames
    splits: bool = False
    envelope: Envelope | None = None

    @property
    def event(self) -> Column:
        """An event as one column, with its envelope."""
        if self.envelope is not None:
            return self.envelope.column
        if len(self.tables) == 1:
            return self.tables[0].column
        members = tuple(table.column for table in self.tables)
        return Column("", kinds.UNION, children=members, tag_field=self.tag_field, is_array=self.is_array)

    @property
    def is_array(self) -> bool:
        """Whether JSON has the structs as arrays."""
        return self.tables[0].column.is_array


ROOTS = (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType, inspect.TypedDictType)
"""What can be a table."""


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
    if not all(isinstance(member, ROOTS) for member in members):
        raise UnsupportedFieldError(
            f"batch mode needs a msgspec.Struct, a tagged union of them, or a list of either, not {type_!r}; "
            "use type=None to capture any JSON as text"
        )
    tables = []
    for member in members:
        column = struct_column(member, table_name(member))
        assert column is not None
        tables.append(TablePlan(column.name, member.cls, column, (), column.children))  # type: ignore[attr-defined]
    names = own_names((field.name for table in tables for field in table.fields), splits=splits)
    return ColumnPlan(type_, tables[0].column.tag_field, tuple(tables), names, splits)


def table_name(info: Any) -> str:
    """What the table of a struct is called: as its tag, or as its class."""
    tag = getattr(info, "tag", None)
    return str(info.cls.__name__ if tag is None else tag)
