"""Batches of events as columns, for numpy and for everything that speaks Arrow.

A buffer lives as long as any view of it: a numpy array or an Arrow consumer keeps it alive after the batch,
the connection and the event loop are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rlfast._core import arrow
from rlfast._core.columns import ColumnData
from rlfast.decode._numpy import to_numpy
from rlfast.schema._names import OwnNames

if TYPE_CHECKING:
    from numpy.typing import NDArray


OTHER_TABLE = "_other"
"""Messages of other kinds than the type describes."""


class EventTable:
    """The events of one type in a batch, as columns of `num_rows` values.

    ``table["priority"]`` is a numpy array: a read-only view of the column's buffer, without a copy, for
    numbers, times (``datetime64``, ``timedelta64``) and UUIDs (``V16``); a copy for bool (bits in Arrow),
    text, decimals, lists, maps and structs (object arrays of str, bytes, Decimal, list, dict). A numeric,
    bool, time or UUID column with nulls is a masked array, over the same view where there is one; other nulls
    are None.

    The table itself is an Arrow record batch by the PyCapsule interface: ``pyarrow.record_batch(table)``,
    ``polars.DataFrame(table)``. A `str` field is a dictionary column in batches where few of its texts are
    distinct, and plain utf8 in others. For one schema in all batches ask for it,
    ``pyarrow.record_batch(table, schema=schema)``, or take `with_plain_text`. Columns of a ``Literal`` or an
    ``Enum`` have the same dictionary in every batch: all texts of the type, in order.

    Attributes:
        name: the event type.
        num_rows: events.
        own_names: names of the columns that rlfast adds: seq, epoch, received_at, _extra, unless a field of
            the type is called so; see `rlfast.schema._names`.
    """

    __slots__ = ("_columns", "_index", "name", "num_rows", "own_names")

    def __init__(
        self, name: str, num_rows: int, columns: list[ColumnData], own_names: OwnNames | None = None
    ) -> None:
        self.name = name
        self.num_rows = num_rows
        self.own_names = own_names or OwnNames()
        self._columns = columns
        self._index = {column.name: column for column in columns}

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self._index)

    def __len__(self) -> int:
        return self.num_rows

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Column as a numpy array (see the class). Raises KeyError for an unknown name."""
        return to_numpy(self.column(name))

    def column(self, name: str) -> ColumnData:
        """The column's buffers: validity, offsets, data, dictionary. Raises KeyError for an unknown name."""
        try:
            return self._index[name]
        except KeyError:
            raise KeyError(f"{self.name} has no column {name!r}, only {', '.join(self._index)}") from None

    def __repr__(self) -> str:
        return f"<EventTable {self.name!r} rows={self.num_rows} columns=[{', '.join(self._index)}]>"

    def __arrow_c_schema__(self) -> object:
        """Arrow schema of the record batch, as a PyCapsule."""
        return arrow.schema_capsule(self._columns)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The record batch, as PyCapsules, without a copy.

        A text column that `requested_schema` has as utf8 is copied into that form, if it is a dictionary. No
        other wish is followed; that is for the consumer to see, as the Arrow specification has it.
        """
        columns = self._requested(requested_schema)
        return arrow.schema_capsule(columns), arrow.array_capsule(columns, self.num_rows)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A stream of this one record batch, as a PyCapsule; see `__arrow_c_array__`."""
        return arrow.stream_capsule(self._requested(requested_schema), self.num_rows)

    def _requested(self, schema: object | None) -> list[ColumnData]:
        if schema is None:
            return self._columns
        plain = arrow.plain_text_names(schema)
        return [column.plain() if column.name in plain else column for column in self._columns]

    def with_plain_text(self) -> EventTable:
        """The same table, with every `str` field as plain utf8; its other columns are shared, not copied."""
        columns = [column.plain() for column in self._columns]
        return EventTable(self.name, self.num_rows, columns, self.own_names)


class EventBatch(Mapping[str, EventTable]):
    """Consecutive messages of one stream: event tables by type, and what could not be decoded.

    Every message of ``[first_seq, last_seq]`` is exactly one row, of an event table or of `dead_letters`.
    Only types that occur have a table.

    Attributes:
        dead_letters: table of seq, epoch, received_at, reason, error (text) and raw (payload bytes).
        first_seq, last_seq: sequence numbers of the first and the last message, inclusive.
        num_rows: messages in the batch, dead letters included.
        payload_bytes: their JSON, in bytes.
        own_names: names of the columns that rlfast adds to the event tables.
    """

    __slots__ = ("_tables", "dead_letters", "first_seq", "last_seq", "num_rows", "own_names", "payload_bytes")

    def __init__(
        self,
        tables: dict[str, EventTable],
        dead_letters: EventTable,
        *,
        first_seq: int,
        last_seq: int,
        payload_bytes: int,
        own_names: OwnNames | None = None,
    ) -> None:
        self._tables = tables
        self.dead_letters = dead_letters
        self.first_seq = first_seq
        self.last_seq = last_seq
        self.num_rows = last_seq - first_seq + 1
        self.payload_bytes = payload_bytes
        self.own_names = own_names or OwnNames()

    @property
    def num_events(self) -> int:
        """Rows that are events: all but the dead letters, and messages of other kinds."""
        return sum(table.num_rows for name, table in self._tables.items() if name != OTHER_TABLE)

    def __getitem__(self, name: str) -> EventTable:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        types = ", ".join(f"{name}: {table.num_rows}" for name, table in self._tables.items())
        return (
            f"<EventBatch seq={self.first_seq}..{self.last_seq} {{{types}}} "
            f"dead_letters={self.dead_letters.num_rows}>"
        )
