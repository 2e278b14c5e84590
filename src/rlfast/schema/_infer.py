"""A sample of JSON messages to the msgspec types that describe it.

There are libraries that make a schema of a sample (genson) and code of that (datamodel-code-generator). They
merge all kinds of messages into one type with every field optional, know neither tagged unions nor arrays of
fixed shape nor times in numbers, and take 75 MB; so this is written here.
"""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rlfast.schema._infer_look import message_type
from rlfast.schema._infer_source import ALIAS, module_source, shown
from rlfast.schema._infer_tree import Record, Type, claiming

__all__ = ["Inferred", "infer_types"]

HEADING = ("Types of JSON messages.", "")
MAX_ROUNDS = 20
"""How often a place is made to take anything before what does not fit is only told."""
SHOWN = 12
"""Kinds of other messages that are told."""
_NOT_JSON = object()
_INDEX = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class Inferred:
    """Types of the messages of a sample.

    Attributes:
        source: the Python module that defines them.
        fitting: messages that they decode.
        kinds: how many, by class; of lists, their items.
        other: messages that are for none of them, by what they are.
        misfits: errors of messages that are for one of them, and do not fit.
    """

    source: str
    fitting: int
    kinds: dict[str, int]
    other: dict[str, int]
    misfits: list[str]


def infer_types(messages: Sequence[bytes], heading: Sequence[str] = HEADING) -> Inferred | None:
    """Infer types, and decode every message with them.

    Args:
        messages: payloads, of JSON or not.
        heading: the first lines of the module's docstring.

    Returns:
        None if no message is an object or an array.
    """
    values = [_value(message) for message in messages]
    json = [value for value in values if value is not _NOT_JSON]
    root = message_type(json)
    if root is None:
        return None
    loose: frozenset[str] = frozenset()
    misfits, places = _check(root, messages, _claims(root, values))
    for _ in range(MAX_ROUNDS):
        if places <= loose:
            break
        loose |= places
        root = message_type(json, loose) or root
        misfits, places = _check(root, messages, _claims(root, values))
    claims = _claims(root, values)
    name_of = module_source(root, [])[1]
    kinds = Counter(name_of(record) for claim in claims for record in claim or ())
    other = Counter(_what(value) for value, claim in zip(values, claims, strict=True) if claim is None)
    counts = dict(kinds.most_common())
    fitting = len(messages) - other.total() - len(misfits)
    docstring = [*heading, *_table(counts, other, len(messages), fitting)]
    return Inferred(module_source(root, docstring)[0], fitting, counts, dict(other.most_common()), misfits)


def _claims(root: Type, values: Sequence[Any]) -> list[tuple[Record, ...] | None]:
    return [None if value is _NOT_JSON else claiming(root, value) for value in values]


def _value(message: bytes) -> Any:
    try:
        return msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return _NOT_JSON


def _check(
    root: Type, messages: Sequence[bytes], claims: Sequence[tuple[Record, ...] | None]
) -> tuple[list[str], set[str]]:
    """Decode the messages that are claimed; return the errors, and the places that they name."""
    module = types.ModuleType("inferred")
    source = module_source(root, [])[0]
    # It is code of ours: what comes from the messages is in it as quoted texts and checked names.
    exec(compile(source, "<inferred>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    _make_tags_known(root)
    decoder = msgspec.json.Decoder(getattr(module, ALIAS))
    errors, places = [], set()
    for message, claim in zip(messages, claims, strict=True):
        if claim is None:
            continue
        try:
            decoder.decode(message)
        except (msgspec.DecodeError, RecursionError) as error:
            errors.append(str(error))
            where = str(error).rpartition(" - at `")[2].rstrip("`") if " - at `" in str(error) else "$"
            places.add(_INDEX.sub("[]", where))
    return errors, places - {"$"}


def _make_tags_known(root: Type) -> None:
    """Encode the tags once: msgspec does not recognise one that is not ASCII before."""
    members = getattr(root, "members", (root,))
    msgspec.json.encode([(member.tag_field, member.tag) for member in members if isinstance(member, Record)])


def _what(value: Any) -> str:
    """Say what another message is."""
    if value is _NOT_JSON:
        return "not JSON"
    if isinstance(value, dict):
        keys = [shown(key, 20) for key in value][:5]
        return f"object with {', '.join(keys)}{', ...' if len(value) > 5 else ''}" if keys else "empty object"
    if isinstance(value, list):
        return "array" if value else "empty array"
    if isinstance(value, str):
        return f"text {shown(value, 20)}"
    return "null" if value is None else type(value).__name__


def _table(kinds: dict[str, int], other: Counter[str], total: int, fitting: int) -> list[str]:
    """Return the lines that say which messages there were."""
    rows = [*kinds.items(), *((f"other: {what}", count) for what, count in other.most_common(SHOWN))]
    if len(other) > SHOWN:
        rest = sum(count for _, count in other.most_common()[SHOWN:])
        rows.append((f"other: {len(other) - SHOWN} more kinds", rest))
    width = max((len(f"{count:,}") for _, count in rows), default=0)
    lines = [f"    {count:>{width},}  {name}" for name, count in rows]
    return [f"{fitting:,} of {total:,} messages fit:", "", *(line[:88] for line in lines)]
