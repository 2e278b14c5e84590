"""What a field that an object does not hold stands for."""

from __future__ import annotations

import enum
import math
from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["Default", "default_of"]


class Default(msgspec.Struct, frozen=True):
    """The default of a field.

    Attributes:
        is_null: whether it is None, or UNSET, of which a column is null, too.
        json: it as JSON, if it is always the same and JSON has it.
        number: it, if it is a number that JSON does not have: not finite.
        is_made: whether Python code makes it anew for each object.
        is_odd: whether it is a text that the field's type does not name.
    """

    is_null: bool = False
    json: bytes | None = None
    number: float | None = None
    is_made: bool = False
    is_odd: bool = False


_EMPTY: dict[Any, bytes] = {
    list: b"[]",
    set: b"[]",
    frozenset: b"[]",
    tuple: b"[]",
    dict: b"{}",
    bytearray: b'""',
}


def default_of(field: inspect.Field, categories: tuple[str, ...] | None) -> Default:
    """Return the default of a struct's field, whose type names these texts, or any."""
    if field.required:
        return Default()
    factory, default = field.default_factory, field.default
    if factory is not msgspec.NODEFAULT:
        if factory in _EMPTY:
            return Default(json=_EMPTY[factory])
        if not (isinstance(factory, type) and issubclass(factory, msgspec.Struct)):
            return Default(is_made=True)
        default = factory()
    if default is None or default is msgspec.NODEFAULT:
        # How msgspec.inspect shows the default UNSET, and a key that a TypedDict may lack.
        return Default(is_null=True)
    plain = default.value if isinstance(default, enum.Enum) else default
    if isinstance(plain, float) and not math.isfinite(plain):
        return Default(number=plain)
    odd = categories is not None and plain not in categories
    try:
        return Default(json=msgspec.json.encode(plain), is_odd=odd)
    except (TypeError, ValueError):
        return Default(is_made=True)
