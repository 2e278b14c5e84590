"""The general path: how any event becomes a row by way of msgspec, without the compiled decoder.

msgspec decodes an event twice: to the user's type, which says whether it is valid, and to structs that mirror
its columns, whose values the builders read. The mirrors refuse fields that they do not know, so that none is
lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Union

import msgspec

from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope import plan_of
from rlfast.schema._plan import ColumnPlan, TablePlan
from rlfast.schema._pointer import pointer_name
from rlfast.schema._tags import tagging

__all__ = ["Mirrors", "Reference", "attribute"]


def attribute(index: int) -> str:
    """Name of field number `index` in a mirror."""
    return f"f{index}"


class Mirrors(NamedTuple):
    """Decoders for structs that mirror columns.

    Attributes:
        strict: refuses unknown fields.
        lenient: skips them.
        remaking: of what Python code has made of an event.
    """

    strict: msgspec.json.Decoder[Any]
    lenient: msgspec.json.Decoder[Any]
    remaking: msgspec.json.Decoder[Any]


class Reference:
    """What is the same for all connections with a type. It takes some milliseconds to make.

    Attributes:
        plan: of the type.
        tags: of the structs.
        mirrors: class of the rows -> index of their table.
        decode: callable, payload -> row of a mirror, and the JSON of the fields that the type does not know,
            or None. Raises what msgspec raises for the user's type, and ValueError for a value that its
            column does not take.
        split: callable, payload -> the payloads of the elements of a message that is an array. Raises what
            msgspec raises if it is none.
    """

    def __init__(self, decoding: Any) -> None:
        decoding = Decoding.of(decoding)
        self.plan: ColumnPlan = plan_of(decoding)
        self.tags = msgspec.structs.replace(tagging(decoding.type), in_list=False)
        self.mirrors: dict[type, int] = {}
        self.decode: Callable[[Any], tuple[Any, str | None]] = decoding.repairing(self._decode)
        self.split: Callable[[Any], list[bytes]] = decoding.repairing(self._split)
        self._is_strict = decoding.strict
        self._makes_defaults = any(table.column.has_made_defaults for table in self.plan.tables)
        self._prepare(decoding)

    def _prepare(self, decoding: Decoding) -> None:
        # Of one event: the elements of an array are decoded one by one.
        self._judge = decoding.decoder(Union[tuple(table.struct for table in self.plan.tables)])  # noqa: UP007
        self._remade = {table.struct for table in self.plan.tables if table.column.is_remade}
        self._mirrors = self._decoders(list(enumerate(self.plan.tables)))

    def _decoders(self, tables: list[tuple[int, TablePlan]]) -> Mirrors:
        """What decodes messages to rows of some tables."""
        return Mirrors(
            self._decoder(tables, strict=True),
            self._decoder(tables),
            self._decoder(tables, takes_null=True),
        )

    def _decoder(
        self, tables: list[tuple[int, TablePlan]], *, strict: bool = False, takes_null: bool = False
    ) -> msgspec.json.Decoder[Any]:
        mirrors = {_mirror(table.column, strict, takes_null): index for index, table in tables}
        self.mirrors.update(mirrors)
        return msgspec.json.Decoder(Union[tuple(mirrors)], strict=self._is_strict)  # noqa: UP007

    def _split(self, payload: Any) -> list[bytes]:
        return [bytes(element) for element in msgspec.json.decode(payload, type=list[msgspec.Raw])]

    def _decode(self, payload: Any) -> tuple[Any, str | None]:
        event = self._judge.decode(payload)
        # A TypedDict is no class of its values.
        remade = self._remade and (len(self.plan.tables) == 1 or type(event) in self._remade)
        return self._row(self._mirrors, event, payload, bool(remade))

    def _row(self, mirrors: Mirrors, event: Any, payload: Any, remade: bool) -> tuple[Any, str | None]:
        """See `decode`; `remade`: whether Python code decides what columns of the event hold."""
        if not remade:
            row = self._row_of(payload)
            with suppress(msgspec.ValidationError):
                return mirrors.strict.decode(row), None
            try:
                return mirrors.lenient.decode(row), self._extra(payload)
            except msgspec.ValidationError:
                if not self._makes_defaults:
                    raise
        try:
            known = msgspec.json.encode(event)
        except TypeError as error:
            raise ValueError(f"what Python code made of the event has no JSON: {error}") from None
        return mirrors.remaking.decode(self._row_of(known)), self._extra(payload)

    def _row_of(self, event: Any) -> Any:
        """The JSON of a valid event as the mirrors have it: an array around what is no struct."""
        return b"[" + bytes(event) + b"]" if self.plan.is_value else event

    def _extra(self, payload: Any) -> str | None:
        # The lenient decoder skips what it does not know without looking at it closely.
        text = bytes(payload)
        msgspec.json.decode(text)
        found = dict(_unknown(self.plan.event, msgspec.json.decode(text, type=msgspec.Raw), ""))
        return msgspec.json.encode(found).decode() if found else None


# -- mirrors -------------------------------------------------------------------------------------------------


def _mirror(column: Column, strict: bool, takes_null: bool) -> Any:
    """The struct that mirrors a struct's column; with `takes_null`, of JSON that has None where a default is
    None, and whatever else a default is.
    """
    fields: list[Any] = []
    for i, child in enumerate(column.children):
        type_ = _stored(child, strict, takes_null)
        if child.required or (child.default_is_made and not takes_null):
            fields.append((attribute(i), type_))
        elif child.default_json is None:
            fields.append(
                (attribute(i), type_ if type_ is msgspec.Raw else type_ | None, child.default_value)
            )
        else:
            fields.append(
                (attribute(i), type_, msgspec.field(default_factory=_default(type_, child.default_json)))
            )
    if column.tag_field is not None:
        # msgspec 0.22 does not recognise a tag field, or a tag, that is not ASCII until it was encoded once.
        msgspec.json.encode((column.tag_field, column.tag))
    return msgspec.defstruct(
        "Row",
        fields,
        rename={attribute(i): child.name for i, child in enumerate(column.children)},
        tag_field=column.tag_field,
        tag=column.tag,
        array_like=column.is_array,
        kw_only=True,
        forbid_unknown_fields=strict or not column.keeps_unknown,
    )


def _default(type_: Any, default_json: bytes) -> Any:
    decode = msgspec.json.Decoder(type_).decode
    return lambda: decode(default_json)


def _stored(column: Column, strict: bool, takes_null: bool) -> Any:
    """What msgspec decodes for a column."""
    kind = column.kind
    if kind is kinds.LIST:
        type_: Any = list[_stored(column.children[0], strict, takes_null)]  # type: ignore[misc]
    elif kind is kinds.MAP:
        type_ = dict[str, _stored(column.children[0], strict, takes_null)]  # type: ignore[misc]
    elif kind is kinds.UNION:
        type_ = Union[tuple(_mirror(child, strict, takes_null) for child in column.children)]  # noqa: UP007
    elif kind.layout is kinds.Layout.CHILDREN:
        type_ = _mirror(column, strict, takes_null)
    else:
        type_ = kind.storage
    # Raw is JSON's null, too.
    null = column.accepts_null or (takes_null and column.nullable)
    return type_ if type_ is msgspec.Raw or not null else type_ | None


# -- fields that the type does not know
# ------------------------------------------------------------------------


def _unknown(column: Column, raw: msgspec.Raw, path: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """The unknown fields of a value that is valid, in the order of the text, each under its path."""
    kind = column.kind
    if bytes(raw)[:1] not in (b"{", b"["):
        return
    if kind is kinds.LIST:
        for i, item in enumerate(msgspec.json.decode(raw, type=list[msgspec.Raw])):
            yield from _unknown(column.children[0], item, f"{path}/{i}")
    elif kind is kinds.MAP:
        for key, value in msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).items():
            yield from _unknown(column.children[0], value, f"{path}/{pointer_name(key)}")
    elif kind is kinds.UNION:
        yield from _unknown(_member(column, raw), raw, path)
    elif kind.layout is not kinds.Layout.CHILDREN:
        return
    elif column.is_array:
        values = msgspec.json.decode(raw, type=list[msgspec.Raw])
        first = int(column.tag is not None)
        for i, value in enumerate(values[first:], first):
            if i - first < len(column.children):
                yield from _unknown(column.children[i - first], value, f"{path}/{i}")
            else:
                yield f"{path}/{i}", value
    else:
        known = {child.name: child for child in column.children}
        for name, value in msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).items():
            if name in known:
                yield from _unknown(known[name], value, f"{path}/{pointer_name(name)}")
            elif name != column.tag_field:
                yield (f"{path}/{pointer_name(name)}" if path or name.startswith("/") else name), value


def _member(column: Column, raw: msgspec.Raw) -> Column:
    value = msgspec.json.decode(raw)
    tag = value[0] if column.is_array else value[column.tag_field]
    return next(child for child in column.children if child.tag == tag)
