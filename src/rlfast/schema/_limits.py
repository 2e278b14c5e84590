"""What annotations demand of a value, as far as the compiled decoder checks it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import inspect

from rlfast.schema import kinds
from rlfast.schema.kinds import Kind

__all__ = ["Limits", "limits_of", "only_msgspec_can_check"]


class Limits(msgspec.Struct, frozen=True):
    """What a value must lie between, both ends included, and of what it must be a multiple."""

    integer: tuple[int, int] = (-(2**63), 2**63 - 1)
    number: tuple[float, float] = (-math.inf, math.inf)
    length: tuple[int, int] = (0, 2**63 - 1)
    """Code points of a text, bytes, items of a list, entries of a map."""
    multiple_of: int = 0
    """Of an integer; 0: of nothing."""


_SIZED = (
    inspect.StrType,
    inspect.BytesType,
    inspect.ByteArrayType,
    inspect.MemoryViewType,
    inspect.ListType,
    inspect.VarTupleType,
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.DictType,
)


def limits_of(info: inspect.Type, kind: Kind) -> Limits | None:
    """What the annotations of a type demand; None if they demand nothing."""
    limits = Limits()
    if isinstance(info, inspect.IntType):
        low = max(limits.integer[0], info.ge if info.ge is not None else limits.integer[0])
        high = min(limits.integer[1], info.le if info.le is not None else limits.integer[1])
        low = max(low, info.gt + 1 if info.gt is not None else low)
        high = min(high, info.lt - 1 if info.lt is not None else high)
        # A range beyond 64 bits is left to msgspec: no value that fits into the column is in it.
        limits = Limits(integer=(min(low, 2**63 - 1), max(high, -(2**63))), multiple_of=info.multiple_of or 0)
    elif isinstance(info, inspect.FloatType):
        least, most = limits.number
        least = max(least, float(info.ge) if info.ge is not None else least)
        most = min(most, float(info.le) if info.le is not None else most)
        least = max(least, math.nextafter(info.gt, math.inf) if info.gt is not None else least)
        most = min(most, math.nextafter(info.lt, -math.inf) if info.lt is not None else most)
        limits = Limits(number=(least, most))
    elif isinstance(info, _SIZED):
        sized: Any = info
        shortest = sized.min_length if sized.min_length is not None else limits.length[0]
        longest = sized.max_length if sized.max_length is not None else limits.length[1]
        limits = Limits(length=(shortest, min(longest, limits.length[1])))
    return None if limits == Limits() else limits


def only_msgspec_can_check(info: inspect.Type, kind: Kind) -> bool:
    """Whether values of a type can only be checked by msgspec."""
    if isinstance(info, inspect.FloatType):
        return info.multiple_of is not None
    if isinstance(info, inspect.StrType):
        return info.pattern is not None or (kind is not kinds.UTF8 and limits_of(info, kind) is not None)
    if isinstance(info, (inspect.SetType, inspect.FrozenSetType)):
        # Items that are equal count once: there may be fewer than there are in JSON, but not none.
        return (info.min_length or 0) > 1
    if isinstance(info, inspect.DictType):
        key = info.key_type
        return (
            isinstance(key, inspect.Metadata)
            or only_msgspec_can_check(key, kinds.UTF8)
            or limits_of(key, kinds.UTF8) is not None
        )
    return False
