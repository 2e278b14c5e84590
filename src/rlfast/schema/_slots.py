"""Types to the plans of message mode: what a message is, and what the compiled decoder makes of it.

Unlike a column plan (`rlfast.schema._plan`), one is never refused: msgspec decodes what it does not know.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from rlfast._core.structs import StructDecoder
from rlfast.schema import kinds
from rlfast.schema._decoding import Decoding, kept
from rlfast.schema._parts import MAX_PARTS, Part, Place, UnknownTypeError, part_of, struct_part, union_part


class StructPlan(msgspec.Struct, frozen=True):
    """What a message is: a struct, one of `shapes`.

    If `is_value`, it is something else: what the only field of the only one of them is.
    """

    tag_field: str | None
    shapes: tuple[Part, ...]
    is_value: bool = False


def struct_decoder(decoding: Any) -> StructDecoder | None:
    """The compiled decoder for a type, or a `Decoding`, shared by all connections of the process.

    None: msgspec decodes everything.
    """
    return kept(_make, decoding)


def _make(decoding: Decoding) -> StructDecoder | None:
    plan = struct_plan(decoding)
    return None if plan is None else StructDecoder(plan)


def struct_plan(decoding: Any) -> StructPlan | None:
    """The plan of a type, or a `Decoding`; None if msgspec must see every message."""
    decoding = Decoding.of(decoding)
    type_ = decoding.type
    try:
        info = inspect.type_info(type_)
    except TypeError:
        return None
    structs = info.types if isinstance(info, inspect.UnionType) else (info,)
    structs = tuple(member for member in structs if not isinstance(member, inspect.NoneType))
    try:
        if structs and all(isinstance(member, inspect.StructType) for member in structs):
            return _structs(
                [_member(struct, decoding) for struct in structs if isinstance(struct, inspect.StructType)]
            )
        part = part_of(info, type_, Place(decoding, [MAX_PARTS]))
    except UnknownTypeError:
        return None
    if part.kind in (kinds.STRUCT, kinds.TUPLE):
        return _structs([part])
    if part.kind in (kinds.LIST, kinds.MAP):
        return StructPlan(None, (Part("", kinds.STRUCT, children=(part,), made=dict),), is_value=True)
    return None


def _member(struct: inspect.StructType, decoding: Decoding) -> Part:
    """The part of a struct that is a message; if need be one that msgspec sees every time."""
    try:
        return struct_part(struct, Place(decoding, [MAX_PARTS]))
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
