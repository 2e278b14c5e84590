"""Events inside of envelopes (``events_at``): which tables they become, and what is in front of their fields.

An envelope is a struct, or one of a tagged union of them, that holds an event, or an array of events, at the
end of the pointer's way. If the type has no such way, it is that of the events alone, and the envelope's
other fields are unknown ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from rlfast.errors import ConfigError, UnsupportedFieldError
from rlfast.schema import kinds
from rlfast.schema._columns import STRUCTS, Column, struct_column
from rlfast.schema._decoding import Decoding
from rlfast.schema._names import own_names
from rlfast.schema._plan import ColumnPlan, Envelope, TablePlan, compile_plan, present, table_name
from rlfast.schema._pointer import parse_pointer

__all__ = ["event_decoder", "levels", "plan_of"]


class _Event(NamedTuple):
    """Where an envelope has its event.

    Attributes:
        at: indices of the envelope's child with it, and of the child of that.
        structs: what the event is: one of these.
        splits: whether there is an array of them.
    """

    at: tuple[int, ...]
    structs: tuple[Any, ...]
    splits: bool


def plan_of(decoding: Decoding) -> ColumnPlan:
    """Make the column plan of a decoding, whose type is not None.

    Raises:
        ConfigError: the type has nothing at the end of the pointer, but something on the way; or it splits
            messages, and so does the framing.
        UnsupportedFieldError: what is there is no struct, tagged union of structs, or list of either.
    """
    plan = _plan_of(decoding)
    if decoding.framing is None:
        return plan
    if plan.splits:
        raise ConfigError(
            f"framing {decoding.framing!r} makes rows of the documents of a message, and a list of events "
            "would make several of each: a row has one item; leave out one of the two"
        )
    names = (field.name for table in plan.tables for field in table.fields)
    return msgspec.structs.replace(plan, own_names=own_names(names, splits=True))


def _plan_of(decoding: Decoding) -> ColumnPlan:
    names = parse_pointer(decoding.events_at)
    if not names:
        return compile_plan(decoding.type)
    type_ = decoding.type if _has(decoding.type, names[0]) else _around(decoding.type, names)
    tables, columns, splits = [], [], set()
    for member in _members(type_):
        if not isinstance(member, STRUCTS):
            raise UnsupportedFieldError(f"events_at needs a struct around the event, which {type_!r} is not")
        column = struct_column(member, table_name(member))
        assert column is not None
        event = _find(member, column, names, decoding.events_at)
        if event is None:
            columns.append(column)
            tables.append(TablePlan(table_name(member), member.cls, column, (), column.children))
            continue
        splits.add(event.splits)
        events = []
        for struct in event.structs:
            inside = struct_column(struct, table_name(struct))
            assert inside is not None
            if inside.tag is None and column.tag is not None:
                inside = msgspec.structs.replace(inside, name=str(column.tag))
            events.append(inside)
            whole = _with_event(column, event.at, inside, event.splits)
            tables.append(TablePlan(inside.name, struct.cls, whole, event.at))
        columns.append(_with_event(column, event.at, _one_of(events), event.splits))
    if len(splits) != 1:
        raise UnsupportedFieldError(
            f"at {decoding.events_at} {type_!r} has {'an event and a list' if splits else 'no event'}"
        )
    tables = _named(tables)
    own = own_names((field.name for table in tables for field in table.fields), splits=True in splits)
    message = _one_of(columns)
    ways = (column for table in tables for column in _way(table.column, table.event_at))
    envelope = Envelope(type_, message, names, any(column.is_array for column in ways))
    return ColumnPlan(decoding.type, message.tag_field, tuple(tables), own, True in splits, envelope)


def _one_of(columns: list[Column]) -> Column:
    """One column for a struct, or for one of several."""
    first = columns[0]
    if len(columns) == 1:
        return first
    return Column(
        "", kinds.UNION, children=tuple(columns), tag_field=first.tag_field, is_array=first.is_array
    )


def event_decoder(decoding: Decoding) -> Callable[[Any], Any] | None:
    """What decodes the event of an envelope that the type does not describe; None: it does."""
    names = parse_pointer(decoding.events_at)
    if not names or _has(decoding.type, names[0]):
        return None
    decode = decoding.decoder(_around(decoding.type, names)).decode

    def decode_event(payload: Any) -> Any:
        value = decode(payload)
        for _ in names:
            value = value.inside
        return value

    return decode_event


def _around(type_: Any, names: tuple[str, ...]) -> Any:
    """An envelope of which nothing is known but where its event is."""
    for name in reversed(names):
        type_ = msgspec.defstruct("Envelope", [("inside", type_)], rename={"inside": name})
    return type_


def _members(type_: Any) -> tuple[Any, ...]:
    info = inspect.type_info(type_)
    return info.types if isinstance(info, inspect.UnionType) else (info,)


def _has(type_: Any, name: str) -> bool:
    """Whether a struct, or one of several, has a field."""
    return any(name in _places(member) for member in _members(type_))


def _places(info: Any) -> dict[str, int]:
    """The fields of a struct by what a pointer calls them: by their numbers where JSON has an array."""
    names = [field.encode_name for field in getattr(info, "fields", ())]
    if isinstance(info, inspect.NamedTupleType) or getattr(info, "array_like", False):
        first = int(getattr(info, "tag", None) is not None)
        names = [str(i) for i in range(first, first + len(names))]
    return {name: i for i, name in enumerate(names)}


def _find(info: Any, column: Column, names: tuple[str, ...], pointer: str) -> _Event | None:
    """Where the event of a struct is; None: it has no field of the first name."""
    at: list[int] = []
    for depth, name in enumerate(names):
        places = _places(info)
        if name not in places:
            if depth:
                raise ConfigError(f"events_at: there is no field {name!r} on the way to {pointer}")
            return None
        at.append(places[name])
        info = present(info.fields[places[name]].type)
    splits = isinstance(info, (inspect.ListType, inspect.VarTupleType))
    if splits:
        if (info.min_length or 0) > 1:
            raise UnsupportedFieldError(
                f"each event at {pointer} becomes a row by itself: take min_length from the list's type"
            )
        info = present(info.item_type)
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    if not all(isinstance(member, STRUCTS) for member in members):
        raise UnsupportedFieldError(
            f"events_at needs a struct, a tagged union of them, or a list of either, at {pointer}"
        )
    return _Event(tuple(at), members, splits)


def _with_event(column: Column, at: tuple[int, ...], event: Column, splits: bool) -> Column:
    """An envelope's column with one kind of event, which it must hold."""
    if not at:
        return event
    place, *rest = at
    child = column.children[place]
    inside = _with_event(child, tuple(rest), event, splits)
    if not rest and splits:
        inside = Column("", kinds.LIST, children=(inside,))
    inside = msgspec.structs.replace(
        inside,
        name=child.name,
        attribute=child.attribute,
        required=True,
        nullable=False,
        accepts_null=False,
        default_is_null=False,
        default_json=None,
        default_value=None,
    )
    children = (*column.children[:place], inside, *column.children[place + 1 :])
    return msgspec.structs.replace(column, children=children)


def _way(column: Column, at: tuple[int, ...]) -> Iterator[Column]:
    """An envelope, and what is inside of it, down to what holds the event."""
    for place in at:
        yield column
        column = column.children[place]


def levels(column: Column, at: tuple[int, ...]) -> Iterator[tuple[Column, ...]]:
    """The fields of an envelope, without what holds the event; of what is inside of it; of the event."""
    for place in at:
        yield (*column.children[:place], *column.children[place + 1 :])
        column = column.children[place]
    yield (column.children[0] if column.kind is kinds.LIST else column).children


def _named(tables: list[TablePlan]) -> list[TablePlan]:
    """The tables with names that differ, and columns: a field of an envelope gives way to one of an event."""
    found = []
    names = [table.name for table in tables]
    of_events = {c.name for table in tables for c in [*levels(table.column, table.event_at)][-1]}
    for table in tables:
        fields, *around = reversed([*levels(table.column, table.event_at)])
        taken = {*of_events, *(field.name for field in fields)}
        for level in around:
            fields = (*(_renamed(field, taken) for field in level), *fields)
            taken.update(field.name for field in fields)
        is_taken = table.event_at and names.count(table.name) > 1
        name = f"{table.column.name}.{table.name}" if is_taken else table.name
        found.append(msgspec.structs.replace(table, name=name, fields=fields))
    return found


def _renamed(field: Column, taken: set[str]) -> Column:
    name = field.name
    while name in taken:
        name = f"envelope_{name}"
    return msgspec.structs.replace(field, name=name)
