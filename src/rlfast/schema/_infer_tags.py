"""Which field tells the kinds of objects at one place apart.

It is a short text or a small integer in nearly every object, and knowing it tells which other fields there
are. How much it tells is measured as mutual information: the share of the uncertainty, over all fields, of
whether a field is there, that is gone once the value is known.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

__all__ = ["Tag", "discriminator", "usable_tag"]

Tag: TypeAlias = "str | int"

_NAMES = (
    *("type", "event", "e", "ev", "kind", "message_type", "msg_type", "messagetype", "msgtype", "event_type"),
    *("eventtype", "T", "op", "method", "action", "cmd", "command", "evt", "channel", "_type", "category"),
)
"""What such a field is called, the most telling ones first: they need less evidence."""
_RANK = {name: rank for rank, name in enumerate(_NAMES)}
_ENDING = re.compile(r".*(?:_type|Type|_kind|Kind|_event)")
_TEXT = re.compile(r"[!#-\[\]-~]{1,64}")
_FIELD = re.compile(r"[ !#-\[\]-~]+")
"""What msgspec takes as the name of a field; beyond ASCII it knows no tag field before it has encoded one."""
_SIMPLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}|\d{1,3}", re.ASCII)
"""Without dots, slashes and the like, which mostly name a subscription: ``book.BTC-USD``."""

SAMPLE = 2000
"""Objects that are looked at."""
LEVELS = 3
MOST_KINDS = 200
MANY = 20
"""Objects from which on a field is held to what it tells of those that were not counted."""
MOST_IN_COMMON = 0.6
"""Of what two kinds inside of a message have, the share that both have."""
TOLD, TOLD_BY_ANY_NAME, TOLD_INSIDE = 0.5, 0.6, 0.8


def usable_tag(value: Any) -> bool:
    """Whether a value can be a tag of msgspec, and is short enough to be one."""
    if isinstance(value, str):
        return _TEXT.fullmatch(value) is not None
    return type(value) is int and 0 <= value < 10_000


def discriminator(
    objects: Sequence[Mapping[str, Any]], *, whole: bool, known: str | None = None
) -> str | None:
    """Return the name of the field that tells the kinds of objects apart, if there is one.

    Args:
        objects: arrays are objects with their positions as names.
        whole: they are messages. What has no known tag is another message then; inside of a message it would
            not fit, so every object must have one, of a set that seems to be complete.
        known: a field that it may be with little evidence, beside those that are called so.
    """
    # Not every n-th: kinds may come in turns.
    seen = objects if len(objects) <= SAMPLE else Random(0).sample(objects, SAMPLE)  # noqa: S311
    fields = Counter(key for item in seen for key in item)
    shapes: list[list[frozenset[str]]] | None = None
    best: tuple[float, float, int, int, str] | None = None
    for key, count in fields.items():
        tagged = [i for i, item in enumerate(seen) if usable_tag(item.get(key))]
        if len(tagged) < len(seen) * (0.6 if whole else 1) or not tagged or _FIELD.fullmatch(key) is None:
            continue
        tags = [seen[i][key] for i in tagged]
        named = key in _RANK or _ENDING.fullmatch(key) is not None
        likely = named or key == known
        if not _may_be(tags, likely, whole):
            continue
        if len(set(tags)) == 1:
            overall = 0.0
            if not (whole and named):
                continue
        else:
            shapes = shapes if shapes is not None else [_shape(item) for item in seen]
            found_shapes = [shapes[i] for i in tagged]
            trusting = likely and (len(tags) < MANY or (whole and 10 * len(set(tags)) <= len(tags)))
            told, overall = _told(found_shapes, tags, key, trusting)
            least = TOLD_INSIDE if not whole else TOLD if likely else TOLD_BY_ANY_NAME
            if told < least or not (whole or _own_shapes(found_shapes, tags, key)):
                continue
        rank = _RANK.get(key, len(_RANK) + (not likely))
        found = (-round(overall * 20 * len(tagged) / len(seen)), -count, rank, len(set(tags)), key)
        best = found if best is None or found < best else best
    return None if best is None else best[-1]


def _may_be(tags: Sequence[Tag], likely: bool, whole: bool) -> bool:
    """Whether the values can be tags, whatever else there is in the objects."""
    kinds = Counter(tags)
    if len({type(tag) for tag in kinds}) > 1 or len(kinds) > MOST_KINDS:
        return False
    if len(tags) >= MANY and len(kinds) > len(tags) / 3:
        return False
    if not (likely and whole) and not all(_SIMPLE.fullmatch(str(tag)) for tag in kinds):
        return False
    if not likely and (len(tags) < max(MANY, 4 * len(kinds)) or len(kinds) > 40):
        return False
    # What was seen once is as frequent as what was not seen yet (Good and Turing).
    once = sum(count == 1 for count in kinds.values())
    return whole or len(tags) < MANY or once <= len(tags) / 100


def _shape(item: Mapping[str, Any]) -> list[frozenset[str]]:
    """Return which fields there are, and of which kind, level by level."""
    levels: list[set[str]] = [set() for _ in range(LEVELS)]

    def look(value: Any, path: str, level: int) -> None:
        if level == LEVELS or len(levels[level]) > 200:
            return
        if isinstance(value, Mapping):
            for key, inner in value.items():
                below = f"{path}\0{key}"
                levels[level].add(below)
                if inner is not None:
                    levels[level].add(f"{below}\0\0{_kind(inner)}")
                look(inner, below, level + 1)
        elif isinstance(value, list):
            for inner in value[:3]:
                if isinstance(inner, (dict, list)):
                    look(inner, f"{path}\0[]", level)
                else:
                    levels[level].add(f"{path}\0[]\0\0{_kind(inner)}")

    look(item, "", 0)
    return [frozenset(level) for level in levels]


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def _told(
    shapes: Sequence[list[frozenset[str]]], tags: Sequence[Tag], key: str, trusting: bool
) -> tuple[float, float]:
    """Return how much of the differences the tags explain, from 0 to 1: at the level where that is most, and
    of all levels."""
    levels = [[shape[level] for shape in shapes] for level in range(LEVELS)]
    together = [frozenset().union(*shape) for shape in shapes]
    most = max(_explained(level, tags, f"\0{key}", trusting) for level in levels)
    return most, _explained(together, tags, f"\0{key}", trusting)


def _explained(parts: Sequence[frozenset[str]], tags: Sequence[Tag], own: str, trusting: bool) -> float:
    total = Counter(part for shape in parts for part in shape)
    groups: dict[Tag, list[frozenset[str]]] = defaultdict(list)
    for shape, tag in zip(parts, tags, strict=True):
        groups[tag].append(shape)
    counts = {tag: Counter(part for shape in group for part in shape) for tag, group in groups.items()}
    before = after = 0.0
    for part, count in total.items():
        share = count / len(parts)
        if share == 1 or part == own or part.startswith(f"{own}\0"):
            continue
        before += len(parts) * _entropy(share)
        for tag, group in groups.items():
            size, has = len(group), counts[tag][part]
            if trusting:
                after += size * _entropy(has / size)
            else:
                # Each object is foretold from the others of its kind, so that a kind of one object tells
                # nothing; what they do not say is taken from all objects.
                if has:
                    after -= has * math.log2((has - 1 + share) / size)
                if has < size:
                    after -= (size - has) * math.log2((size - has - share) / size)
    return 1 - after / before if before else 0.0


def _entropy(share: float) -> float:
    if share in (0, 1):
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def _own_shapes(shapes: Sequence[list[frozenset[str]]], tags: Sequence[Tag], key: str) -> bool:
    """Whether most kinds have a shape that is theirs alone, and little in common: a few optional fields make
    no kinds."""
    own = {part for shape in shapes for part in shape[0] if part.split("\0", 2)[1] == key}
    common: dict[Tag, frozenset[str]] = {}
    for shape, tag in zip(shapes, tags, strict=True):
        parts = (shape[0] | shape[1]) - own
        common[tag] = common[tag] & parts if tag in common else parts
    if len(set(common.values())) < max(2, 0.6 * len(common)):
        return False
    pairs = [len(a & b) / max(len(a | b), 1) for a, b in itertools.combinations(common.values(), 2)]
    return sum(pairs) <= MOST_IN_COMMON * len(pairs)
