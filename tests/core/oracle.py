"""What a column must be, written with pyarrow from plain Python values."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from rlfast._core.columns import ColumnKind

NON_NULL_TEXT = pa.field("item", pa.string(), nullable=False)
NON_NULL_UUID = pa.field("item", pa.uuid(), nullable=False)

INT64S = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 0, -1])
TEXTS = st.text(max_size=40)
WORDS = st.sampled_from(["", "added", "updated", "été", "🙂", "\0"])


@st.composite
def uuid_values(draw: st.DrawFn) -> str | uuid.UUID:
    """A UUID as text in lower, upper or mixed case, or as an object."""
    value = uuid.UUID(int=draw(st.integers(0, 2**128 - 1)))
    text = str(value)
    return draw(st.sampled_from([text, text.upper(), text[:18].upper() + text[18:], value]))


def uuid_bytes(value: str | uuid.UUID) -> bytes:
    return (value if isinstance(value, uuid.UUID) else uuid.UUID(value)).bytes


@dataclass(frozen=True)
class Kind:
    kind: ColumnKind
    values: st.SearchStrategy[Any]
    refused: tuple[Any, ...]


BAD_UUIDS = (
    "",
    "0" * 36,
    "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c1",
    "0b5c6f0e6e55-4e6ca9a54f5a0f6f1c11",
    7,
    b"x" * 16,
)
WIDE_INTS = (2**63, -(2**63) - 1, 2**64, 10**40, -(10**40))

KINDS = (
    Kind(ColumnKind.INT64, INT64S, (*WIDE_INTS, "1", 1.5)),
    Kind(ColumnKind.FLOAT64, st.floats() | st.integers(-(2**53), 2**53), (10**400, "1.5", b"")),
    Kind(ColumnKind.BOOL, st.booleans(), (0, 1, "true", b"")),
    Kind(ColumnKind.UTF8, TEXTS, ("\ud800", "ok \udfff", b"bytes", 5)),
    Kind(ColumnKind.UUID, uuid_values(), BAD_UUIDS),
    Kind(ColumnKind.DICT_UTF8, WORDS | TEXTS, ("\ud800", 5, b"x")),
    Kind(ColumnKind.LIST_UTF8, st.lists(TEXTS, max_size=6), (["a", "\ud800"], ["a", 1], ("a",), "abc")),
    Kind(
        ColumnKind.LIST_UUID,
        st.lists(uuid_values(), max_size=6),
        (*(["0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11", bad] for bad in BAD_UUIDS), "abc"),
    ),
    Kind(ColumnKind.BINARY, st.binary(max_size=40), ("text", bytearray(b"x"), [1])),
    Kind(ColumnKind.TIMESTAMP, INT64S, WIDE_INTS),
)


def expected_array(kind: ColumnKind, values: list[Any]) -> pa.Array:
    if kind == ColumnKind.UUID:
        storage = pa.array([None if v is None else uuid_bytes(v) for v in values], pa.binary(16))
        return pa.ExtensionArray.from_storage(pa.uuid(), storage)
    if kind == ColumnKind.LIST_UUID:
        rows = [None if v is None else [uuid_bytes(item) for item in v] for v in values]
        items = [item for row in rows for item in row or ()]
        offsets = [0]
        for row in rows:
            offsets.append(offsets[-1] + len(row or ()))
        return pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()),
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array(items, pa.binary(16))),
            type=pa.list_(NON_NULL_UUID),
            mask=pa.array([row is None for row in rows], pa.bool_()) if None in rows else None,
        )
    if kind == ColumnKind.DICT_UTF8:
        words: dict[str, int] = {}
        codes = [None if v is None else words.setdefault(v, len(words)) for v in values]
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(words), pa.string()))
    types = {
        ColumnKind.INT64: pa.int64(),
        ColumnKind.FLOAT64: pa.float64(),
        ColumnKind.BOOL: pa.bool_(),
        ColumnKind.UTF8: pa.string(),
        ColumnKind.LIST_UTF8: pa.list_(NON_NULL_TEXT),
        ColumnKind.BINARY: pa.binary(),
        ColumnKind.TIMESTAMP: pa.timestamp("ns", "UTC"),
    }
    if kind == ColumnKind.FLOAT64:
        values = [None if v is None else float(v) for v in values]
    return pa.array(values, types[kind])


def bits(values: list[float | None]) -> list[bytes | None]:
    """Doubles as their bits, so that NaN equals itself and 0.0 differs from -0.0."""
    return [None if value is None else struct.pack("<d", value) for value in values]


def assert_same(actual: pa.Array, expected: pa.Array) -> None:
    assert actual.type == expected.type
    assert actual.null_count == expected.null_count
    if pa.types.is_floating(actual.type):
        assert bits(actual.to_pylist()) == bits(expected.to_pylist())
    elif pa.types.is_dictionary(actual.type):
        # StringTable of rows that were taken back may stay in the dictionary.
        assert actual.to_pylist() == expected.to_pylist()
    else:
        assert actual.equals(expected)
