"""Struct types to the plans of message mode: which fields the compiled decoder writes into which slots.

Unlike a column plan (`rlfast.schema._plan`), one is never refused: msgspec decodes what it does
not know.
"""

from __future__ import annotations

import enum
import functools
from typing import Any, get_args

import msgspec
from msgspec import inspect

from rlfast._core.structs import StructDecoder, slots_of
from rlfast.errors import UnsupportedFieldError
from rlfast.schema import kinds
from rlfast.schema._columns import Column, column_of, core_type, texts_of


class SlotPlan(msgspec.Struct, frozen=True):
    """One field of a struct."""

    attribute: str
    default: Any
    """What an absent field holds, unless a new, empty list."""
    starts_as_list: bool
    """Whether an absent field holds a new, empty list."""
    categories: tuple[str, ...] | None
    """The only texts that occur, and in `objects` what each stands for."""
    objects: tuple[Any, ...] | None


class ShapePlan(msgspec.Struct, frozen=True):
    """One struct type: what JSON may hold, as a column that is not made, and where it goes."""

    struct: type
    column: Column
    slots: tuple[SlotPlan, ...]


class StructPlan(msgspec.Struct, frozen=True):
    """A struct type, or a tagged union of them."""

    tag_field: str | None
    shapes: tuple[ShapePlan, ...]


def struct_decoder(type_: Any) -> StructDecoder | None:
    """The compiled decoder for a type, shared by all connections of the process.

    None: msgspec decodes everything.
    """
    try:
        hash(type_)
    except TypeError:  # metadata of an Annotated may be anything
        return _make(type_)
    # Unions of the same types are equal in any order.
    return _kept(type_, get_args(type_))


@functools.lru_cache(maxsize=64)
def _kept(type_: Any, members: tuple[Any, ...]) -> StructDecoder | None:
    return _make(type_)


def _make(type_: Any) -> StructDecoder | None:
    plan = struct_plan(type_)
    return None if plan is None else StructDecoder(plan)


def struct_plan(type_: Any) -> StructPlan | None:
    """The plan of a type; None if it is not made of structs, or if msgspec must see every event."""
    try:
        info = inspect.type_info(type_)
    except TypeError:
        return None
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    shapes: list[ShapePlan] = []
    tag_field = None
    for member in members:
        if not isinstance(member, inspect.StructType) or member.array_like:
            return None
        if not isinstance(member.cls, type):  # a generic struct with arguments
            return None
        tag_field = member.tag_field
        shapes.append(_shape(member))
    if all(shape.column.always_fallback for shape in shapes):
        return None
    return StructPlan(tag_field, tuple(shapes))


def _shape(struct: inspect.StructType) -> ShapePlan:
    fields: list[tuple[Column, SlotPlan]] = []
    always_fallback = hasattr(struct.cls, "__post_init__") or not slots_of(
        struct.cls, [f.name for f in struct.fields]
    )
    if not always_fallback:
        try:
            fields = [_slot(field) for field in struct.fields]
        except UnsupportedFieldError:
            always_fallback = True
    column = Column(
        struct.cls.__name__,
        kinds.STRUCT,
        children=tuple(column for column, _ in fields),
        tag_field=struct.tag_field,
        tag=struct.tag,
        keeps_unknown=not struct.forbid_unknown_fields,
        always_fallback=always_fallback,
    )
    return ShapePlan(struct.cls, column, tuple(slot for _, slot in fields))


def _slot(field: inspect.Field) -> tuple[Column, SlotPlan]:
    """The plan of a field. Raises UnsupportedFieldError if msgspec must decode it."""
    info = core_type(field.type)
    column = column_of(field.type, None, field.encode_name)
    categories: tuple[str, ...] | None = None
    objects: tuple[Any, ...] | None = None
    kind = column.kind
    if column.always_fallback or column.remade:
        raise UnsupportedFieldError(field.name)
    if isinstance(info, inspect.StrType):
        # However its column is made.
        kind = kinds.UTF8
    elif isinstance(info, inspect.ListType):
        item = column.children[0] if column.children else column
        if (
            not isinstance(core_type(info.item_type), inspect.StrType)
            or item.accepts_null
            or item.limits
            or item.always_fallback
        ):
            raise UnsupportedFieldError(field.name)
        column = msgspec.structs.replace(column, children=(msgspec.structs.replace(item, kind=kinds.UTF8),))
    elif kind is kinds.CATEGORY and isinstance(info, (inspect.LiteralType, inspect.EnumType)):
        categories = objects = texts_of(info)
        if isinstance(info, inspect.EnumType):
            objects = tuple(info.cls)
        kind = kinds.UTF8
    elif kind not in (kinds.INT64, kinds.FLOAT64, kinds.BOOL):
        raise UnsupportedFieldError(field.name)
    starts_as_list = field.default_factory is list
    # What nobody can change can be shared. The default UNSET is shown as none at all.
    shared = isinstance(field.default, (str, int, float, bool, enum.Enum, type(None)))
    column = msgspec.structs.replace(
        column,
        kind=kind,
        required=field.required,
        default_is_null=not field.required and (shared or starts_as_list),
        default_json=None,
    )
    slot = SlotPlan(
        attribute=field.name,
        default=field.default if shared else None,
        starts_as_list=starts_as_list,
        categories=categories,
        objects=objects,
    )
    return column, slot
