"""Thrift's compact protocol, as far as footers of Parquet files need it.

A struct is a dict of its fields by their number, each with its type; a list is its items' type, and the
items. Integers are ints, all else is bytes. What was read and is written again is the same, byte for byte.
"""

from __future__ import annotations

from typing import Any

__all__ = ["BINARY", "LIST", "STRUCT", "Struct", "read_struct", "write_struct"]

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)

Struct = dict[int, tuple[int, Any]]
"""Fields by number: type and value. A boolean's value is its type. To be written, a struct may also be bytes:
one that was written before."""


def read_struct(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """Return a struct, and where it ends."""
    fields: Struct = {}
    number = 0
    while head := data[at]:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_int(data, at)
        value: Any = kind
        if kind > FALSE:
            value, at = _read_value(data, at, kind)
        fields[number] = kind, value
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (I16, I32, I64):
        return _read_int(data, at)
    if kind == STRUCT:
        return read_struct(data, at)
    if kind == BINARY:
        size, at = _read_varint(data, at)
        return data[at : at + size], at + size
    if kind in (LIST, SET):
        head = data[at]
        count, at = head >> 4, at + 1
        if count == 15:
            count, at = _read_varint(data, at)
        items = []
        for _ in range(count):
            value, at = _read_value(data, at, head & 15)
            items.append(value)
        return (head & 15, items), at
    size = {TRUE: 1, FALSE: 1, BYTE: 1, DOUBLE: 8}[kind]
    return data[at : at + size], at + size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) & 128:
        value |= (byte & 127) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1


def _read_int(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return value >> 1 ^ -(value & 1), at


def write_struct(out: bytearray, fields: Struct) -> None:
    """Append a struct."""
    before = 0
    for number, (kind, value) in fields.items():
        if 0 < number - before < 16:
            out.append((number - before) << 4 | kind)
        else:
            out.append(kind)
            _write_int(out, number)
        before = number
        if kind > FALSE:
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_int(out, value)
    elif kind == STRUCT and isinstance(value, dict):
        write_struct(out, value)
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind in (LIST, SET):
        of, items = value
        if len(items) < 15:
            out.append(len(items) << 4 | of)
        else:
            out.append(15 << 4 | of)
            _write_varint(out, len(items))
        for item in items:
            _write_value(out, of, item)
    else:
        out += value


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_int(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 ^ value >> 63)
