"""Types to columns: what each type that msgspec decodes becomes, at every level.

The kinds are in `rlfast.schema.kinds`. No type is refused for want of a column: what has none of its own is
kept as the JSON text that it is.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from typing import Annotated, Any, Union

import msgspec
from msgspec import inspect

from rlfast.errors import UnsupportedFieldError
from rlfast.schema import kinds
from rlfast.schema._defaults import Default, default_of
from rlfast.schema._limits import Limits, limits_of, only_msgspec_can_check
from rlfast.schema._names import distinct_names
from rlfast.schema.kinds import Kind

__all__ = ["STRUCTS", "Accepts", "Column", "column_of", "loosened", "struct_column", "zones"]

MAX_DEPTH = 32
"""Levels of columns inside a column; what is deeper is JSON text."""

_NO_NAME = re.compile(r'["\\\x00-\x1f]')
"""What a key of a TypedDict may have, and a field of a struct, as which it is decoded, may not."""


MAX_STRUCTS_AROUND = 3
"""Structs around JSON text that is checked without msgspec.

Structs that hold each other in unions could have any number of columns for it.
"""


class Accepts(enum.IntFlag):
    """What a JSON text may be without a closer look: the bits of `rl_field.accepts` in _core/csrc/plan.h."""

    STRING = 1
    INTEGER = 2
    NUMBER = 4
    BOOL = 8
    NULL = 16
    ARRAY = 32
    OBJECT = 64
    ALL = 127


AWARE, NAIVE = 1, 2
"""The same of datetimes and times: those with a time zone, and those without one."""


class Column(msgspec.Struct, frozen=True):
    """A column, or one inside another, and what JSON may hold for it.

    Attributes:
        name: of the column: the field's name in JSON.
        attribute: name of the field in Python.
        nullable: whether it has nulls: JSON's null, or an absent field whose default is None, or the null
            that a struct around it is.
        accepts_null: whether the type admits JSON's null.
        required: of a field: whether an object must hold it.
        default_is_null, default_json, default_value: what it stands for if an object does not hold it.
            Without them only msgspec can tell.
        default_is_made: whether Python code makes that, anew for each object.
        limits: what a value must lie between.
        categories: the only texts that occur.
        choices: the only integers that occur.
        accepts: of JSON text: what msgspec would take whatever is inside. Of a datetime or time: whether it
            may have a time zone, and whether it may lack one.
        parts: of JSON text: columns that nobody sees, which check what its first byte does not tell.
        part_of: of such a column: what JSON it is for.
        precision, scale: of decimals.
        children: of a list its items; of a map its values; of a struct its fields; of a union its members.
        tag_field, tag: of a struct with a tag, and of a union.
        keeps_unknown: of a struct: whether fields that it does not know are kept, rather than refused.
        is_array: of a struct or union: whether JSON has it as an array.
        always_fallback: whether msgspec must see every event that has a value here.
        remade: whether Python code decides what the columns hold, so that they are made from the object.
    """

    name: str
    kind: Kind
    attribute: str = ""
    nullable: bool = False
    accepts_null: bool = False
    required: bool = True
    default_is_null: bool = False
    default_json: bytes | None = None
    default_value: float | None = None
    default_is_made: bool = False
    limits: Limits | None = None
    categories: tuple[str, ...] | None = None
    choices: tuple[int, ...] | None = None
    accepts: int = 0
    parts: tuple[Column, ...] = ()
    part_of: int = 0
    precision: int = 0
    scale: int = 0
    children: tuple[Column, ...] = ()
    tag_field: str | None = None
    tag: str | int | None = None
    keeps_unknown: bool = True
    is_array: bool = False
    always_fallback: bool = False
    remade: bool = False

    @property
    def is_remade(self) -> bool:
        """Whether this column, or one inside it, is `remade`."""
        return self.remade or any(child.is_remade for child in self.children)

    @property
    def has_made_defaults(self) -> bool:
        """Whether a field inside this column has a default that is made by Python code."""
        return any(child.default_is_made or child.has_made_defaults for child in self.children)

    @property
    def physical_children(self) -> tuple[Column, ...]:
        """The columns inside this one as Arrow has them: a map's entries, a union's tag and members."""
        if self.kind is kinds.MAP:
            key = Column("key", kinds.UTF8)
            return (Column("entries", kinds.STRUCT, children=(key, *self.children)),)
        if self.kind is not kinds.UNION:
            return self.children
        tags = [member.tag for member in self.children]
        assert self.tag_field is not None
        if all(isinstance(tag, str) for tag in tags):
            tag = Column(
                self.tag_field, kinds.CATEGORY, nullable=self.nullable, categories=tuple(map(str, tags))
            )
        else:
            tag = Column(self.tag_field, kinds.INT64, nullable=self.nullable)
        with_fields = [member for member in self.children if member.children]
        names = distinct_names([self.tag_field, *(member.name for member in with_fields)])[1:]
        return (tag, *(msgspec.structs.replace(m, name=n) for m, n in zip(with_fields, names, strict=True)))

    @property
    def members(self) -> dict[str | int, int | None] | None:
        """Of a union: the index of each member among the physical children, by its tag; None for one without
        fields.
        """
        if self.kind is not kinds.UNION:
            return None
        with_fields = [member.tag for member in self.children if member.children]
        return {
            member.tag: with_fields.index(member.tag) + 1 if member.children else None
            for member in self.children
            if member.tag is not None
        }


STRUCTS = (
    inspect.StructType,
    inspect.DataclassType,
    inspect.NamedTupleType,
    inspect.TypedDictType,
)
"""What has named fields."""

# Exact classes: inspect has subclasses whose values are of another kind.
_SIMPLE: dict[type, Kind] = {
    inspect.IntType: kinds.INT64,
    inspect.FloatType: kinds.FLOAT64,
    inspect.BoolType: kinds.BOOL,
    inspect.StrType: kinds.UTF8,
    inspect.UUIDType: kinds.UUID,
    inspect.BytesType: kinds.BASE64,
    inspect.ByteArrayType: kinds.BASE64,
    inspect.MemoryViewType: kinds.BASE64,
    inspect.DateTimeType: kinds.DATETIME,
    inspect.DateType: kinds.DATE,
    inspect.TimeType: kinds.TIME,
    inspect.TimeDeltaType: kinds.DURATION,
    inspect.DecimalType: kinds.DECIMAL_TEXT,
}

# By the name that an annotation gives, and the type that it is for; None: any.
_MARKED: dict[object, tuple[Kind, type | None]] = {
    "uuid": (kinds.UUID, inspect.StrType),
    "category": (kinds.CATEGORY, inspect.StrType),
    "float_text": (kinds.FLOAT_TEXT, inspect.StrType),
    "int_text": (kinds.INT_TEXT, inspect.StrType),
    "float32": (kinds.FLOAT32, inspect.FloatType),
    "nanos": (kinds.DATETIME_NANOS, inspect.DateTimeType),
    **{f"int{bits}": (getattr(kinds, f"INT{bits}"), inspect.IntType) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (getattr(kinds, f"UINT{bits}"), inspect.IntType) for bits in (8, 16, 32, 64)},
    "epoch_s": (kinds.EPOCH_SECONDS, None),
    "epoch_ms": (kinds.EPOCH_MILLIS, None),
    "epoch_us": (kinds.EPOCH_MICROS, None),
    "epoch_ns": (kinds.EPOCH_NANOS, None),
}

_LISTS = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)

_ACCEPTED: dict[type, Accepts] = {
    inspect.StrType: Accepts.STRING,
    inspect.IntType: Accepts.INTEGER,
    inspect.FloatType: Accepts.INTEGER | Accepts.NUMBER,
    inspect.BoolType: Accepts.BOOL,
    inspect.NoneType: Accepts.NULL,
    inspect.AnyType: Accepts.ALL,
    inspect.RawType: Accepts.ALL,
}


def column_of(
    info: inspect.Type, hint: Any, name: str, depth: int = 0, around: tuple[Any, ...] = ()
) -> Column:
    """Make the column of a type.

    Args:
        info: the type.
        hint: the same as it was written, as far as that is known: it tells ``list`` from ``list[Any]``.
        name: of the column.
        depth: columns around this one.
        around: classes of the structs around this one: a type that holds itself is JSON text inside itself.
    """
    marker: object = None
    nullable = False
    while True:
        hint = _unwrapped(hint)
        if isinstance(info, inspect.Metadata):
            marker = (info.extra or {}).get("rlfast", marker)
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
    column = _plain_column(info, hint, marker, name, depth, around)
    if column is None:
        column = _json(name, info, depth, around)
    if column.kind is kinds.JSON:
        nullable = nullable or bool(column.accepts & Accepts.NULL)
    changes: dict[str, Any] = {"nullable": nullable, "accepts_null": nullable}
    if nullable:
        changes["children"] = _loosened_children(column)
    return msgspec.structs.replace(column, **changes)


def _unwrapped(hint: Any) -> Any:
    """A type as it was written, without annotations and without None."""
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated or getattr(origin, "__name__", "") in ("Required", "NotRequired", "ReadOnly"):
            hint = typing.get_args(hint)[0]
        elif origin in (Union, types.UnionType):
            rest = [part for part in typing.get_args(hint) if part not in (type(None), msgspec.UnsetType)]
            if len(rest) != 1:
                return None
            hint = rest[0]
        else:
            return hint


def _plain_column(
    info: inspect.Type, hint: Any, marker: object, name: str, depth: int, around: tuple[Any, ...]
) -> Column | None:
    """The column of a type that is neither annotated nor optional; None: it is JSON text."""
    if depth > MAX_DEPTH:
        return None
    kind, wants = _MARKED.get(marker, (None, None)) if isinstance(marker, str) else (None, None)
    if kind is not None and (wants is None or type(info) is wants):
        return _constrained(Column(name, kind), info)
    if isinstance(marker, tuple) and isinstance(info, inspect.DecimalType):
        _, precision, scale = marker
        kind = kinds.DECIMAL128 if precision <= 38 else kinds.DECIMAL256
        return Column(name, kind, precision=precision, scale=scale)
    kind = _SIMPLE.get(type(info))
    if kind is not None:
        if isinstance(info, inspect.IntType) and _is_unsigned(info):
            kind = kinds.UINT64
        elif isinstance(info, inspect.DateTimeType) and info.tz is False:
            kind = kinds.NAIVE_DATETIME
        return _constrained(Column(name, kind), info)
    if isinstance(info, (inspect.LiteralType, inspect.EnumType)):
        return _choice(name, info)
    arguments: tuple[Any, ...] = typing.get_args(hint)
    if isinstance(info, _LISTS):
        if not arguments and isinstance(info.item_type, inspect.AnyType) and hint is not None:
            return None
        item = column_of(info.item_type, arguments[0] if arguments else None, "item", depth + 1, around)
        return _constrained(Column(name, kinds.LIST, children=(item,)), info)
    if isinstance(info, inspect.DictType):
        if not isinstance(core_type(info.key_type), inspect.StrType):
            return None
        value = column_of(
            info.value_type, arguments[1] if len(arguments) == 2 else None, "value", depth + 1, around
        )
        return _constrained(Column(name, kinds.MAP, children=(value,)), info)
    if isinstance(info, inspect.TupleType) and info.item_types:
        hints = arguments if len(arguments) == len(info.item_types) else (None,) * len(info.item_types)
        fields = tuple(
            column_of(item, hint, f"f{i}", depth + 1, around)
            for i, (item, hint) in enumerate(zip(info.item_types, hints, strict=True))
        )
        return Column(name, kinds.TUPLE, children=fields, keeps_unknown=False, is_array=True)
    if isinstance(info, STRUCTS):
        return struct_column(info, name, depth, around)
    if isinstance(info, inspect.UnionType):
        return _union(info, name, depth, around)
    return None


def _is_unsigned(info: inspect.IntType) -> bool:
    """Whether values may lie over int64, and none below zero."""
    least = info.ge if info.ge is not None else info.gt + 1 if info.gt is not None else -1
    return least >= 0 and info.le is None and info.lt is None


def _constrained(column: Column, info: inspect.Type) -> Column:
    return msgspec.structs.replace(
        column,
        limits=limits_of(info, column.kind),
        accepts=zones(info),
        always_fallback=only_msgspec_can_check(info, column.kind),
    )


def zones(info: inspect.Type) -> int:
    """Which datetimes or times a type takes: the bits of `rl_field.accepts`; 0: it is neither."""
    if not isinstance(info, (inspect.DateTimeType, inspect.TimeType)):
        return 0
    return AWARE | NAIVE if info.tz is None else AWARE if info.tz else NAIVE


def _choice(name: str, info: inspect.LiteralType | inspect.EnumType) -> Column | None:
    """A text or an integer out of a few."""
    values: Any = info.values if isinstance(info, inspect.LiteralType) else [m.value for m in info.cls]
    # An Enum may take a value that is none of its own for one of them.
    remade = isinstance(info, inspect.EnumType) and _takes_others(info.cls)
    if all(isinstance(value, str) for value in values):
        return Column(name, kinds.CATEGORY, categories=tuple(map(str, values)), remade=remade)
    if all(
        isinstance(value, int) and type(value) is not bool and -(2**63) <= value < 2**63 for value in values
    ):
        return Column(name, kinds.INT_CHOICE, choices=tuple(map(int, values)), remade=remade)
    return None


def _takes_others(cls: type[enum.Enum]) -> bool:
    missing: Any = cls._missing_
    default: Any = enum.Enum._missing_
    return missing.__func__ is not default.__func__


def struct_column(info: Any, name: str, depth: int = 0, around: tuple[Any, ...] = ()) -> Column | None:
    """The column of a struct, with one child for each field; None: it is JSON text.

    It is if it holds itself, or nothing, or a key that is no name.

    Raises:
        UnsupportedFieldError: the event itself has such a key.
    """
    cls = info.cls
    odd = next((field.encode_name for field in info.fields if _NO_NAME.search(field.encode_name)), None)
    if odd is not None and not depth:
        raise UnsupportedFieldError(
            f"{cls.__name__} has the key {odd!r}: no column has a quote, a backslash or a control character "
            "in its name"
        )
    if cls in around or not info.fields or odd is not None:
        return None if depth else _struct(info, name, (), False)
    children = field_columns(info, depth + 1, (*around, cls))
    return _struct(info, name, children, True)


def _struct(info: Any, name: str, children: tuple[Column, ...], known: bool) -> Column:
    is_array = isinstance(info, inspect.NamedTupleType) or bool(getattr(info, "array_like", False))
    hooked = any(hasattr(info.cls, hook) for hook in ("__post_init__", "__post_init_post_parse__"))
    return Column(
        name,
        kinds.TUPLE if is_array else kinds.STRUCT,
        children=children,
        tag_field=getattr(info, "tag_field", None),
        tag=getattr(info, "tag", None),
        keeps_unknown=not getattr(info, "forbid_unknown_fields", False)
        and not isinstance(info, inspect.NamedTupleType),
        is_array=is_array,
        always_fallback=hooked,
        remade=hooked,
    )


def field_columns(info: Any, depth: int, around: tuple[Any, ...]) -> tuple[Column, ...]:
    """The columns of a struct's fields."""
    try:
        hints = typing.get_type_hints(info.cls, include_extras=True)
    except Exception:  # What cannot be evaluated here msgspec has evaluated.
        hints = {}
    columns = []
    for field in info.fields:
        column = column_of(field.type, hints.get(field.name), field.encode_name, depth, around)
        default = default_of(field, column.categories)
        columns.append(
            _with_default(msgspec.structs.replace(column, attribute=field.name), field.required, default)
        )
    return tuple(columns)


def _with_default(column: Column, required: bool, default: Default) -> Column:
    changes: dict[str, Any] = {
        "required": required,
        "default_is_null": default.is_null,
        "default_json": default.json,
        "default_value": default.number,
        "default_is_made": default.is_made,
    }
    if default.is_odd:
        # msgspec does not check defaults: one that is none of the texts takes them away from the column.
        changes.update(categories=None, always_fallback=True)
    if default.is_null and not column.nullable:
        changes.update(nullable=True, children=_loosened_children(column))
    return msgspec.structs.replace(column, **changes)


def _union(info: inspect.UnionType, name: str, depth: int, around: tuple[Any, ...]) -> Column | None:
    """A tagged union of structs: the tag, and a column for each member that has fields."""
    members: Any = info.types
    if not all(isinstance(member, inspect.StructType) for member in members):
        return None
    if (
        len({member.tag_field for member in members}) != 1
        or len({member.array_like for member in members}) != 1
    ):
        return None
    if any(member.cls in around for member in members):
        return None
    children = tuple(
        _struct(member, str(member.tag), field_columns(member, depth + 2, (*around, member.cls)), True)
        for member in members
    )
    tag_field, is_array = members[0].tag_field, members[0].array_like
    column = Column(name, kinds.UNION, children=children, tag_field=tag_field, is_array=is_array)
    return msgspec.structs.replace(column, children=_loosened_children(column))


def _json(name: str, info: inspect.Type, depth: int, around: tuple[Any, ...]) -> Column:
    """JSON text: what its first byte tells to be valid, and columns that check the rest."""
    accepts, parts = Accepts(0), list[Column]()
    members = _alternatives(info)
    has_integers = any(isinstance(member, _INTEGERS) for member in members)
    for member in members:
        taken = _accepted(member)
        part = None if taken else _part(member, depth, around)
        if isinstance(member, inspect.FloatType) and has_integers:
            # An integer is none of the other numbers, even if it is none of the integers that are meant.
            taken, part = taken & Accepts.NUMBER, None
        parts.extend(() if part is None else (part,))
        accepts |= taken
    return Column(name, kinds.JSON, accepts=int(accepts), parts=tuple(parts))


_INTEGERS = (inspect.IntType, inspect.LiteralType, inspect.EnumType)


def _alternatives(info: inspect.Type) -> list[Any]:
    """What a union may be, the structs together, texts and integers apart."""
    members: list[Any] = []
    for member in info.types if isinstance(info, inspect.UnionType) else (info,):
        plain = member
        while isinstance(plain, inspect.Metadata):
            plain = plain.type
        if isinstance(plain, inspect.LiteralType):
            for type_ in (str, int):
                values = tuple(value for value in plain.values if isinstance(value, type_))
                members.extend([inspect.LiteralType(values)] if values else [])
            if None in plain.values:
                members.append(inspect.NoneType())
        else:
            members.append(plain)
    structs = tuple(member for member in members if isinstance(member, inspect.StructType))
    if len(structs) > 1:
        members = [member for member in members if member not in structs]
        members.append(inspect.UnionType(structs))
    return members


def _accepted(member: inspect.Type) -> Accepts:
    """What JSON is one of a type whatever is inside; nothing, if it takes a closer look."""
    if isinstance(member, inspect.CustomType) and member.cls is object:
        return Accepts.ALL
    if isinstance(member, _LISTS[:1]) and isinstance(member.item_type, inspect.AnyType):
        return Accepts.ARRAY if limits_of(member, kinds.LIST) is None else Accepts(0)
    if isinstance(member, inspect.DictType) and isinstance(member.value_type, inspect.AnyType):
        key = member.key_type
        plain = isinstance(key, inspect.AnyType) or (
            isinstance(key, inspect.StrType) and limits_of(key, kinds.UTF8) is None and key.pattern is None
        )
        return Accepts.OBJECT if plain and limits_of(member, kinds.MAP) is None else Accepts(0)
    if type(member) in _ACCEPTED:
        kind = _SIMPLE.get(type(member), kinds.JSON)
        if limits_of(member, kind) is None and not only_msgspec_can_check(member, kind):
            return _ACCEPTED[type(member)]
    return Accepts(0)


def _part(info: inspect.Type, depth: int, around: tuple[Any, ...]) -> Column | None:
    """The column that checks what is one of a type among others."""
    if len(around) > MAX_STRUCTS_AROUND:
        return None
    column = _plain_column(info, None, None, "", depth + 1, around)
    if column is None and len(around) == 1:
        # What holds itself is checked once inside itself, as a message that is shared; deeper by msgspec.
        column = _plain_column(info, None, None, "", depth + 1, (None,))
    if column is None and isinstance(info, inspect.StructType) and not info.fields:
        column = _struct(info, "", (), True)
    if column is None or column.kind in (kinds.JSON, kinds.DECIMAL_TEXT):
        return None
    if column.kind is kinds.LIST or column.is_array:
        accepts = Accepts.ARRAY
    elif column.kind is kinds.MAP or column.kind.layout is kinds.Layout.CHILDREN:
        accepts = Accepts.OBJECT
    elif column.kind in (kinds.INT64, kinds.UINT64, kinds.INT_CHOICE):
        accepts = Accepts.INTEGER
    elif column.kind is kinds.FLOAT64:
        accepts = Accepts.INTEGER | Accepts.NUMBER
    else:
        accepts = Accepts.STRING
    return msgspec.structs.replace(_without_words(column), part_of=int(accepts))


def _without_words(column: Column) -> Column:
    """The same without dictionaries that would grow."""
    kind = kinds.UTF8 if column.kind is kinds.CATEGORY and column.categories is None else column.kind
    return msgspec.structs.replace(column, kind=kind, children=tuple(map(_without_words, column.children)))


def loosened(column: Column) -> Column:
    """The same column inside of a struct that may be null."""
    return msgspec.structs.replace(column, nullable=True, children=_loosened_children(column))


def _loosened_children(column: Column) -> tuple[Column, ...]:
    if column.kind.layout is kinds.Layout.CHILDREN:
        return tuple(map(loosened, column.children))
    return column.children


def core_type(info: inspect.Type) -> inspect.Type:
    """The type without annotations and without None."""
    if isinstance(info, inspect.Metadata):
        return core_type(info.type)
    if isinstance(info, inspect.UnionType):
        return core_type(next(m for m in info.types if not isinstance(m, inspect.NoneType)))
    return info
