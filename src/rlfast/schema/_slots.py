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

from rlfast._core.columns import ColumnKind
from rlfast._core.structs import StructDecoder, slots_of
from rlfast.errors import UnsupportedFieldError
from rlfast.schema import _plan as schema


class SlotPlan(msgspec.Struct, frozen=True):
    """One field of a struct.

    The attributes up to `limits` have the meaning of those of `rlfast.schema._plan.FieldPlan`.
    """

    column: str
    """Name in JSON."""
    attribute: str
    kind: ColumnKind
    accepts_null: bool
    required: bool
    default_json: bytes | None
    limits: schema.Limits | None
    default_is_null: bool
    """Whether `default` or `starts_as_list` says what an absent field holds."""
    default: Any
    starts_as_list: bool
    """Whether an absent field holds a new, empty list."""
    categories: tuple[str, ...] | None
    """The only texts that occur, and in `objects` what each stands for."""
    objects: tuple[Any, ...] | None


class ShapePlan(msgspec.Struct, frozen=True):
    """One struct type."""

    struct: type
    fields: tuple[SlotPlan, ...]
    tag: str | int | None
    keeps_unknown: bool
    """Whether fields that the struct does not know are skipped, rather than refused."""
    always_fallback: bool
    """Whether msgspec decodes all events of the type."""


class StructPlan(msgspec.Struct, frozen=True):
    """A struct type, or a tagged union of them."""

    tag_field: str | None
    tables: tuple[ShapePlan, ...]


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
    if all(shape.always_fallback for shape in shapes):
        return None
    return StructPlan(tag_field, tuple(shapes))


def _shape(struct: inspect.StructType) -> ShapePlan:
    fields: tuple[SlotPlan, ...] = ()
    always_fallback = hasattr(struct.cls, "__post_init__") or not slots_of(
        struct.cls, [f.name for f in struct.fields]
    )
    if not always_fallback:
        try:
            fields = tuple(_slot(field) for field in struct.fields)
        except UnsupportedFieldError:
            always_fallback = True
    return ShapePlan(struct.cls, fields, struct.tag, not struct.forbid_unknown_fields, always_fallback)


def _slot(field: inspect.Field) -> SlotPlan:
    """The plan of a field. Raises UnsupportedFieldError if msgspec must decode it."""
    info = schema.core_type(field.type)
    kind, accepts_null = schema.column_kind(field.type, field.name)
    if schema.only_msgspec_can_check(field.type, kind):
        raise UnsupportedFieldError(field.name)
    categories: tuple[str, ...] | None = None
    objects: tuple[Any, ...] | None = None
    if isinstance(info, inspect.StrType):
        # However its column is made.
        kind = ColumnKind.UTF8
    elif isinstance(info, inspect.ListType):
        if not isinstance(schema.core_type(info.item_type), inspect.StrType):
            raise UnsupportedFieldError(field.name)
        kind = ColumnKind.LIST_UTF8
    elif isinstance(info, inspect.LiteralType):
        categories = objects = schema.texts_of(info)
        kind = ColumnKind.UTF8
    elif isinstance(info, inspect.EnumType):
        categories, objects = schema.texts_of(info), tuple(info.cls)
        kind = ColumnKind.UTF8
    elif kind not in (ColumnKind.INT64, ColumnKind.FLOAT64, ColumnKind.BOOL):
        raise UnsupportedFieldError(field.name)
    starts_as_list = field.default_factory is list
    # What nobody can change can be shared. The default UNSET is shown as none at all.
    shared = isinstance(field.default, (str, int, float, bool, enum.Enum, type(None)))
    return SlotPlan(
        column=field.encode_name,
        attribute=field.name,
        kind=kind,
        accepts_null=accepts_null,
        required=field.required,
        default_json=None,
        limits=schema.limits_of(info),
        default_is_null=not field.required and (shared or starts_as_list),
        default=field.default if shared else None,
        starts_as_list=starts_as_list,
        categories=categories,
        objects=objects,
    )
