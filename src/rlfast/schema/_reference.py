"""The general path: how any event becomes a row by way of msgspec, without the compiled decoder.

msgspec decodes an event twice: to the user's type, which says whether it is valid, and to structs that mirror
its columns, whose values the builders read. The mirrors refuse fields that they do not know, so that none is
lost.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Union, get_args

import msgspec

from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._plan import ColumnPlan, compile_plan
from rlfast.schema._tags import tagging

__all__ = ["Reference", "attribute", "reference_of"]


def attribute(index: int) -> str:
    """Name of field number `index` in a mirror."""
    return f"f{index}"


class Reference:
    """What is the same for all connections with a type. It takes some milliseconds to make.

    Attributes:
        plan: of the type.
        tag_field, tags: of the structs.
        mirrors: class of the rows -> index of their table.
    """

    def __init__(self, type_: Any) -> None:
        self.plan: ColumnPlan = compile_plan(type_)
        self.tag_field, self.tags = tagging(type_)
        self.mirrors: dict[type, int] = {}
        # Of one event: the elements of an array are decoded one by one.
        self._judge = msgspec.json.Decoder(Union[tuple(table.struct for table in self.plan.tables)])  # noqa: UP007
        self._remade = {table.struct for table in self.plan.tables if table.column.is_remade}
        self._strict = self._decoder(strict=True)
        self._lenient = self._decoder()
        self._remaking = self._decoder(takes_null=True)

    def _decoder(self, *, strict: bool = False, takes_null: bool = False) -> msgspec.json.Decoder[Any]:
        mirrors = [_mirror(table.column, strict, takes_null) for table in self.plan.tables]
        self.mirrors.update({mirror: i for i, mirror in enumerate(mirrors)})
        return msgspec.json.Decoder(Union[tuple(mirrors)])  # noqa: UP007

    def split(self, payload: Any) -> list[bytes]:
        """Return the elements of a message that is an array. Raises what msgspec raises if it is none."""
        return [bytes(element) for element in msgspec.json.decode(payload, type=list[msgspec.Raw])]

    def decode(self, payload: Any) -> tuple[Any, str | None]:
        """Return a row of a mirror, and the JSON of the fields that the type does not know, or None.

        Raises what msgspec raises for the user's type, and ValueError for a value that its column does not
        take.
        """
        event = self._judge.decode(payload)
        # A TypedDict is no class of its values.
        if self._remade and (len(self.plan.tables) == 1 or type(event) in self._remade):
            try:
                known = msgspec.json.encode(event)
            except TypeError as error:
                raise ValueError(f"what Python code made of the event has no JSON: {error}") from None
            return self._remaking.decode(known), self._extra(bytes(payload))
        try:
            return self._strict.decode(payload), None
        except msgspec.ValidationError:
            row = self._lenient.decode(payload)
            return row, self._extra(bytes(payload))

    def _extra(self, payload: bytes) -> str | None:
        # The lenient decoder skips what it does not know without looking at it closely.
        msgspec.json.decode(payload)
        found = dict(_unknown(self.plan.event, msgspec.json.decode(payload, type=msgspec.Raw), ""))
        return msgspec.json.encode(found).decode() if found else None


# -- mirrors -------------------------------------------------------------------------------------------------


def _mirror(column: Column, strict: bool, takes_null: bool) -> Any:
    """The struct that mirrors a struct's column; with `takes_null`, of JSON that has None where a default is
    None.
    """
    fields: list[Any] = []
    for i, child in enumerate(column.children):
        type_ = _stored(child, strict, takes_null)
        if child.required:
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
            yield from _unknown(column.children[0], value, f"{path}/{_pointer_name(key)}")
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
                yield from _unknown(known[name], value, f"{path}/{_pointer_name(name)}")
            elif name != column.tag_field:
                yield (f"{path}/{_pointer_name(name)}" if path or name.startswith("/") else name), value


def _member(column: Column, raw: msgspec.Raw) -> Column:
    value = msgspec.json.decode(raw)
    tag = value[0] if column.is_array else value[column.tag_field]
    return next(child for child in column.children if child.tag == tag)


def _pointer_name(name: str) -> str:
    """A name in a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def reference_of(type_: Any) -> Reference:
    """The reference of a type, shared by all connections of the process."""
    try:
        hash(type_)
    except TypeError:  # metadata of an Annotated may be anything
        return Reference(type_)
    # Unions of the same types are equal in any order, but their tables are in the order of each.
    return _kept(type_, get_args(type_))


@functools.lru_cache(maxsize=64)
def _kept(type_: Any, members: tuple[Any, ...]) -> Reference:
    return Reference(type_)
