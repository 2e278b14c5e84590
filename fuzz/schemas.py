"""The types that are fuzzed. Between them they have every kind of field, constraint, default and tag."""

from __future__ import annotations

import enum
import uuid
from typing import Annotated, Any, Literal

import msgspec

from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema._markers import CategoryStr, UUIDStr


class Colour(enum.Enum):
    RED = "red"
    GREEN = "grün"


class Wide(msgspec.Struct, rename={"from_": "from", "accent": "été", "quote": "a b"}):
    i: int
    f: float
    b: bool
    s: str
    u: UUIDStr
    from_: UUIDStr | None = None
    o: uuid.UUID | None = None
    ge: Annotated[int, msgspec.Meta(ge=-3, lt=100)] = 5
    fl: Annotated[float, msgspec.Meta(gt=-0.5, le=1.5)] = 0.25
    short: Annotated[str, msgspec.Meta(min_length=1, max_length=4)] = "abc"
    accent: str | None = None
    quote: int | None = None
    word: Literal["", "a", "added", "grün"] | None = None
    colour: Colour = Colour.RED
    category: CategoryStr = "none"
    ls: list[str] = []
    lu: list[UUIDStr] = []
    two: Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)] | None = None
    a_name_that_is_longer_than_one_vector: float | None = None


class One(msgspec.Struct, tag=1, tag_field="kind", forbid_unknown_fields=True):
    x: int
    y: str = ""


class Twelve(msgspec.Struct, tag=12, tag_field="kind"):
    x: float
    z: bool | None = None


class Minus(msgspec.Struct, tag=-7, tag_field="kind"):
    pass


class Small(msgspec.Struct):
    a: int
    b: str | None = None


class Empty(msgspec.Struct):
    pass


SCHEMAS: tuple[Any, ...] = (AgentEvent, Wide, One | Twelve | Minus, Small, None, Empty)
