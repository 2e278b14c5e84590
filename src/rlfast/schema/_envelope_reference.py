"""The general path for events inside of envelopes: a message with several events is as many messages."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from rlfast.schema._decoding import Decoding, kept
from rlfast.schema._plan import TablePlan
from rlfast.schema._reference import Mirrors, Reference, attribute
from rlfast.schema._tags import Tagging, tagging

__all__ = ["EnvelopeReference", "NoEventError", "reference_of"]


class NoEventError(msgspec.ValidationError):
    """A message is an envelope with nothing inside."""


class _Element(bytes):
    """A message with one of its events: number `item`."""

    item: int


class _Table(NamedTuple):
    """What rows of a table are made by.

    Attributes:
        plan: of the table.
        mirrors: decoders of the messages.
        row: class of the rows, whose attributes are the columns.
    """

    plan: TablePlan
    mirrors: Mirrors
    row: Any


class EnvelopeReference(Reference):
    """What is the same for all connections with a type, and a pointer to the events."""

    def _prepare(self, decoding: Decoding) -> None:
        envelope = self.plan.envelope
        assert envelope is not None
        inside = envelope.type is not decoding.type
        self.tags = tagging(decoding.type, envelope.events_at) if inside else Tagging()
        self._pointer = decoding.events_at
        self._names = envelope.events_at
        self._judge = decoding.decoder(envelope.type)
        self._plain_tags = [plan.column.tag for plan in self.plan.tables if not plan.event_at]
        # By the envelope's tag, then by the class of the event.
        self._tables: dict[object, dict[Any, _Table]] = {}
        for i, plan in enumerate(self.plan.tables):
            row = msgspec.defstruct("Row", [attribute(j) for j in range(len(plan.fields))])
            self._tables.setdefault(plan.column.tag, {})[plan.struct] = _Table(
                plan, self._decoders([(i, plan)]), row
            )
        self.mirrors = {
            table.row: self.plan.tables.index(table.plan)
            for tables in self._tables.values()
            for table in tables.values()
        }

    def _decode(self, payload: Any) -> tuple[Any, str | None]:
        message = self._judge.decode(payload)
        table = self._table_of(message)
        row, extra = self._row(table.mirrors, message, payload, table.plan.column.is_remade)
        return _flat(table, row), extra

    def _table_of(self, message: Any) -> _Table:
        """The table of a message with one event. Raises ValidationError if it has none."""
        if len(self._tables) == 1:
            (tables,) = self._tables.values()
        else:
            tables = self._tables[message.__struct_config__.tag]
        first, *others = tables.values()
        event, column = message, first.plan.column
        for place in first.plan.event_at:
            column = column.children[place]
            event = event[column.attribute] if isinstance(event, dict) else getattr(event, column.attribute)
            if isinstance(event, (list, tuple)) and column.children and not column.is_array:
                event = event[0] if event else None
            if event is None:
                raise NoEventError(f"there is no event at {self._pointer}")
        return tables[type(event)] if others else first

    def _extra(self, payload: Any) -> str | None:
        extra = super()._extra(payload)
        if extra is None or not self.plan.splits or not isinstance(payload, _Element):
            return extra
        # The only element of this message is another one of the message that was received.
        first, real = f"{self._pointer}/0", f"{self._pointer}/{payload.item}"
        found = {
            real + name.removeprefix(first) if name == first or name.startswith(f"{first}/") else name: value
            for name, value in msgspec.json.decode(extra, type=dict[str, msgspec.Raw]).items()
        }
        return msgspec.json.encode(found).decode()

    def _split(self, payload: Any) -> list[bytes]:
        around: list[Any] = []
        value = msgspec.Raw(bytes(payload))
        for name in self._names:
            parts, key = _parts(value, name)
            if key is None or (not around and self._is_plain(parts)):
                break
            around.append((parts, key))
            value = parts[key]
        is_array = len(around) == len(self._names) and bytes(value)[:1] == b"["
        events = msgspec.json.decode(value, type=list[msgspec.Raw]) if is_array else []
        if not events:
            message = self._judge.decode(payload)
            if not is_array:
                self._table_of(message)
                return [bytes(payload)]
        return [_message(event, item, around) for item, event in enumerate(events)]

    def _is_plain(self, parts: Any) -> bool:
        """Whether the tag of a message, among its parts, is that of a struct without events."""
        if not self._plain_tags:
            return False
        raw = parts[0] if isinstance(parts, list) else parts.get(self.plan.tag_field)
        return raw is not None and msgspec.json.decode(raw) in self._plain_tags


def _parts(value: msgspec.Raw, name: str) -> tuple[Any, Any]:
    """The members, or elements, of a value; the key, or place, of the one that a name leads to, or None."""
    first = bytes(value).lstrip()[:1]
    if first == b"[":
        elements = msgspec.json.decode(value, type=list[msgspec.Raw])
        return elements, int(name) if name.isdecimal() and int(name) < len(elements) else None
    if first != b"{":
        return {}, None
    members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    return members, name if name in members else None


def _message(event: msgspec.Raw, item: int, around: list[tuple[Any, Any]]) -> _Element:
    """The message with only one of its events."""
    text = b"[" + bytes(event) + b"]"
    for parts, key in reversed(around):
        others = parts.copy()
        others[key] = msgspec.Raw(text)
        text = msgspec.json.encode(others)
    made = _Element(text)
    made.item = item
    return made


def _flat(table: _Table, row: Any) -> Any:
    """The row of a mirror, which has rows inside, as one."""
    values: list[Any] = []
    for place in table.plan.event_at:
        names = row.__struct_fields__
        values += [getattr(row, name) for i, name in enumerate(names) if i != place]
        row = getattr(row, names[place])
        if isinstance(row, list):
            (row,) = row
    values += [getattr(row, name) for name in row.__struct_fields__]
    return table.row(*values)


def reference_of(decoding: Any) -> Reference:
    """The reference of a type, or a `Decoding`, shared by all connections of the process."""
    return kept(_make, decoding)


def _make(decoding: Decoding) -> Reference:
    return EnvelopeReference(decoding) if decoding.events_at else Reference(decoding)
