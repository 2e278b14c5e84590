"""The tags of a union of structs, and the messages that have none of them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["Stranger", "Tagging", "tagging"]


class Stranger(msgspec.Struct, frozen=True):
    """A message of none of the types that a tag tells apart.

    Attributes:
        tag: its tag; None: it has none.
    """

    tag: str | None


class Tagging(msgspec.Struct, frozen=True):
    """How the structs of a type are told apart.

    Attributes:
        field: name of the tag; None: nothing tells them apart.
        tags: all of them.
        is_array: whether JSON has the structs as arrays, with the tag in front.
        in_list: whether a message is an array of structs.
        events_at: the names that lead from a message to its struct, or array of structs.
    """

    field: str | None = None
    tags: frozenset[object] = frozenset()
    is_array: bool = False
    in_list: bool = False
    events_at: tuple[str, ...] = ()

    def stranger(self, value: Any) -> Stranger | None:
        """What makes a message another one than all that are known, if its tag does; `value` is plain."""
        if self.field is None:
            return None
        for name in self.events_at:
            value = step(value, name)
        if not self.in_list:
            return self._stranger(value)
        found = map(self._stranger, value if isinstance(value, list) else ())
        return next((stranger for stranger in found if stranger is not None), None)

    def _stranger(self, value: Any) -> Stranger | None:
        if self.is_array:
            if not isinstance(value, list) or not value:
                return Stranger(None)
            tag = value[0]
        else:
            if not isinstance(value, dict) or self.field not in value:
                return Stranger(None)
            tag = value[self.field]
        # All tags of a union are of one type; a value of another type is a mistyped field.
        if type(tag) not in {type(known) for known in self.tags} or tag in self.tags:
            return None
        return Stranger(str(tag))


def step(value: Any, name: str) -> Any:
    """What a JSON Pointer's name leads to in a plain value; None: nothing."""
    if isinstance(value, dict):
        return value.get(name)
    is_place = isinstance(value, list) and name.isdecimal() and int(name) < len(value)
    return value[int(name)] if is_place else None


def tagging(type_: Any, events_at: tuple[str, ...] = ()) -> Tagging:
    """How the structs of a type are told apart: of a struct, a union of structs, or a list of either."""
    info = inspect.type_info(type_)
    in_list = isinstance(info, (inspect.ListType, inspect.VarTupleType))
    if in_list:
        info = info.item_type  # type: ignore[attr-defined]
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    structs = [member for member in members if isinstance(member, inspect.StructType)]
    for struct in structs:
        # msgspec 0.22 does not recognise a tag field, or a tag, that is not ASCII until it was encoded once.
        msgspec.json.encode((struct.tag_field, struct.tag))
    fields = {struct.tag_field for struct in structs}
    if len(fields) != 1:
        return Tagging()
    tags = frozenset(struct.tag for struct in structs)
    return Tagging(structs[0].tag_field, tags, structs[0].array_like, in_list, events_at)
