"""Types to the plans of message mode: what a message is, and what the compiled decoder makes of it.

Unlike a column plan (`rlfast.schema._plan`), one is never refused: msgspec decodes what it does not know.
"""

from __future__ import annotations

import functools
from typing import Any, get_args

import msgspec
from msgspec import inspect

from rlfast._core.structs import StructDecoder
from rlfast.schema import kinds
from rlfast.schema._parts import Part, UnknownTypeError, part_of, struct_part, union_part


class StructPlan(msgspec.Struct, frozen=True):
    """What a message is: a struct, one of `shapes`.

    If `is_value`, it is something else: what the only field of the only one of them is.
    """

    tag_field: str | None
    shapes: tuple[Part, ...]
    is_value: bool = False


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
    """The plan of a type; None if msgspec must see every message."""
    try:
        info = inspect.type_info(type_)
    except TypeError:
        return None
    structs = info.types if isinstance(info, inspect.UnionType) else (info,)
    structs = tuple(member for member in structs if not isinstance(member, inspect.NoneType))
    try:
        if structs and all(isinstance(member, inspect.StructType) for member in structs):
            return _structs([_member(struct) for struct in structs if isinstance(struct, inspect.StructType)])
        part = part_of(info, type_)
    except UnknownTypeError:
        return None
    if part.kind in (kinds.STRUCT, kinds.TUPLE):
        return _structs([part])
    if part.kind in (kinds.LIST, kinds.MAP):
        return StructPlan(None, (Part("", kinds.STRUCT, children=(part,), made=dict),), is_value=True)
    return None


def _member(struct: inspect.StructType) -> Part:
    """The part of a struct that is a message; if need be one that msgspec sees every time."""
    try:
        return struct_part(struct)
    except UnknownTypeError:
        kind = kinds.TUPLE if struct.array_like else kinds.STRUCT
        return Part(
            "",
            kind,
            tag_field=struct.tag_field,
            tag=struct.tag,
            is_array=struct.array_like,
            always_fallback=True,
        )


def _structs(parts: list[Part]) -> StructPlan | None:
    if all(part.always_fallback for part in parts):
        return None
    union_part(tuple(parts))  # or UnknownTypeError
    return StructPlan(parts[0].tag_field, tuple(parts))
