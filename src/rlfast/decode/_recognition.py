"""Messages of another kind than a type describes: not damaged, only not meant.

A stream holds answers to subscriptions, heartbeats, and events that are newer than the type. What tells a
kind of message is its tag, or, of a struct without a tag, that it is there at all: an object, with the fields
that are required; of a list or a map that it is an array or an object. A value that does not fit its field is
another matter: such a message is a dead letter.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._plan import ColumnPlan

__all__ = ["OtherMessage", "is_word", "unrecognised", "unrecognised_message"]

# As keep-alive texts are, which are no JSON: ping, pong.
_WORD = re.compile(rb"\s*[A-Za-z][A-Za-z0-9_.:-]{0,63}\s*")


class OtherMessage(msgspec.Struct, frozen=True, gc=False):
    """A message of another kind, and what tells so."""

    reason: str
    json: str


def is_word(raw: bytes) -> bool:
    """Whether a message that is no JSON is a single word."""
    return _WORD.fullmatch(raw) is not None


def unrecognised(column: Column, value: Any, tagged: bool = False) -> str | None:
    """Say what tells that a plain value is of another kind than a column; None: nothing does.

    `tagged`: whether a tag around it says that the value is of that kind, so that what is missing is a fault.
    """
    kind = column.kind
    items: Any
    if kind is kinds.LIST:
        items = value if isinstance(value, list) else ()
        return _first(unrecognised(column.children[0], item, tagged) for item in items)
    if kind is kinds.MAP:
        items = value.values() if isinstance(value, dict) else ()
        return _first(unrecognised(column.children[0], item, tagged) for item in items)
    if kind.layout is not kinds.Layout.CHILDREN or (value is None and column.accepts_null):
        return None
    fits = isinstance(value, list if column.is_array else dict)
    if column.tag_field is None:
        if tagged and not fits:
            return None
        if not fits:
            return f"no {'array' if column.is_array else 'object'}"
        return _struct(column, value, tagged, 0)
    members = column.children if kind is kinds.UNION else (column,)
    if not fits or (column.is_array and not value) or (not column.is_array and column.tag_field not in value):
        return f"no tag {column.tag_field!r}"
    tag = value[0] if column.is_array else value[column.tag_field]
    member = next((member for member in members if member.tag == tag and type(member.tag) is type(tag)), None)
    if member is None:
        # All tags of a union are of one type; a value of another type is a mistyped field.
        known = isinstance(tag, type(members[0].tag)) and not isinstance(tag, bool)
        return f"unknown {column.tag_field} {str(tag)[:100]!r}" if known else None
    return _struct(member, value, True, 1)


def unrecognised_message(plan: ColumnPlan, message: Any) -> str | None:
    """The same of a message and its type."""
    if plan.is_value and plan.event.kind is kinds.LIST and not isinstance(message, list):
        return "no array"
    if plan.is_value and plan.event.kind is kinds.MAP and not isinstance(message, dict):
        return "no object"
    return unrecognised(plan.event, message)


def _struct(column: Column, value: Any, tagged: bool, first: int) -> str | None:
    if column.is_array:
        values = value[first:]
        if not tagged and any(child.required for child in column.children[len(values) :]):
            return "too few elements"
        pairs = list(zip(column.children, values, strict=False))
    else:
        missing = next((c.name for c in column.children if c.required and c.name not in value), None)
        if missing is not None and not tagged:
            return f"no field {missing!r}"
        pairs = [(child, value[child.name]) for child in column.children if child.name in value]
    return _first(unrecognised(child, inside, tagged) for child, inside in pairs)


def _first(reasons: Any) -> str | None:
    return next((reason for reason in reasons if reason is not None), None)
