"""Values of one place in the messages to a type, from the messages down."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlfast.schema._infer_names import class_name, singular
from rlfast.schema._infer_scalars import (
    DIGITS,
    SOME,
    number_or_text_type,
    number_type,
    plain_number_type,
    text_type,
)
from rlfast.schema._infer_tags import discriminator, usable_tag
from rlfast.schema._infer_tree import ANY, NONE, Choice, ListOf, MapOf, Member, Plain, Record, Type

__all__ = ["message_type"]

MAX_DEPTH = 16
"""What is deeper stays JSON."""
MAX_ROW = 32
"""Items of an array that has a shape."""
LARGE = 900_000_000
"""A whole number in a row from which on it is a time or an id: rows have no names that tell."""
LARGE_AMOUNT = 10_000_000
"""A whole number from which on it is no amount that may have a fraction, too."""
OFTEN, SECOND = 0.2, 0.35
"""The shares of all messages from which on a second shape, with something in common or with nothing, is none
that is left to the other messages."""

_NO_FIELD = re.compile(r'["\\\x00-\x1f]')
"""What msgspec refuses in the name of a field: such a field is one that the type does not know."""
_DATA_KEY = re.compile(r"\d.*|.*[^\w$@-].*|.*\d{4,}.*|[0-9a-fA-F-]{16,}|.{61,}", re.DOTALL)
"""A key that is data, and no name: a number, a path, a symbol, an id."""


@dataclass(frozen=True)
class _Place:
    """Where values were found.

    Attributes:
        where: the place, as msgspec writes it in its errors, without what is in brackets.
        key: the name in JSON that leads to it; "" if it has none.
        path: names of the records around it, in CamelCase.
    """

    where: str
    key: str = ""
    path: tuple[str, ...] = ()
    depth: int = 0

    def field(self, key: str) -> _Place:
        return _Place(f"{self.where}.{key}", key, (*self.path, class_name(key)), self.depth + 1)

    def position(self, key: str) -> _Place:
        return _Place(f"{self.where}[]", key, (*self.path, class_name(key)), self.depth + 1)

    def each(self) -> _Place:
        path = (*self.path[:-1], singular(self.path[-1])) if self.path else ()
        return _Place(f"{self.where}[]", self.key, path, self.depth + 1)

    def called(self, name: str) -> _Place:
        """The same place, in a record of this name."""
        return replace(self, path=(*self.path[:-1], name) if self.path else (name,))


def message_type(messages: Sequence[Any], loose: frozenset[str] = frozenset()) -> Type | None:
    """Return the type of the messages that most of them have; None if they are neither objects nor arrays.

    Args:
        messages: decoded JSON.
        loose: places that are to take anything, written as in `_Place.where`.
    """
    objects = [message for message in messages if isinstance(message, dict)]
    arrays = [message for message in messages if isinstance(message, list)]
    looker = _Looker(loose)
    if not objects and not arrays:
        return None
    if len(objects) >= len(arrays):
        return looker.messages(objects, _Place("$"))
    items = [item for array in arrays for item in array]
    if items and sum(isinstance(item, dict) for item in items) >= 0.95 * len(items):
        return ListOf(looker.messages([item for item in items if isinstance(item, dict)], _Place("$[]")))
    rows = [array for array in arrays if array]
    if not rows:
        return None
    tagged = [{str(i): item for i, item in enumerate(row)} for row in rows]
    if all(isinstance(row[0], str) for row in rows) and discriminator(tagged, whole=True, known="0") == "0":
        return looker.tagged([row for row in rows if usable_tag(row[0])], _Place("$"), 0, "kind")
    return looker.row(rows, _Place("$").called("Message"))


class _Looker:
    def __init__(self, loose: frozenset[str]) -> None:
        self.loose = loose

    def messages(self, objects: list[dict[str, Any]], place: _Place) -> Type:
        """Return the type of messages that are objects, or, in a list, of its items."""
        key = discriminator(objects, whole=True)
        if key is not None:
            tagged = [item for item in objects if usable_tag(item.get(key))]
            kinds = Counter(type(item[key]) for item in tagged)
            kind = max(kinds, key=lambda kind: kinds[kind])
            return self.tagged([item for item in tagged if type(item[key]) is kind], place, key, key)
        return self.record(_alike(objects), place.called("Message"))

    def tagged(self, values: list[Any], place: _Place, key: Any, tag_field: str) -> Type:
        """Return the union of the kinds that the values at `key` tell apart; all of them can be tags."""
        kinds: dict[str | int, list[Any]] = defaultdict(list)
        for value in values:
            kinds[value[key]].append(value)
        members: list[Type] = []
        for tag, group in kinds.items():
            name = f"{class_name(tag_field)}{tag}" if isinstance(tag, int) else class_name(tag)
            inside = place.called(name if len(name) > 2 else f"{name}Message")
            made = self.row(group, inside, skip=1) if key == 0 else self.record(group, inside, key)
            if isinstance(made, Record):
                members.append(replace(made, tag_field=tag_field, tag=tag))
        return members[0] if len(members) == 1 else Choice(tuple(members))

    def look(self, values: Sequence[Any], place: _Place, notes: list[str]) -> Type:
        """Return the type of the values of one place; `notes` takes what a reader is to know of it."""
        if place.where in self.loose:
            notes.append("values that no narrower type takes")
            return ANY
        if place.depth > MAX_DEPTH:
            return ANY
        by_kind: dict[type, list[Any]] = defaultdict(list)
        for value in values:
            by_kind[float if type(value) is int else type(value)].append(value)
        nulls = by_kind.pop(type(None), [])
        if not by_kind:
            notes.append(f"only null in {len(nulls):,} value{'' if len(nulls) == 1 else 's'}")
            return ANY
        members = self._kinds(by_kind, place, notes)
        if ANY in members:
            return ANY
        if nulls:
            members.append(NONE)
        return members[0] if len(members) == 1 else Choice(tuple(members))

    def _kinds(self, by_kind: Mapping[type, list[Any]], place: _Place, notes: list[str]) -> list[Type]:
        members = _scalars(by_kind, place.key, notes)
        if dict in by_kind:
            members += self.objects(by_kind[dict], place, notes)
        if list in by_kind:
            item = self.array(by_kind[list], place, notes)
            if isinstance(item, Record) and any(isinstance(member, Record) for member in members):
                # msgspec has no union of an object's struct and an array's.
                item = ListOf(ANY)
            members.append(item)
        return members

    # -- objects ------------------------------------------------------------------------------------------

    def objects(self, objects: list[dict[str, Any]], place: _Place, notes: list[str]) -> list[Type]:
        """Return the type of objects inside of a message, or of each of their kinds."""
        if not any(objects):
            notes.append("only {} seen")
            return [MapOf(ANY)]
        key = discriminator(objects, whole=False)
        if key is not None and _all_tagged(objects, key):
            made = self.tagged(objects, place, key, key)
            return list(made.members) if isinstance(made, Choice) else [made]
        if any(item.keys() & {"$type", "@type"} for item in objects):
            notes.append("its fields are those of another schema")
            return [MapOf(ANY)]
        if _has_data_keys(objects):
            values = [value for item in objects for value in item.values()]
            if not _of_one_kind(values):
                return [MapOf(ANY)]
            return [MapOf(_decided(self.look(values, place.each(), notes), "str"))]
        if _is_free_form(objects):
            notes.append("fields differ from value to value")
            return [MapOf(ANY)]
        return [self.record(objects, place)]

    def record(self, objects: list[dict[str, Any]], place: _Place, tag_field: str | None = None) -> Record:
        """Return the type of objects of one kind."""
        keys = dict.fromkeys(key for item in objects for key in item)
        members = []
        for key in keys:
            if key == tag_field or _NO_FIELD.search(key) is not None:
                continue
            notes: list[str] = []
            values = [item[key] for item in objects if key in item]
            type_ = self.look(values, place.field(key), notes)
            if len(values) < len(objects):
                notes.insert(0, f"in {len(values):,} of {len(objects):,}")
            members.append(Member(key, type_, len(values) == len(objects), tuple(notes)))
        return Record(place.path, _settled(members), len(objects))

    # -- arrays -------------------------------------------------------------------------------------------

    def array(self, arrays: list[list[Any]], place: _Place, notes: list[str]) -> Type:
        """Return the type of arrays: a list, or a row of fixed shape."""
        items = [item for array in arrays for item in array]
        if not items:
            notes.append("only [] seen")
            return ListOf(ANY)
        if _is_row(arrays):
            return self.row(arrays, place.each())
        return ListOf(_decided(self.look(items, place.each(), notes), "str"))

    def row(self, arrays: list[list[Any]], place: _Place, skip: int = 0) -> Type:
        """Return the type of arrays whose items each have a place, the first `skip` left out."""
        longest = max(len(array) for array in arrays)
        if longest > MAX_ROW:
            return ListOf(self.look([item for array in arrays for item in array], place.each(), []))
        members = []
        for number in range(skip, longest):
            values = [array[number] for array in arrays if len(array) > number]
            said: list[str] = []
            key = f"item_{number}"
            type_ = self.look(values, place.position(key), said)
            if len(values) < len(arrays):
                said.insert(0, f"in {len(values):,} of {len(arrays):,}")
            members.append(Member(key, type_, len(values) == len(arrays), tuple(said)))
        if len(arrays) < SOME and any(member.type == Plain("float") for member in members):
            members = [_perhaps_fraction(member, arrays, i + skip) for i, member in enumerate(members)]
        return Record(place.path, _settled(members), len(arrays), array_like=True)


def _all_tagged(objects: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Whether all objects have a tag there, not only those that `discriminator` has looked at."""
    return len({type(item.get(key)) for item in objects}) == 1 and all(
        usable_tag(item.get(key)) for item in objects
    )


def _scalars(by_kind: Mapping[type, list[Any]], key: str, notes: list[str]) -> list[Type]:
    """Return the types of what is neither object nor array."""
    numbers, texts = by_kind.get(float, []), by_kind.get(str, [])
    if len(by_kind) == 1 and numbers:
        return [number_type(numbers, key, notes)]
    if len(by_kind) == 1 and texts:
        return [text_type(texts, key, notes)]
    if numbers and texts and len(by_kind) == 2:
        return number_or_text_type(numbers, texts, key, notes)
    members: list[Type] = [Plain("bool")] if bool in by_kind else []
    if numbers:
        # One type of number and one of text, beside others: epoch times and decimals would be both.
        members.append(plain_number_type(numbers, notes))
    if texts:
        members.append(Plain("str"))
    return members


def _perhaps_fraction(member: Member, arrays: Sequence[Sequence[Any]], number: int) -> Member:
    """Return a member of a row with few whole numbers, beside fractions: they may have one, too."""
    values = [array[number] for array in arrays if len(array) > number]
    small = member.type == Plain("int") and all(abs(value) < LARGE_AMOUNT for value in values)
    return replace(member, type=Plain("float")) if small else member


def _decided(type_: Type, name: str) -> Type:
    """Return the type with `name` in the place of few texts of digits."""
    if isinstance(type_, Choice):
        return Choice(tuple(_decided(member, name) for member in type_.members))
    return Plain(name) if type_ == DIGITS else type_


def _settled(members: list[Member]) -> tuple[Member, ...]:
    """Decide on few texts of digits: among decimals they are decimals, otherwise they stay text."""
    decimals = sum(member.type == Plain("Decimal") for member in members)
    settled = []
    for member in members:
        kinds = set(member.type.members) if isinstance(member.type, Choice) else {member.type}
        if DIGITS in kinds:
            name = "Decimal" if decimals >= 2 and kinds <= {DIGITS, NONE} else "str"
            notes = member.notes if name == "Decimal" else (*member.notes, "only digits seen")
            member = replace(member, type=_decided(member.type, name), notes=notes)
        settled.append(member)
    return tuple(settled)


def _alike(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of the messages that have the fields of most of them; the rest are other messages."""
    shapes = Counter(frozenset(item) for item in objects)
    ordered = sorted(shapes, key=lambda keys: (-shapes[keys], -len(keys), sorted(keys)))
    chosen: set[frozenset[str]] = set()
    for seed in ordered:
        share = shapes[seed] / len(objects) if len(objects) >= SOME else 0
        alike = share >= OFTEN and any(len(keys & seed) >= 0.3 * len(keys | seed) for keys in chosen)
        if not chosen or alike or share >= SECOND:
            chosen |= {keys for keys in ordered if len(keys & seed) * 2 >= len(keys | seed)}
    required = frozenset.intersection(*chosen)
    return [item for item in objects if item.keys() >= required]


def _has_data_keys(objects: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the keys are data: they look so, or hardly any is in two of the objects."""
    counts = Counter(key for item in objects for key in item)
    full = [item for item in objects if item]
    usual = sum(counts.values()) / (len(full) * len(counts))
    if len(full) >= SOME and usual >= 0.9:
        return False
    looks = sum(_DATA_KEY.fullmatch(key) is not None for key in counts)
    if looks >= 0.3 * len(counts):
        return True
    varied = len(full) >= 3 and len(counts) >= 8 and usual <= 0.34
    return (
        varied
        and max(counts.values()) < 0.8 * len(full)
        and _of_one_kind([v for o in full for v in o.values()])
    )


def _of_one_kind(values: Sequence[Any]) -> bool:
    """Whether values have one JSON type, and objects among them most of their fields in common."""
    found = [value for value in values if value is not None]
    kinds = {float if type(value) is int else type(value) for value in found}
    if kinds == {dict}:
        counts = Counter(key for value in found for key in value)
        return bool(counts) and sum(counts.values()) >= 0.5 * len(counts) * len(found)
    return len(kinds) == 1


def _is_free_form(objects: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there are many fields, and most of them in few objects."""
    counts = Counter(key for item in objects for key in item)
    return len(counts) > 24 and sum(counts.values()) < 0.25 * len(counts) * len(objects)


def _is_row(arrays: Sequence[Sequence[Any]]) -> bool:
    """Whether arrays have one length, and at their places values of different kinds."""
    length = len(arrays[0])
    if not 2 <= length <= MAX_ROW or any(len(array) != length for array in arrays):
        return False
    kinds = []
    for values in zip(*arrays, strict=True):
        found = {type(value) for value in values} - {type(None)}
        if dict in found or list in found:
            kinds.append("nested")
        elif found <= {int, float} and found:
            numbers = [value for value in values if value is not None]
            kinds.append(_kind_of_numbers(numbers))
        elif found == {str}:
            texts = [value for value in values if value is not None]
            narrow = text_type(texts, "", [])
            kinds.append("decimal" if narrow in (Plain("Decimal"), Plain("IntText"), DIGITS) else "text")
        else:
            kinds.append(repr(sorted(kind.__name__ for kind in found)))
    different = set(kinds)
    if different <= {"int", "float"}:
        # Prices and amounts may all be whole by chance; a time or an id among them is not.
        return False
    if different <= {"decimal", "text"} and len(arrays) < SOME and length < 4:
        # A few texts, of which some happen to be digits, are a list.
        return False
    return len(different) > 1


def _kind_of_numbers(values: Sequence[int | float]) -> str:
    if any(type(value) is float for value in values):
        return "float"
    return "large int" if min(values) >= LARGE else "int"
