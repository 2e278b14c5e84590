# cython: language_level=3
from libc.stdint cimport int64_t

from rlfast._core.columns cimport ColumnBuilder, Rows


cdef class TableBuilder:
    cdef:
        Rows rows                           # the array `columns` is owned here, the columns by their builders
        readonly str name
        list _columns                       #: list[ColumnBuilder], seq, epoch, received_at first
        tuple _attributes                   #: tuple[str, ...], of the row object, for the columns after the first three
        ColumnBuilder _seq
        ColumnBuilder _epoch
        ColumnBuilder _received_at
        ColumnBuilder _item                 #: ColumnBuilder | None
        Py_ssize_t _n_own
        ColumnBuilder _extra                #: ColumnBuilder | None

    cdef int append_row(self, object row, int64_t seq, int64_t epoch, int64_t received_at, object extra, object item) except -1
    cdef ColumnBuilder field(self, Py_ssize_t index)
    cdef void sync(self) noexcept
    cdef int truncate(self, int64_t rows) except -1
    cdef int _rollback(self) except -1
