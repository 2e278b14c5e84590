"""What was seen at each place of a sample of JSON messages, as a small tree of types.

It says what becomes a type, not how that is written: `rlfast.schema._infer_source` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "ANY",
    "NONE",
    "Choice",
    "ListOf",
    "MapOf",
    "Member",
    "OneOf",
    "Plain",
    "Record",
    "Type",
    "claiming",
    "records",
]


@dataclass(frozen=True)
class Plain:
    """A type with a name of its own: ``int``, ``datetime``, a marker of `rlfast.schema`, ``Any``."""

    name: str


@dataclass(frozen=True)
class OneOf:
    """One of a few texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class ListOf:
    """A list of any length."""

    item: Type


@dataclass(frozen=True)
class MapOf:
    """An object whose keys are data."""

    value: Type


@dataclass(frozen=True)
class Choice:
    """One of several: at most one for each kind of JSON, but for objects with tags."""

    members: tuple[Type, ...]


@dataclass(frozen=True)
class Member:
    """A field of an object, or an item of an array of fixed shape.

    Attributes:
        key: its name in JSON; of an item its number.
        notes: what a reader is to know of it.
    """

    key: str
    type: Type
    required: bool
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Record:
    """An object with these fields, or an array of this shape. Equal if its type is, whatever it is called.

    Attributes:
        path: names that lead to it, from the message on; the last one is its own.
        count: how often it was seen.
        tag_field: name of the field that tells it from the other members of its union.
    """

    path: tuple[str, ...] = field(compare=False)
    members: tuple[Member, ...]
    count: int = field(compare=False)
    tag_field: str | None = None
    tag: str | int | None = None
    array_like: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that are never absent."""
        return tuple(member.key for member in self.members if member.required)


Type: TypeAlias = Plain | OneOf | ListOf | MapOf | Choice | Record

ANY = Plain("Any")
NONE = Plain("None")


def records(type_: Type) -> Iterator[Record]:
    """Yield the records in a type, inner ones first; equal ones as often as they are there."""
    inner: tuple[Type, ...] = ()
    if isinstance(type_, ListOf):
        inner = (type_.item,)
    elif isinstance(type_, MapOf):
        inner = (type_.value,)
    elif isinstance(type_, Choice):
        inner = type_.members
    elif isinstance(type_, Record):
        inner = tuple(member.type for member in type_.members)
    for part in inner:
        yield from records(part)
    if isinstance(type_, Record):
        yield type_


def claiming(type_: Type, message: Any) -> tuple[Record, ...] | None:
    """Return which records of the type of all messages a message is for; None if it is another message.

    A message that is claimed must fit. It is another one if it has no known tag, lacks a field of a type that
    is not tagged, or is no object, or array, as the type is.
    """
    if isinstance(type_, ListOf):
        if not isinstance(message, list):
            return None
        found: list[Record] = []
        for item in message:
            inner = claiming(type_.item, item)
            if inner is None:
                return None
            found += inner
        return tuple(found)
    if isinstance(type_, Choice):
        claims = (claiming(member, message) for member in type_.members)
        return next((claim for claim in claims if claim is not None), None)
    if not isinstance(type_, Record):
        return ()
    if type_.array_like:
        least = len(type_.required) + (type_.tag_field is not None)
        fits = isinstance(message, list) and len(message) >= least
        has = message[0] if fits and message else None
    else:
        fits = isinstance(message, dict)
        has = message.get(type_.tag_field) if fits and type_.tag_field is not None else None
        fits = fits and (type_.tag_field is not None or message.keys() >= set(type_.required))
    if type_.tag_field is not None:
        fits = fits and type(has) is type(type_.tag) and has == type_.tag
    return (type_,) if fits else None
