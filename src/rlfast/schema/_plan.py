"""Types of messages to tables: what batch mode makes of a type."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from rlfast.errors import UnsupportedFieldError
from rlfast.schema import kinds
from rlfast.schema._columns import STRUCTS, Column, column_of, struct_column
from rlfast.schema._names import OwnNames, own_names

__all__ = ["ColumnPlan", "Envelope", "TablePlan", "compile_plan", "present", "table_name"]

VALUE = "value"
"""Name of the table, and of its only column, of messages that are no structs."""


class TablePlan(msgspec.Struct, frozen=True):
    """One type of event and its table.

    Attributes:
        name: the tag, or the name of the class for a struct without tag.
        struct: the class, or what else an event is.
        column: a message as a column; that of the event, whose children are the columns of the table, unless
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
    """What a type becomes as columns.

    Attributes:
        type: the type.
        tag_field: what tells the tables apart.
        tables: one for each struct.
        own_names: what the columns that rlfast adds are called, in all tables.
        splits: whether messages are arrays, each element of which is an event.
        envelope: around the events; or None.
        is_value: whether a message is no struct, but the value of the only column of the only table; the
            table's `column` is an array of it.
    """

    type: Any
    tag_field: str | None
    tables: tuple[TablePlan, ...]
    own_names: OwnNames
    splits: bool = False
    envelope: Envelope | None = None
    is_value: bool = False

    @property
    def event(self) -> Column:
        """An event as one column, with its envelope."""
        if self.envelope is not None:
            return self.envelope.column
        if self.is_value:
            return self.tables[0].fields[0]
        if len(self.tables) == 1:
            return self.tables[0].column
        members = tuple(table.column for table in self.tables)
        return Column("", kinds.UNION, children=members, tag_field=self.tag_field, is_array=self.is_array)

    @property
    def is_array(self) -> bool:
        """Whether JSON has the structs as arrays."""
        return self.tables[0].column.is_array


def compile_plan(type_: Any) -> ColumnPlan:
    """Make the column plan of a type.

    Raises:
        UnsupportedFieldError: msgspec cannot decode it.
    """
    try:
        whole = inspect.type_info(type_)
        msgspec.json.Decoder(type_)
    except (TypeError, ValueError) as error:
        raise UnsupportedFieldError(f"{type_!r} is not a type that msgspec can decode: {error}") from None
    info = present(whole)
    splits = isinstance(info, (inspect.ListType, inspect.VarTupleType)) and bool(_members(info.item_type))
    members = _members(info.item_type if splits else info)  # type: ignore[attr-defined]
    tables = tuple(_table(member) for member in members)
    if isinstance(info, inspect.TupleType) and info.item_types:
        column = column_of(info, type_, VALUE)
        tables = (TablePlan(VALUE, type_, column, (), column.children),)
    if not tables:
        column = Column(
            VALUE,
            kinds.TUPLE,
            children=(column_of(whole, type_, VALUE, 1),),
            keeps_unknown=False,
            is_array=True,
        )
        tables = (TablePlan(VALUE, type_, column, (), column.children),)
        return ColumnPlan(type_, None, tables, own_names([VALUE]), is_value=True)
    names = own_names((field.name for table in tables for field in table.fields), splits=splits)
    return ColumnPlan(type_, tables[0].column.tag_field, tables, names, splits)


def present(info: inspect.Type) -> inspect.Type:
    """The type without annotations, and without None beside it."""
    while True:
        if isinstance(info, inspect.Metadata):
            info = info.type
        elif isinstance(info, inspect.UnionType) and any(isinstance(m, inspect.NoneType) for m in info.types):
            rest = tuple(member for member in info.types if not isinstance(member, inspect.NoneType))
            info = rest[0] if len(rest) == 1 else inspect.UnionType(rest)
        else:
            return info


def _members(info: inspect.Type) -> tuple[Any, ...]:
    """What has a table for itself: the struct, or the structs of a union; none: it is something else."""
    info = present(info)
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    return members if all(isinstance(member, STRUCTS) for member in members) else ()


def _table(member: Any) -> TablePlan:
    column = struct_column(member, table_name(member))
    assert column is not None
    return TablePlan(column.name, member.cls, column, (), column.children)


def table_name(info: Any) -> str:
    """What the table of a struct is called: as its tag, or as its class."""
    tag = getattr(info, "tag", None)
    return str(info.cls.__name__ if tag is None else tag)
