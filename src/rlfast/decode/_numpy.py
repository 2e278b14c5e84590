"""Finished columns as numpy arrays, and as Python values."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Context, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rlfast.schema.kinds import Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rlfast._core.columns import ColumnData, OwnedBuffer

__all__ = ["to_numpy", "to_values"]

_EXACT = Context(prec=100)


def to_numpy(column: ColumnData) -> NDArray[Any]:
    """The column as an array: a view of its buffer where numpy has a dtype for it, else a copy."""
    import numpy as np

    dtype = column.spec.kind.numpy
    if dtype is not None:
        values: NDArray[Any] = np.frombuffer(memoryview(_data(column)), dtype=dtype, count=column.length)
    elif column.layout == Layout.BITS:
        values = _bits(_data(column), column.length)
    elif column.spec.kind.name == "DATE":
        days = np.frombuffer(memoryview(_data(column)), dtype="<i4", count=column.length)
        values = days.astype("datetime64[D]")
    else:
        out = np.empty(column.length, dtype=object)
        for i, value in enumerate(to_values(column)):
            out[i] = value
        return out
    if column.validity is not None:
        return np.ma.MaskedArray(values, mask=~_bits(column.validity, column.length))
    return values


def to_values(column: ColumnData) -> list[Any]:
    """The column as Python values: nested ones are lists and dicts, UUIDs are bytes, JSON is text.

    Times are integers in the unit of their kind, and dates and durations objects.
    """
    values = _values(column)
    if column.validity is not None:
        valid = _bits(column.validity, column.length).tolist()
        values = [value if there else None for value, there in zip(values, valid, strict=True)]
    return values


def _data(column: ColumnData) -> OwnedBuffer:
    assert column.data is not None
    return column.data


def _bits(buffer: OwnedBuffer, length: int) -> NDArray[np.bool_]:
    """A bitmap of `length` bits, least significant first, as booleans (a copy)."""
    import numpy as np

    octets = np.frombuffer(memoryview(buffer), dtype=np.uint8, count=(length + 7) // 8)
    return np.unpackbits(octets, count=length, bitorder="little").view(np.bool_)


def _offsets(column: ColumnData) -> list[int]:
    import numpy as np

    assert column.offsets is not None
    ends: list[int] = np.frombuffer(
        memoryview(column.offsets), dtype=np.int32, count=column.length + 1
    ).tolist()
    return ends


def _values(column: ColumnData) -> list[Any]:
    """The same, with any value for what is null."""
    import numpy as np

    layout = column.layout
    if column.length == 0:
        return []
    if layout == Layout.DICTIONARY:
        assert column.dictionary is not None
        codes = np.frombuffer(memoryview(_data(column)), dtype=np.int32, count=column.length).tolist()
        strings = _values(column.dictionary)
        return [strings[code] for code in codes] if strings else [None] * column.length
    if layout == Layout.BYTES:
        data = bytes(_data(column))
        parts = [data[start:end] for start, end in pairwise(_offsets(column))]
        return [part.decode() for part in parts] if column.format == b"u" else parts
    if layout == Layout.BITS:
        flags: list[Any] = _bits(_data(column), column.length).tolist()
        return flags
    if layout == Layout.OFFSETS:
        items = to_values(column.children[0])
        lists = [items[start:end] for start, end in pairwise(_offsets(column))]
        if column.format == b"+m":
            return [{entry["key"]: entry["value"] for entry in entries} for entries in lists]
        return lists
    if layout == Layout.CHILDREN:
        names = [child.name for child in column.children]
        rows = zip(*map(to_values, column.children), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]
    return _fixed_width(column)


def _fixed_width(column: ColumnData) -> list[Any]:
    import numpy as np

    kind = column.spec.kind
    if column.format[:1] in b"dw":
        data = bytes(_data(column))
        parts = [data[i : i + kind.width] for i in range(0, len(data), kind.width)]
        if column.format[:1] == b"w":
            return parts
        return [
            Decimal(int.from_bytes(part, "little", signed=True)).scaleb(-column.spec.scale, _EXACT)
            for part in parts
        ]
    if kind.name == "DATE":
        return [
            date.fromordinal(day + 719163) for day in np.frombuffer(memoryview(_data(column)), "<i4").tolist()
        ]
    dtype = kind.numpy if kind.numpy is not None and kind.numpy[0] == "<" else "<i8"
    values: list[Any] = np.frombuffer(memoryview(_data(column)), dtype=dtype, count=column.length).tolist()
    if kind.name == "DURATION":
        return [timedelta(microseconds=value) for value in values]
    return values
