"""Struct types to column plans.

Any msgspec struct, or tagged union of structs, whose fields have one of these types makes a plan:

=============================================  ==================  ==========================
field type                                     column kind         Arrow type
=============================================  ==================  ==========================
``int``                                        INT64               int64
``float``                                      FLOAT64             float64
``bool``                                       BOOL                bool
``str``                                        UTF8                utf8 or dictionary<int32, utf8>
`rlfast.UUIDStr`, ``uuid.UUID``                UUID                arrow.uuid (16 bytes)
``Literal`` of texts, ``Enum`` of texts        DICT_UTF8           dictionary<int32, utf8>
`CategoryStr`                                  DICT_UTF8           dictionary<int32, utf8>
``list[str]``                                  LIST_UTF8           list<utf8>
``list[UUIDStr]``, ``list[uuid.UUID]``         LIST_UUID           list<arrow.uuid>
=============================================  ==================  ==========================

each also as ``Optional``. A type that is not here raises `UnsupportedFieldError`, which names the field.
"""

from __future__ import annotations

import enum
import math
import uuid
from typing import Any

import msgspec
from msgspec import inspect

from rlfast._core.columns import ColumnKind
from rlfast.errors import UnsupportedFieldError
from rlfast.schema._names import OwnNames, own_names


class Limits(msgspec.Struct, frozen=True):
    """What a value must lie between, both ends included."""

    integer: tuple[int, int] = (-(2**63), 2**63 - 1)
    number: tuple[float, float] = (-math.inf, math.inf)
    length: tuple[int, int] = (0, 2**63 - 1)
    """Code points of a text, items of a list."""


class FieldPlan(msgspec.Struct, frozen=True):
    """One field of a struct and the column it goes into."""

    column: str
    """Name of the column: the field's name in JSON."""
    attribute: str
    """Name of the struct's attribute."""
    kind: ColumnKind
    nullable: bool
    """Whether the column has nulls: JSON's null, or an absent field whose default is None."""
    accepts_null: bool = False
    """Whether the field's type admits JSON's null."""
    required: bool = True
    default_is_null: bool = False
    default_json: bytes | None = None
    """JSON of what an absent field stands for; None if only msgspec can tell, or the default is None."""
    categories: tuple[str, ...] | None = None
    """The only texts that occur."""
    limits: Limits | None = None


class TablePlan(msgspec.Struct, frozen=True):
    """One struct type and its table."""

    name: str
    """The tag, or the name of the class for a struct without tag."""
    struct: type
    fields: tuple[FieldPlan, ...]
    tag: str | int | None = None
    keeps_unknown: bool = True
    """Whether fields that the struct does not know are kept, rather than refused."""
    always_fallback: bool = False
    """Whether msgspec must see every event: the struct has what the compiled decoder does not know."""


class ColumnPlan(msgspec.Struct, frozen=True):
    """What a struct type, or a tagged union, becomes as columns."""

    type: Any
    tag_field: str | None
    tables: tuple[TablePlan, ...]
    own_names: OwnNames
    """What the columns that rlfast adds are called, in all tables."""


_LISTS = {ColumnKind.UTF8: ColumnKind.LIST_UTF8, ColumnKind.UUID: ColumnKind.LIST_UUID}


def compile_plan(type_: Any) -> ColumnPlan:
    """Make the column plan of a struct type or tagged union of structs.

    Raises:
        UnsupportedFieldError: it is not a struct, or a field has a type without a column kind.
    """
    try:
        info = inspect.type_info(type_)
    except TypeError as error:
        raise UnsupportedFieldError(f"{type_!r} is not a type that msgspec can decode: {error}") from None
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    tables = []
    tag_field = None
    for member in members:
        if not isinstance(member, inspect.StructType):
            raise UnsupportedFieldError(
                f"batch mode needs a msgspec.Struct or a tagged union of them, not {type_!r}; "
                "use type=None to capture any JSON as text"
            )
        if not isinstance(member.cls, type):
            raise UnsupportedFieldError(
                f"{member.cls!r} is a generic struct with arguments; batch mode takes its subclass: "
                f"class {member.cls.__name__}Of(...): pass"
            )
        if member.array_like:
            raise UnsupportedFieldError(
                f"{member.cls.__name__} is array_like; batch mode takes structs that are JSON objects"
            )
        tag_field = member.tag_field
        name = member.cls.__name__ if member.tag is None else str(member.tag)
        fields = _fields(member)
        always_fallback = hasattr(member.cls, "__post_init__") or any(
            # A default that is none of the categories takes them away from the column, but not from JSON.
            only_msgspec_can_check(field.type, plan.kind) or plan.categories != texts_of(field.type)
            for field, plan in zip(member.fields, fields, strict=True)
        )
        tables.append(
            TablePlan(
                name=name,
                struct=member.cls,
                fields=fields,
                tag=member.tag,
                keeps_unknown=not member.forbid_unknown_fields,
                always_fallback=always_fallback,
            )
        )
    names = own_names(field.column for table in tables for field in table.fields)
    return ColumnPlan(type=type_, tag_field=tag_field, tables=tuple(tables), own_names=names)


def _fields(struct: inspect.StructType) -> tuple[FieldPlan, ...]:
    fields = []
    for field in struct.fields:
        where = f"{struct.cls.__name__}.{field.name}"
        if not field.required and field.default is field.default_factory is msgspec.NODEFAULT:
            # How msgspec.inspect shows the default UNSET.
            raise UnsupportedFieldError(
                f"{where}: UNSET has no column value; use Optional with the default None"
            )
        kind, nullable = column_kind(field.type, where)
        default_is_null = not field.required and field.default is None
        categories = texts_of(field.type)
        default = getattr(field.default, "value", field.default)
        if categories is not None and isinstance(default, str) and default not in categories:
            # msgspec does not check defaults.
            categories = None
        fields.append(
            FieldPlan(
                column=field.encode_name,
                attribute=field.name,
                kind=kind,
                nullable=nullable or default_is_null,
                accepts_null=nullable,
                required=field.required,
                default_is_null=default_is_null,
                default_json=_default_json(field, kind),
                categories=categories,
                limits=limits_of(core_type(field.type)),
            )
        )
    return tuple(fields)


def core_type(info: inspect.Type) -> inspect.Type:
    """The type without annotations and without None."""
    if isinstance(info, inspect.Metadata):
        return core_type(info.type)
    if isinstance(info, inspect.UnionType):
        return core_type(next(m for m in info.types if not isinstance(m, inspect.NoneType)))
    return info


def texts_of(info: inspect.Type) -> tuple[str, ...] | None:
    """The texts that a field can hold, if its type names them."""
    info = core_type(info)
    if isinstance(info, inspect.LiteralType):
        return tuple(str(value) for value in info.values if value is not None)
    if isinstance(info, inspect.EnumType):
        return tuple(member.value for member in info.cls)
    return None


def limits_of(info: inspect.Type) -> Limits | None:
    """What the annotations of a field's type demand; None if they demand nothing."""
    limits = Limits()
    if isinstance(info, inspect.IntType):
        low = max(limits.integer[0], info.ge if info.ge is not None else limits.integer[0])
        high = min(limits.integer[1], info.le if info.le is not None else limits.integer[1])
        low = max(low, info.gt + 1 if info.gt is not None else low)
        high = min(high, info.lt - 1 if info.lt is not None else high)
        # A range beyond 64 bits is left to msgspec: no value that fits into the column is in it.
        limits = Limits(integer=(min(low, 2**63 - 1), max(high, -(2**63))))
    elif isinstance(info, inspect.FloatType):
        least, most = limits.number
        least = max(least, float(info.ge) if info.ge is not None else least)
        most = min(most, float(info.le) if info.le is not None else most)
        least = max(least, math.nextafter(info.gt, math.inf) if info.gt is not None else least)
        most = min(most, math.nextafter(info.lt, -math.inf) if info.lt is not None else most)
        limits = Limits(number=(least, most))
    elif isinstance(info, (inspect.StrType, inspect.ListType)):
        shortest = info.min_length if info.min_length is not None else limits.length[0]
        longest = info.max_length if info.max_length is not None else limits.length[1]
        limits = Limits(length=(shortest, min(longest, limits.length[1])))
    return None if limits == Limits() else limits


def only_msgspec_can_check(info: inspect.Type, kind: ColumnKind) -> bool:
    """Whether values of a field's type can only be checked by msgspec."""
    info = core_type(info)
    if isinstance(info, (inspect.IntType, inspect.FloatType)):
        return info.multiple_of is not None
    if isinstance(info, inspect.StrType):
        return info.pattern is not None or (kind == ColumnKind.UUID and limits_of(info) is not None)
    if isinstance(info, inspect.ListType):
        item = core_type(info.item_type)
        return isinstance(item, inspect.StrType) and (item.pattern is not None or limits_of(item) is not None)
    return False


_DEFAULTS: dict[ColumnKind, tuple[type, ...]] = {
    ColumnKind.INT64: (int,),
    ColumnKind.FLOAT64: (float, int),
    ColumnKind.BOOL: (bool,),
    ColumnKind.UTF8: (str,),
    ColumnKind.UUID: (str, uuid.UUID),
    ColumnKind.DICT_UTF8: (str,),
}


def _default_json(field: inspect.Field, kind: ColumnKind) -> bytes | None:
    """JSON of a field's default, if the default is one that JSON has."""
    if field.default_factory is list and kind in (ColumnKind.LIST_UTF8, ColumnKind.LIST_UUID):
        return b"[]"
    default = field.default.value if isinstance(field.default, enum.Enum) else field.default
    if type(default) not in _DEFAULTS.get(kind, ()) or (
        default != default or default in (math.inf, -math.inf)
    ):
        return None
    try:
        return msgspec.json.encode(default)
    except UnicodeEncodeError:
        return None


def column_kind(info: inspect.Type, where: str, marker: object = None) -> tuple[ColumnKind, bool]:
    """Column kind of a field type, and whether it admits null.

    `marker` is the value of "rlfast" in the annotation around `info`, such as that of
    ``Annotated[str | None, Meta(extra={"rlfast": "uuid"})]``.
    """
    if isinstance(info, inspect.Metadata):
        return column_kind(info.type, where, _marker(info, marker))
    if isinstance(info, inspect.UnionType):
        rest = [member for member in info.types if not isinstance(member, inspect.NoneType)]
        if len(rest) == 1 and len(info.types) == 2:
            return column_kind(rest[0], where, marker)[0], True
        raise UnsupportedFieldError(f"{where}: a union other than Optional has no column type")
    if isinstance(info, inspect.LiteralType) and None in info.values and len(info.values) > 1:
        texts = tuple(value for value in info.values if value is not None)
        return column_kind(inspect.LiteralType(texts), where)[0], True
    kind = _plain_kind(info, marker)
    if kind is None and isinstance(info, inspect.ListType):
        item = _plain_kind(info.item_type)
        kind = _LISTS.get(item) if item is not None else None
    if kind is None:
        raise UnsupportedFieldError(
            f"{where}: {_describe(info)} has no column type; supported are int, float, bool, str, UUID, "
            "Literal or Enum of texts, lists of str or UUID, and Optional of these"
        )
    return kind, False


def _marker(info: inspect.Metadata, outer: object = None) -> object:
    return (info.extra or {}).get("rlfast", outer)


def _plain_kind(info: inspect.Type, marker: object = None) -> ColumnKind | None:
    """Column kind of a scalar type, None if it has none."""
    if isinstance(info, inspect.Metadata):
        return _plain_kind(info.type, _marker(info, marker))
    if isinstance(info, inspect.StrType):
        if marker == "uuid":
            return ColumnKind.UUID
        if marker == "category":
            return ColumnKind.DICT_UTF8
    # Exact classes: inspect has subclasses whose values are no plain scalars.
    simple: dict[type, ColumnKind] = {
        inspect.IntType: ColumnKind.INT64,
        inspect.FloatType: ColumnKind.FLOAT64,
        inspect.BoolType: ColumnKind.BOOL,
        inspect.StrType: ColumnKind.UTF8,
        inspect.UUIDType: ColumnKind.UUID,
    }
    if type(info) in simple:
        return simple[type(info)]
    if isinstance(info, inspect.LiteralType) and all(isinstance(value, str) for value in info.values):
        return ColumnKind.DICT_UTF8
    if isinstance(info, inspect.EnumType) and all(isinstance(member.value, str) for member in info.cls):
        return ColumnKind.DICT_UTF8
    return None


def _describe(info: inspect.Type) -> str:
    return type(info).__name__.removesuffix("Type").lower()
