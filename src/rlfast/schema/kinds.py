"""The kinds of columns: one row for each, with everything that is true of all columns of the kind.

A kind says how JSON becomes a value; its layout says how values lie in memory. The codes are those of `enum
rl_kind` in _core/csrc/kinds.h. A new kind is a row here, a code there, and its parser (csrc/column_values.h).
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from typing import Any

import msgspec

from rlfast._core.uuids import uuid_bytes
from rlfast.schema import _storage

__all__ = ["KINDS", "Kind", "Layout"]


class Layout(enum.IntEnum):
    """How the values of a column lie in memory: `enum rl_layout` in _core/csrc/column.h."""

    FIXED_WIDTH = 0
    BITS = 1
    BYTES = 2
    DICTIONARY = 3
    OFFSETS = 4
    CHILDREN = 5


class Kind(msgspec.Struct, frozen=True):
    """One kind of column.

    Attributes:
        name: of the kind.
        code: of the kind in C.
        python: the types that have it, for people.
        layout: how its values lie in memory.
        arrow: format string of Arrow's C data interface; ``{p}`` and ``{s}`` stand for precision and scale.
        width: bytes of a value, where the layout has a width.
        numpy: dtype of the column as an array; None: an object array.
        parquet: encoding in files, where no dictionary is in its place.
        extension: name of Arrow's canonical extension type.
        storage: what msgspec decodes for the column, by way of Python.
        convert: makes of that what the column holds (see `rlfast.schema._storage`); None: it is the same.
    """

    name: str
    code: int
    python: str
    layout: Layout
    arrow: str
    width: int = 0
    numpy: str | None = None
    parquet: str = "PLAIN"
    extension: str | None = None
    storage: Any = None
    convert: Callable[[Any, Any], Any] | None = None


_FIXED, _BYTES = Layout.FIXED_WIDTH, Layout.BYTES
_DELTA, _LENGTHS = "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY"
_JSON = "arrow.json"
_Raw = msgspec.Raw
_UTC = datetime.datetime
_us, _ns = "datetime64[us]", "datetime64[ns]"

# fmt: off
INT64 = Kind("INT64", 0, "int", _FIXED, "l", 8, "<i8", _DELTA, None, int)
FLOAT64 = Kind("FLOAT64", 1, "float", _FIXED, "g", 8, "<f8", "PLAIN", None, float)
BOOL = Kind("BOOL", 2, "bool", Layout.BITS, "b", 0, None, "PLAIN", None, bool)
UTF8 = Kind("UTF8", 3, "str", _BYTES, "u", 0, None, _LENGTHS, None, str)
UUID = Kind("UUID", 4, "UUIDStr, uuid.UUID", _FIXED, "w:16", 16, "V16", "PLAIN", "arrow.uuid", str,
    uuid_bytes)
CATEGORY = Kind("CATEGORY", 5, "CategoryStr, Literal or Enum of texts", Layout.DICTIONARY, "u", 4,
    None, _LENGTHS, None, str)
LIST = Kind("LIST", 6, "list, set, frozenset, tuple[T, ...]", Layout.OFFSETS, "+l")
STRUCT = Kind("STRUCT", 7, "Struct, dataclass, TypedDict", Layout.CHILDREN, "+s")
TUPLE = Kind("TUPLE", 8, "array_like Struct, NamedTuple, tuple[A, B]", Layout.CHILDREN, "+s")
UNION = Kind("UNION", 9, "tagged union of Structs", Layout.CHILDREN, "+s")
MAP = Kind("MAP", 10, "dict[str, T]", Layout.OFFSETS, "+m")
JSON = Kind("JSON", 11, "Any, object, msgspec.Raw, dict, list, int | str, all else", _BYTES, "u", 0,
    None, _LENGTHS, _JSON, _Raw, _storage.json_text)
INT8 = Kind("INT8", 12, "Int8", _FIXED, "c", 1, "<i1", "PLAIN", None, int)
INT16 = Kind("INT16", 13, "Int16", _FIXED, "s", 2, "<i2", "PLAIN", None, int)
INT32 = Kind("INT32", 14, "Int32", _FIXED, "i", 4, "<i4", _DELTA, None, int)
UINT8 = Kind("UINT8", 15, "UInt8", _FIXED, "C", 1, "<u1", "PLAIN", None, int)
UINT16 = Kind("UINT16", 16, "UInt16", _FIXED, "S", 2, "<u2", "PLAIN", None, int)
UINT32 = Kind("UINT32", 17, "UInt32", _FIXED, "I", 4, "<u4", _DELTA, None, int)
UINT64 = Kind("UINT64", 18, "UInt64, int with Meta(ge=0)", _FIXED, "L", 8, "<u8", _DELTA, None, int)
INT_CHOICE = Kind("INT_CHOICE", 19, "Literal or Enum of ints", _FIXED, "l", 8, "<i8", _DELTA, None, int)
FLOAT32 = Kind("FLOAT32", 20, "Float32", _FIXED, "f", 4, "<f4", "PLAIN", None, float, _storage.float32)
FLOAT_TEXT = Kind("FLOAT_TEXT", 21, "FloatText", _FIXED, "g", 8, "<f8", "PLAIN", None, str,
    _storage.number_of_text)
INT_TEXT = Kind("INT_TEXT", 22, "IntText", _FIXED, "l", 8, "<i8", _DELTA, None, str, _storage.integer_of_text)
DECIMAL_TEXT = Kind("DECIMAL_TEXT", 23, "Decimal", _BYTES, "u", 0, None, _LENGTHS, None, _Raw,
    _storage.decimal_text)
DECIMAL128 = Kind("DECIMAL128", 24, "DecimalText", _FIXED, "d:{p},{s}", 16, None, "PLAIN", None, _Raw,
    _storage.decimal_bytes)
DECIMAL256 = Kind("DECIMAL256", 25, "DecimalText, over 38 digits", _FIXED, "d:{p},{s},256", 32, None,
    "PLAIN", None, _Raw, _storage.decimal_bytes)
DATETIME = Kind("DATETIME", 26, "datetime", _FIXED, "tsu:UTC", 8, _us, _DELTA, None, _UTC, _storage.micros)
DATETIME_NANOS = Kind("DATETIME_NANOS", 27, "DateTimeNanos", _FIXED, "tsn:UTC", 8, _ns, _DELTA, None,
    str, _storage.nanos)
NAIVE_DATETIME = Kind("NAIVE_DATETIME", 28, "datetime with Meta(tz=False)", _FIXED, "tsu:", 8, _us,
    _DELTA, None, _UTC, _storage.naive_micros)
DATE = Kind("DATE", 29, "date", _FIXED, "tdD", 4, None, _DELTA, None, datetime.date, _storage.days)
TIME = Kind("TIME", 30, "time", _FIXED, "ttu", 8, "timedelta64[us]", _DELTA, None, datetime.time,
    _storage.micros_of_day)
DURATION = Kind("DURATION", 31, "timedelta", _FIXED, "tDu", 8, "timedelta64[us]", _DELTA, None,
    datetime.timedelta, _storage.duration)
EPOCH_SECONDS = Kind("EPOCH_SECONDS", 32, "EpochSeconds", _FIXED, "tss:UTC", 8, "datetime64[s]",
    _DELTA, None, _Raw, _storage.epoch)
EPOCH_MILLIS = Kind("EPOCH_MILLIS", 33, "EpochMillis", _FIXED, "tsm:UTC", 8, "datetime64[ms]", _DELTA,
    None, _Raw, _storage.epoch)
EPOCH_MICROS = Kind("EPOCH_MICROS", 34, "EpochMicros", _FIXED, "tsu:UTC", 8, _us, _DELTA, None, _Raw,
    _storage.epoch)
EPOCH_NANOS = Kind("EPOCH_NANOS", 35, "EpochNanos", _FIXED, "tsn:UTC", 8, _ns, _DELTA, None, _Raw,
    _storage.epoch)
BASE64 = Kind("BASE64", 36, "bytes", _BYTES, "z", 0, None, _LENGTHS, None, bytes)
BINARY = Kind("BINARY", 37, "(payloads of dead letters)", _BYTES, "z", 0, None, _LENGTHS)
TIMESTAMP = Kind("TIMESTAMP", 38, "(times of receipt)", _FIXED, "tsn:UTC", 8, _ns, _DELTA)
# fmt: on

KINDS: tuple[Kind, ...] = tuple(
    sorted((k for k in globals().values() if isinstance(k, Kind)), key=lambda k: k.code)
)
"""All of them, in order of their codes."""
