"""Types of the columns in files: those that a capture was told to write, and those that files have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rlfast._core.uuids import UUID_CHARS, write_uuid_text
from rlfast.schema import kinds
from rlfast.sinks.parquet._arrow import pa, pc, pq
from rlfast.sinks.parquet._nested import with_leaves
from rlfast.sinks.parquet._options import ParquetOptions

__all__ = ["UUID_KEY", "as_text", "as_written", "encoding_of", "has_uuids", "options_of"]

UUID_KEY = "rlfast.uuid"
"""Key of a file's metadata: the option `uuid`, because columns of text do not tell."""

# Arrays are Any below: which attributes one has depends on its Arrow type, which is known at run time.


def as_written(table: pa.Table, options: ParquetOptions) -> pa.Table:
    """Return the rows with the types that `options` ask for; a column that has its type already is shared."""
    columns = [_convert(column, options) for column in table.columns]
    fields = [field.with_type(column.type) for field, column in zip(table.schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields).with_metadata(table.schema.metadata))


def _convert(column: Any, options: ParquetOptions) -> Any:
    def convert(leaf: Any) -> Any:
        kind = leaf.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns" and options.timestamps == "us":
            return _micros(leaf)
        if pa.types.is_timestamp(kind) and kind.unit == "s":
            # Parquet has no seconds; said here, the file has the schema that it was written with.
            return leaf.cast(pa.timestamp("ms", kind.tz), safe=False)
        if options.uuid == "text" and kind == pa.uuid():
            return _uuid_text(leaf)
        # Spark knows no time of day; of decimals of more than 38 digits it knows nothing, polars neither, and
        # DuckDB makes floats of them.
        if pa.types.is_time64(kind):
            return leaf.cast(pa.utf8())
        if pa.types.is_decimal256(kind):
            return _decimal_text(leaf)
        return leaf

    chunks = [with_leaves(chunk, convert) for chunk in column.chunks]
    return pa.chunked_array(chunks) if chunks else column


def _micros(array: Any) -> Any:
    """Times in nanoseconds, rounded down: Arrow's cast rounds those before 1970 up. Validity is shared."""
    validity, values = array.buffers()
    count = array.offset + len(array)
    nanos = np.frombuffer(values if values is not None else b"", np.int64, count)
    micros: Any = nanos // 1000
    kind, buffers = pa.timestamp("us", array.type.tz), [validity, pa.py_buffer(micros)]
    return pa.Array.from_buffers(kind, len(array), buffers, array.null_count, array.offset)


def _decimal_text(array: Any) -> Any:
    """Decimals with all their digits: Arrow's cast gives small ones an exponent."""
    precision, scale = array.type.precision, array.type.scale
    whole: Any = pa.Array.from_buffers(
        pa.decimal256(precision, 0), len(array), array.buffers(), array.null_count, array.offset
    ).cast(pa.utf8())
    if scale == 0:
        return whole
    padded = pc.replace_substring_regex(whole, "^(-?)", r"\1" + "0" * scale)
    return pc.replace_substring_regex(padded, rf"^(-?)0*(\d+)(\d{{{scale}}})$", r"\1\2.\3")


def as_text(array: Any) -> Any:
    """UUIDs, wherever they are in the array, as canonical text. Validity and offsets are shared."""
    return with_leaves(array, lambda leaf: _uuid_text(leaf) if leaf.type == pa.uuid() else leaf)


def _uuid_text(array: Any) -> Any:
    validity, values = array.buffers()[:2]
    count = array.offset + len(array)
    offsets, text = pa.allocate_buffer(4 * count + 4), pa.allocate_buffer(UUID_CHARS * count)
    write_uuid_text(values, count, offsets, text)
    return pa.Array.from_buffers(
        pa.utf8(), len(array), [validity, offsets, text], array.null_count, array.offset
    )


def encoding_of(kind: Any) -> str:
    """The Parquet encoding of values without a dictionary, by the table of kinds."""
    if pa.types.is_timestamp(kind):
        return kinds.TIMESTAMP.parquet
    return _ENCODINGS.get(str(kind), "PLAIN")


# By the names that pyarrow has for the formats of Arrow's C data interface.
_NAMES = {
    "c": "int8",
    "s": "int16",
    "i": "int32",
    "l": "int64",
    "C": "uint8",
    "S": "uint16",
    "I": "uint32",
    "L": "uint64",
    "u": "string",
    "z": "binary",
    "tdD": "date32[day]",
    "tDu": "duration[us]",
}
_ENCODINGS = {_NAMES[kind.arrow]: kind.parquet for kind in kinds.KINDS if kind.arrow in _NAMES}


def options_of(paths: Iterable[Path], schema: pa.Schema | None = None) -> dict[str, Any]:
    """Return the options `timestamps` and `uuid` that files were written with, as far as they tell.

    Args:
        paths: of events or dead letters; the first one that tells an option decides it. A file that cannot be
            read tells nothing.
        schema: that the files' rows were given, where that is known; it decides first.
    """
    found = _told_by(schema) if schema is not None else {}
    for path in paths:
        try:
            footer = pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            continue
        told = _told_by(footer.schema.to_arrow_schema())
        if schema is not None and "uuid" in told:
            found.setdefault("uuid", "text")  # The schema has none of these UUIDs left.
        uuid = (footer.metadata or {}).get(UUID_KEY.encode())
        if uuid is not None:
            found.setdefault("uuid", uuid.decode())
        found = {**told, **found}
        if len(found) == 2:
            break
    return found


def _told_by(schema: pa.Schema) -> dict[str, Any]:
    # Whatever it is called, the time of receipt is the first one.
    units = [field.type.unit for field in schema if pa.types.is_timestamp(field.type)]
    found: dict[str, Any] = {"timestamps": units[0]} if units else {}
    if any(has_uuids(field.type) for field in schema):
        # Early files do not name the option.
        found["uuid"] = "binary"
    return found


def has_uuids(kind: Any) -> bool:
    """Tell whether an Arrow type is that of UUIDs, or has them inside."""
    return "extension<arrow.uuid>" in str(kind)
