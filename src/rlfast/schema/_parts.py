"""Types to what message mode makes of them: a tree of parts, one for each value at every level.

No type is refused: what the compiled decoder does not know, msgspec decodes, and that value alone.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Union

import msgspec
from msgspec import inspect

from rlfast._core.shapes import slots_of
from rlfast.schema import kinds
from rlfast.schema._columns import Accepts, Column, zones
from rlfast.schema._decoding import Decoding
from rlfast.schema._limits import limits_of, only_msgspec_can_check
from rlfast.schema.kinds import Kind

__all__ = ["MAX_PARTS", "Part", "Place", "UnknownTypeError", "part_of", "struct_part", "union_part"]

MAX_DEPTH = 32
"""Parts inside a part."""

MAX_PARTS = 4096
"""Parts of a type. Structs that hold each other more than once could have any number of them."""

UNKNOWN = object()
"""In place of a type as it was written."""


class Part(Column, frozen=True):
    """A value: what JSON may hold, as a column that is not made, and which object it becomes.

    Attributes:
        made: the class of the object, where the kind leaves a choice.
        objects: what each of the `categories`, or `choices`, stands for.
        default, factory: what an absent field holds: the one object, or what the callable returns.
        post_init: what is called with a new object; or None.
        decode: JSON to the value: of what msgspec decodes, and of plain values that are left to it.
    """

    made: Any = None
    objects: tuple[Any, ...] = ()
    default: Any = None
    factory: Any = None
    post_init: Any = None
    decode: Any = None


class UnknownTypeError(Exception):
    """The compiled decoder does not know the type."""


class Place(NamedTuple):
    """Where in a type a part is.

    Attributes:
        decoding: of the messages.
        left: of one item: how many parts the type may still have.
        around: classes of the structs around it.
        depth: parts around it.
    """

    decoding: Decoding
    left: list[int]
    around: tuple[Any, ...] = ()
    depth: int = 0


def part_of(info: inspect.Type, hint: Any, place: Place) -> Part:
    """Make the part of a type.

    Args:
        info: the type.
        hint: the same as it was written, of which a decoder for this value alone can be made; or UNKNOWN.

    Raises:
        UnknownTypeError: neither the compiled decoder nor msgspec can decode it by itself.
    """
    try:
        place.left[0] -= 1
        if place.depth > MAX_DEPTH or place.left[0] < 0:
            raise UnknownTypeError
        return _part(info, hint, place)
    except UnknownTypeError:
        return _alone(hint, place)


def _alone(hint: Any, place: Place) -> Part:
    """A value that msgspec decodes."""
    if hint is UNKNOWN:
        raise UnknownTypeError
    try:
        return Part("", kinds.JSON, decode=place.decoding.decoder(_bare(hint)).decode)
    except TypeError:
        raise UnknownTypeError from None


def _plain(accepts: Accepts) -> Part:
    """Any value, array or object: plain Python values."""
    return Part("", kinds.JSON, accepts=accepts, decode=msgspec.json.Decoder().decode)


def _bare(hint: Any) -> Any:
    """A type without what only a field can be."""
    while typing.get_origin(hint) in _QUALIFIERS:
        hint = typing.get_args(hint)[0]
    return hint


_QUALIFIERS = tuple(
    getattr(typing, name)
    for name in ("Required", "NotRequired", "ReadOnly", "Final")
    if hasattr(typing, name)
)


def _part(info: inspect.Type, hint: Any, place: Place) -> Part:
    nullable = False
    while True:
        if isinstance(info, inspect.Metadata):
            info = info.type
        elif isinstance(info, inspect.UnionType) and any(isinstance(m, inspect.NoneType) for m in info.types):
            rest = tuple(m for m in info.types if not isinstance(m, inspect.NoneType))
            nullable = True
            info = rest[0] if len(rest) == 1 else inspect.UnionType(rest)
        elif isinstance(info, inspect.LiteralType) and None in info.values and len(info.values) > 1:
            nullable = True
            info = inspect.LiteralType(tuple(value for value in info.values if value is not None))
        else:
            break
    part = _container(info, _core(hint), place) or _scalar(info)
    return msgspec.structs.replace(part, nullable=nullable, accepts_null=nullable)


def _core(hint: Any) -> Any:
    """A type as it was written, without its annotations, names and None."""
    while hint is not UNKNOWN:
        hint = _bare(hint)
        origin = typing.get_origin(hint)
        if origin is Annotated:
            hint = typing.get_args(hint)[0]
        elif origin in (Union, types.UnionType):
            rest = [part for part in typing.get_args(hint) if part not in (type(None), msgspec.UnsetType)]
            hint = rest[0] if len(rest) == 1 else UNKNOWN
        elif hasattr(hint, "__supertype__"):  # typing.NewType
            hint = hint.__supertype__
        elif hasattr(hint, "__value__"):  # type X = ...
            hint = hint.__value__
        else:
            break
    return hint


# -- values without others inside ------------------------------------------------------------------------

_PLAIN: dict[type, Kind] = {
    inspect.IntType: kinds.INT64,
    inspect.FloatType: kinds.FLOAT64,
    inspect.BoolType: kinds.BOOL,
    inspect.StrType: kinds.UTF8,
    inspect.UUIDType: kinds.UUID,
    inspect.DateType: kinds.DATE,
    inspect.DateTimeType: kinds.DATETIME,
    inspect.TimeType: kinds.TIME,
    inspect.DecimalType: kinds.DECIMAL_TEXT,
    inspect.BytesType: kinds.BASE64,
    inspect.ByteArrayType: kinds.BASE64,
    inspect.MemoryViewType: kinds.BASE64,
}

_MADE: dict[type, Any] = {
    inspect.UUIDType: uuid.UUID,
    inspect.DateType: datetime.date,
    inspect.DateTimeType: datetime.datetime,
    inspect.TimeType: datetime.time,
    inspect.DecimalType: decimal.Decimal,
    inspect.BytesType: bytes,
    inspect.ByteArrayType: bytearray,
    inspect.MemoryViewType: memoryview,
    inspect.ListType: list,
    inspect.SetType: set,
    inspect.FrozenSetType: frozenset,
    inspect.VarTupleType: tuple,
}


def _scalar(info: inspect.Type) -> Part:
    kind = _PLAIN.get(type(info))
    if kind is not None:
        if only_msgspec_can_check(info, kind):
            raise UnknownTypeError
        return Part("", kind, limits=limits_of(info, kind), accepts=zones(info), made=_MADE.get(type(info)))
    if isinstance(info, (inspect.LiteralType, inspect.EnumType)):
        return _choice(info)
    if isinstance(info, inspect.AnyType) or (isinstance(info, inspect.CustomType) and info.cls is object):
        return _plain(Accepts.ALL)
    raise UnknownTypeError


def _choice(info: inspect.LiteralType | inspect.EnumType) -> Part:
    """A text or an integer out of a few."""
    objects: tuple[Any, ...]
    values: tuple[Any, ...]
    if isinstance(info, inspect.LiteralType):
        objects = values = tuple(info.values)
    else:
        # One may take a value that is none of its own for one of them.
        if info.cls._missing_.__func__ is not enum.Enum._missing_.__func__:  # type: ignore[attr-defined]
            raise UnknownTypeError
        objects = tuple(info.cls)
        values = tuple(member.value for member in objects)
    if all(isinstance(value, str) for value in values):
        return Part("", kinds.UTF8, categories=tuple(map(str, values)), objects=objects)
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        return Part("", kinds.INT_CHOICE, choices=values, objects=objects)
    raise UnknownTypeError


# -- arrays and objects ----------------------------------------------------------------------------------


def _container(info: inspect.Type, hint: Any, place: Place) -> Part | None:
    """The part of an array or object; None: it is neither."""
    arguments = () if hint is UNKNOWN else typing.get_args(hint)
    if isinstance(info, (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)):
        limits = limits_of(info, kinds.LIST)
        if isinstance(info, (inspect.SetType, inspect.FrozenSetType)) and limits is not None:
            raise UnknownTypeError  # items that are equal count once
        if (
            isinstance(info, inspect.ListType)
            and isinstance(info.item_type, inspect.AnyType)
            and limits is None
        ):
            return _plain(Accepts.ARRAY)
        item = _inner(info.item_type, arguments[0] if arguments else UNKNOWN, place)
        return Part("", kinds.LIST, children=(item,), limits=limits, made=_MADE[type(info)])
    if isinstance(info, inspect.DictType):
        key = info.key_type
        if limits_of(info, kinds.MAP) is not None or not (
            isinstance(key, inspect.AnyType) or key == inspect.StrType()
        ):
            raise UnknownTypeError
        if isinstance(info.value_type, inspect.AnyType):
            return _plain(Accepts.OBJECT)
        value = _inner(info.value_type, arguments[1] if len(arguments) == 2 else UNKNOWN, place)
        return Part("", kinds.MAP, children=(value,))
    if isinstance(info, inspect.TupleType):
        hints = arguments if len(arguments) == len(info.item_types) else (UNKNOWN,) * len(info.item_types)
        items = tuple(_inner(item, hint, place) for item, hint in zip(info.item_types, hints, strict=True))
        return Part("", kinds.TUPLE, children=items, keeps_unknown=False, is_array=True, made=tuple)
    if isinstance(
        info, (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType, inspect.TypedDictType)
    ):
        return struct_part(info, place)
    if isinstance(info, inspect.UnionType) and all(
        isinstance(member, inspect.StructType) for member in info.types
    ):
        members = tuple(struct_part(member, place) for member in info.types)
        return union_part(members)
    return None


def _inner(info: inspect.Type, hint: Any, place: Place) -> Part:
    return part_of(info, hint, place._replace(depth=place.depth + 1))


def union_part(members: tuple[Part, ...]) -> Part:
    """A tagged union of structs. Raises UnknownTypeError for members that are told apart in another way."""
    first = members[0]
    if any((member.tag_field, member.is_array) != (first.tag_field, first.is_array) for member in members):
        raise UnknownTypeError
    return Part("", kinds.UNION, children=members, tag_field=first.tag_field, is_array=first.is_array)


def struct_part(info: Any, place: Place) -> Part:
    """What has fields: a struct, dataclass, NamedTuple or TypedDict.

    Raises:
        UnknownTypeError: it holds itself, or cannot be made as msgspec makes it.
    """
    made = info.cls if isinstance(info.cls, type) else typing.get_origin(info.cls)
    defaults = _defaults_of(info, made)
    # msgspec 0.22 does not recognise a tag field, or a tag, that is not ASCII until it was encoded once.
    msgspec.json.encode((getattr(info, "tag_field", None), getattr(info, "tag", None)))
    if info.cls in place.around:
        raise UnknownTypeError
    if isinstance(info, (inspect.DataclassType, inspect.TypedDictType)) and any(
        isinstance(field.type, inspect.RawType) for field in info.fields
    ):
        raise UnknownTypeError  # there are such fields for which msgspec takes no value, but alone it does
    # Those of a generic type are of what it was made from.
    hints = _hints_of(made) if made is info.cls else {}
    place = place._replace(around=(*place.around, info.cls))
    fields = []
    for field in info.fields:
        default, factory = defaults.get(field.name, (None, None))
        fields.append(
            msgspec.structs.replace(
                _inner(field.type, hints.get(field.name, UNKNOWN), place),
                name=field.encode_name,
                attribute=field.name,
                required=field.required,
                default_is_null=not field.required,
                default=default,
                factory=factory,
            )
        )
    is_array = isinstance(info, inspect.NamedTupleType) or bool(getattr(info, "array_like", False))
    return Part(
        made.__name__,
        kinds.TUPLE if is_array else kinds.STRUCT,
        children=tuple(fields),
        tag_field=getattr(info, "tag_field", None),
        tag=getattr(info, "tag", None),
        keeps_unknown=not getattr(info, "forbid_unknown_fields", False)
        and not isinstance(info, inspect.NamedTupleType),
        is_array=is_array,
        made=dict if isinstance(info, inspect.TypedDictType) else made,
        post_init=getattr(made, "__post_init__", None) if _has_post_init(info) else None,
    )


def _hints_of(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # What cannot be evaluated here msgspec has evaluated.
        return {}


def _has_post_init(info: Any) -> bool:
    return isinstance(info, (inspect.StructType, inspect.DataclassType))


_Defaults = dict[str, tuple[Any, Callable[[], Any] | None]]


def _defaults_of(info: Any, made: Any) -> _Defaults:
    """What absent fields hold: one object, or what a callable makes.

    Raises:
        UnknownTypeError: objects of the type cannot be made.
    """
    if isinstance(info, inspect.StructType):
        # Not those of `info`, which does not tell UNSET.
        if not slots_of(made, [field.name for field in info.fields]):
            raise UnknownTypeError
        return {field.name: _default(field, msgspec.NODEFAULT) for field in msgspec.structs.fields(made)}
    if isinstance(info, inspect.DataclassType):
        known = (
            {field.name: field for field in dataclasses.fields(made)}
            if dataclasses.is_dataclass(made)
            else {}
        )
        if any(field.name not in known or not known[field.name].init for field in info.fields):
            raise UnknownTypeError  # of the library attrs, for example
        return {name: _default(field, dataclasses.MISSING) for name, field in known.items()}
    return {field.name: (field.default, None) for field in info.fields}


def _default(field: Any, missing: Any) -> tuple[Any, Callable[[], Any] | None]:
    factory = field.default_factory
    return (None, factory) if factory is not missing else (field.default, None)
