"""Checksums over what a reader made of nested messages: equal, whoever has read them.

The tag of a union is in none, as some keep it as a table's name; null, absent and empty are the same.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any

import msgspec
from msgspec import inspect

from benchmarks._nested_schemas import is_json, without_none

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MODULUS = 2**64


@dataclass
class Checksum:
    """Sums over all values of all columns, all modulo 2^64.

    Attributes:
        rows: events.
        integers: sum of the integers.
        numbers: sum of the bits of the doubles, which is the same in any order.
        trues: how many booleans are true.
        text: bytes of text, without keys and free-form JSON.
        times: sum of microseconds since 1970.
        items: items of lists, of inner lists too; None: the reader does not keep some of the lists.
        entries: entries of maps.
        keys: bytes of their keys.
        json: bytes of free-form JSON without whitespace; None: the reader does not keep it.
    """

    rows: int = 0
    integers: int = 0
    numbers: int = 0
    trues: int = 0
    text: int = 0
    times: int = 0
    items: int | None = 0
    entries: int = 0
    keys: int = 0
    json: int | None = 0

    def difference(self, other: Checksum) -> str:
        """What differs, as text; empty if nothing does."""
        pairs = [(each.name, getattr(self, each.name), getattr(other, each.name)) for each in fields(self)]
        return ", ".join(
            f"{name} {mine} and {yours}"
            for name, mine, yours in pairs
            if mine is not None and yours is not None and mine != yours
        )

    def add_values(self, type_: Any, values: Iterable[Any]) -> None:
        """Messages that msgspec has decoded; the items of one that is a list are its events."""
        info = inspect.type_info(type_)
        if isinstance(info, inspect.ListType):
            info, values = info.item_type, (event for value in values for event in value)
        members = info.types if isinstance(info, inspect.UnionType) else (info,)
        known = {member.cls: member for member in members if isinstance(member, inspect.StructType)}
        for event in values:
            self.rows += 1
            self._add_value(known[type(event)], event)

    def _add_value(self, info: inspect.Type, value: Any) -> None:
        if value is None:
            return
        info = without_none(info)
        if is_json(info):
            self._add(json=len(msgspec.json.encode(value)))
        elif isinstance(info, inspect.StructType):
            for field in info.fields:
                self._add_value(field.type, getattr(value, field.name))
        elif isinstance(info, inspect.ListType):
            self._add(items=len(value))
            for item in value:
                self._add_value(info.item_type, item)
        elif isinstance(info, inspect.DictType):
            self._add(entries=len(value))
            for key, item in value.items():
                self._add(keys=len(key.encode()))
                self._add_value(info.value_type, item)
        elif isinstance(info, inspect.IntType):
            self._add(integers=value)
        elif isinstance(info, inspect.FloatType):
            self._add(numbers=struct.unpack("<Q", struct.pack("<d", value))[0])
        elif isinstance(info, inspect.BoolType):
            self._add(trues=value)
        elif isinstance(info, inspect.DateTimeType):
            since = value - EPOCH
            self._add(times=(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
        else:
            self._add(text=len(value.encode()))

    def add_table(self, columns: dict[str, inspect.Type], table: Any) -> None:
        """Columns of a pyarrow table or record batch, of which those in `columns` count; and its rows."""
        self.rows += table.num_rows
        for name, info in columns.items():
            if name not in table.schema.names:
                self._leave_out(info)
                continue
            column = table.column(name)
            for array in column.chunks if hasattr(column, "chunks") else [column]:
                self._add_array(info, array)

    def _add_array(self, info: inspect.Type, array: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        info, kind = without_none(info), array.type
        if pa.types.is_null(kind):
            return
        if is_json(info):
            self._add(json=sum(len(msgspec.json.encode(json.loads(text))) for text in _texts(array)))
        elif isinstance(info, inspect.StructType):
            self._add_struct(info, array)
        elif isinstance(info, inspect.ListType):
            # Their null lists have no items here, whatever lies between the offsets.
            items = array.flatten()
            self._add(items=len(items))
            self._add_array(info.item_type, items)
        elif isinstance(info, inspect.DictType):
            self._add_map(info, array)
        elif isinstance(info, inspect.IntType):
            self._add(integers=_sum(array.cast(pa.int64())))
        elif isinstance(info, inspect.FloatType):
            bits = array.drop_null().to_numpy(zero_copy_only=False).astype("<f8").view("<u8")
            self._add(numbers=int(bits.sum()))
        elif isinstance(info, inspect.BoolType):
            self._add(trues=_sum(array))
        elif isinstance(info, inspect.DateTimeType):
            self._add(times=_sum(array.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())))
        else:
            self._add(text=_sum(pc.binary_length(array)))

    def _add_struct(self, info: inspect.StructType, array: Any) -> None:
        # `flatten` has the struct's nulls in its children, too.
        children = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
        for field in info.fields:
            child = children.get(field.encode_name)
            if child is not None:
                self._add_array(field.type, child)
            else:
                self._leave_out(field.type)

    def _add_map(self, info: inspect.DictType, array: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_struct(array.type):
            # pyarrow makes a field of every key that is in its schema.
            for field, child in zip(array.type, array.flatten(), strict=True):
                there = len(child) - child.null_count
                self._add(entries=there, keys=there * len(field.name.encode()))
                self._add_array(info.value_type, child)
        elif pa.types.is_map(array.type):
            pair = pa.struct([array.type.key_field, array.type.item_field])
            entries = array.cast(pa.list_(pair)).flatten()
            keys, items = entries.flatten()
            self._add(entries=len(keys), keys=_sum(pc.binary_length(keys)))
            self._add_array(info.value_type, items)
        else:
            for text in _texts(array):
                self._add_value(info, json.loads(text))

    def _leave_out(self, info: inspect.Type) -> None:
        """A reader may lack a column of free-form JSON; of other columns no row has a value."""
        info = without_none(info)
        if is_json(info):
            self.json = None
        elif isinstance(info, inspect.ListType) and is_json(info.item_type):
            self.json = self.items = None

    def _add(self, **sums: int) -> None:
        for name, value in sums.items():
            before = getattr(self, name)
            if before is not None:
                setattr(self, name, (before + value) % _MODULUS)


def _sum(array: Any) -> int:
    """Exact, however large: Arrow's own sum wraps as ours does."""
    import pyarrow.compute as pc

    return int(pc.sum(array).as_py() or 0)


def _texts(array: Any) -> Iterable[str]:
    return (text for text in array.to_pylist() if text is not None)
