"""The tags of a union of structs."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["tagging"]


def tagging(type_: Any) -> tuple[str | None, frozenset[object]]:
    """Tag field and known tags of a struct type or union, or of a list of them; (None, empty) for any other
    type.
    """
    info = msgspec.inspect.type_info(type_)
    if isinstance(info, msgspec.inspect.ListType):
        info = info.item_type
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    structs = [member for member in members if isinstance(member, msgspec.inspect.StructType)]
    fields = {struct.tag_field for struct in structs}
    for struct in structs:
        # msgspec 0.22 does not recognise a tag field, or a tag, that is not ASCII until it was encoded once.
        msgspec.json.encode((struct.tag_field, struct.tag))
    if not structs or len(fields) != 1:
        return None, frozenset()
    return structs[0].tag_field, frozenset(struct.tag for struct in structs)
