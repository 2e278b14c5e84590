# cython: language_level=3
"""The columns of one table under construction."""

cimport cython
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from rlfast._core.columns cimport Column


@cython.final
cdef class TableBuilder:
    """The columns of one event type under construction: seq, epoch, received_at, the fields, `_extra`.

    Args:
        name: of the table.
        own: specs (see `ColumnBuilder`) of seq, epoch and received_at, and of item, if messages have several rows.
        fields: specs of the fields.
        extra: spec of the column `_extra`, with which the table ends, or None.
        attributes: of the row objects, one for each field; None: f0, f1, … as those of mirrors.
        adaptive: whether the fields that are text become dictionaries where that pays.
    """

    def __cinit__(self, str name not None, own not None, fields not None, extra=None, attributes=None,
                  bint adaptive=False):
        memset(&self.rows, 0, sizeof(Rows))
        self.name = name
        self._columns = [ColumnBuilder.__new__(ColumnBuilder, spec) for spec in own]
        self._seq, self._epoch, self._received_at = self._columns[:3]
        self._n_own = len(self._columns)
        if self._n_own > 3:
            self._item = self._columns[3]
            self.rows.item = &self._item.column
        self._columns.extend(ColumnBuilder.__new__(ColumnBuilder, spec, adaptive) for spec in fields)
        self._attributes = tuple(f"f{i}" for i in range(len(fields))) if attributes is None else tuple(attributes)
        self.rows.columns = <Column**>calloc(<size_t>len(self._columns), sizeof(Column*))
        if self.rows.columns == NULL:
            raise MemoryError
        for column in self._columns:
            self.rows.columns[self.rows.n_columns] = &(<ColumnBuilder>column).column
            self.rows.n_columns += 1
        self.rows.seq = &self._seq.column
        self.rows.epoch = &self._epoch.column
        self.rows.received_at = &self._received_at.column
        if extra is not None:
            self._extra = ColumnBuilder.__new__(ColumnBuilder, extra)
            self._columns.append(self._extra)
            self.rows.extra = &self._extra.column

    def __dealloc__(self):
        free(self.rows.columns)

    @property
    def num_rows(self):
        return self.rows.rows

    cdef ColumnBuilder field(self, Py_ssize_t index):
        """The column of field number `index`."""
        return <ColumnBuilder>self._columns[self._n_own + index]

    def reuse(self):
        """Before the first row: have the memory of a batch that nobody reads any more."""
        for column in self._columns:
            (<ColumnBuilder>column).reuse()

    cdef void sync(self) noexcept:
        """Tell the columns about rows that the compiled decoder has added."""
        cdef uint32_t i
        for i in range(self.rows.n_columns):
            self.rows.columns[i].length = self.rows.rows

    cdef int append_row(self, object row, int64_t seq, int64_t epoch, int64_t received_at, object extra, object item) except -1:
        """Append one row; when a value has no place in its column, raise and leave the table unchanged.

        The error is then a ValueError whose text names the column.
        """
        cdef Py_ssize_t i = self._n_own
        if extra is not None and self._extra is None:
            raise TypeError(f"table {self.name!r} has no column for unknown fields")
        try:
            for attribute in self._attributes:
                (<ColumnBuilder>self._columns[i]).append(getattr(row, attribute))
                i += 1
            if extra is not None:
                # Unknown fields are rare: the nulls before one are filled in when it comes, or at the end.
                self._extra.append_nulls(self.rows.rows - self._extra.column.length)
                self._extra.append(extra)
            self._seq.append_int64(seq)
            self._epoch.append_int64(epoch)
            self._received_at.append_int64(received_at)
            if self._item is not None:
                self._item.append(item)
        except (ValueError, OverflowError, TypeError) as error:
            # TypeError: msgspec does not check the defaults of a struct.
            self._rollback()
            name = (<ColumnBuilder>self._columns[i]).name
            raise ValueError(f"{error} - at `$.{name}`") from None
        except:
            self._rollback()
            raise
        self.rows.rows += 1
        return 0

    cdef int truncate(self, int64_t rows) except -1:
        """Take back rows, so that `rows` remain."""
        self.rows.rows = rows
        return self._rollback()

    cdef int _rollback(self) except -1:
        for column in self._columns:
            (<ColumnBuilder>column).truncate(self.rows.rows)
        return 0

    def finish(self):
        """List of `ColumnData`; the builder is empty and can be used again."""
        if self._extra is not None:
            self._extra.append_nulls(self.rows.rows - self._extra.column.length)
        self.rows.expected = self.rows.rows + self.rows.rows // 8
        self.rows.rows = self.rows.capacity = 0
        return [(<ColumnBuilder>column).finish() for column in self._columns]

    def push_row(self, row, int64_t seq, int64_t epoch, int64_t received_at, extra=None, item=None):
        """Append the attributes of `row` as one row. Raises ValueError, naming the column, changing nothing."""
        self.append_row(row, seq, epoch, received_at, extra, item)
