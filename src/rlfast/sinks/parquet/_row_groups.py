"""A Parquet file out of row groups that were encoded each by itself, so that several threads can do it.

pyarrow encodes a file with one thread. Here every row group is made as a file in memory; the pages of all of
them behind each other, with one footer, are byte for byte what pyarrow would have written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlfast.sinks.parquet._arrow import pa, pq
from rlfast.sinks.parquet._thrift import BINARY, LIST, STRUCT, Struct, read_struct, write_struct

__all__ = ["MAGIC", "FileFooter", "RowGroup", "encode"]

MAGIC = b"PAR1"

# Numbers of fields in parquet.thrift.
_FILE_ROWS, _FILE_ROW_GROUPS, _FILE_METADATA = 3, 4, 5
_GROUP_COLUMNS, _GROUP_OFFSET = 1, 5
_COLUMN_METADATA = 3
_COLUMN_OFFSETS = (9, 10, 11)
"""Of the first data page, the index page and the dictionary page."""


class RowGroup:
    """An encoded row group.

    Attributes:
        pages: of all columns, without a copy.
        footer: of the file that it is by itself.
    """

    def __init__(self, file: memoryview) -> None:
        size = int.from_bytes(file[-8:-4], "little")
        self.pages = file[len(MAGIC) : -8 - size]
        self.footer, _ = read_struct(bytes(file[-8 - size : -8]))


def encode(table: pa.Table, settings: Mapping[str, Any]) -> RowGroup:
    """Encode all rows as one row group. pyarrow gives up the GIL meanwhile."""
    # Arrow's own pool gives each thread fresh huge pages, which the system has to clear: a third of the time.
    pool = pa.system_memory_pool()
    out = pa.BufferOutputStream(pool)
    with pq.ParquetWriter(out, table.schema, memory_pool=pool, **settings) as writer:
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
    return RowGroup(memoryview(out.getvalue()))


class FileFooter:
    """The footer of a file, as its row groups are written one after the other."""

    def __init__(self) -> None:
        self._file: Struct = {}
        self._rows = 0
        self._groups: list[bytearray] = []

    def add(self, group: RowGroup, offset: int) -> None:
        """Take a row group whose pages begin at `offset` of the file."""
        self._file = self._file or group.footer
        shift = offset - len(MAGIC)
        self._rows += group.footer[_FILE_ROWS][1]
        (fields,) = group.footer[_FILE_ROW_GROUPS][1][1]
        _shift(fields, _GROUP_OFFSET, shift)
        for column in fields[_GROUP_COLUMNS][1][1]:
            for number in _COLUMN_OFFSETS:
                _shift(column[_COLUMN_METADATA][1], number, shift)
        # Not as objects, of which wide tables have tens of thousands.
        written = bytearray()
        write_struct(written, fields)
        self._groups.append(written)

    def to_bytes(self, metadata: Mapping[str, str]) -> bytes:
        """Return the end of the file, with `metadata` beside that of the schema."""
        file = dict(self._file)
        pairs = [*file[_FILE_METADATA][1][1]]
        pairs += [{1: (BINARY, key.encode()), 2: (BINARY, value.encode())} for key, value in metadata.items()]
        file[_FILE_METADATA] = LIST, (STRUCT, pairs)
        file[_FILE_ROWS] = file[_FILE_ROWS][0], self._rows
        file[_FILE_ROW_GROUPS] = LIST, (STRUCT, self._groups)
        out = bytearray()
        write_struct(out, file)
        return bytes(out) + len(out).to_bytes(4, "little") + MAGIC


def _shift(fields: Struct, number: int, by: int) -> None:
    if number in fields:
        kind, offset = fields[number]
        fields[number] = kind, offset + by
