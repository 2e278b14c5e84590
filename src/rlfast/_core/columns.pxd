# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t


cpdef enum ColumnKind:
    INT64 = 0
    FLOAT64 = 1
    BOOL = 2
    UTF8 = 3
    UUID = 4
    DICT_UTF8 = 5       # int32 codes into a utf8 dictionary
    LIST_UTF8 = 6
    LIST_UUID = 7
    BINARY = 8
    TIMESTAMP = 9       # int64 nanoseconds since the Unix epoch, UTC


cdef struct Buffer:
    uint8_t* data
    size_t size         # bytes in use
    size_t capacity


cdef struct Column:
    # A column under construction. Owned by its ColumnBuilder. Bits beyond `length` in bitmaps are undefined.
    int kind
    int64_t length
    int64_t null_count
    Buffer validity     # bitmap, least significant bit first; empty until the first null
    Buffer offsets      # int32, length + 1 of them, of UTF8, BINARY and lists
    Buffer data         # values, or the bytes of text
    Buffer child_offsets    # int32, of the items of LIST_UTF8


cdef int buffer_grow(Buffer* buffer, size_t extra) except -1 nogil


cdef inline int buffer_reserve(Buffer* buffer, size_t extra) except -1 nogil:
    # Make room for `extra` more bytes; the buffer is unchanged when that fails.
    if buffer.size + extra <= buffer.capacity:
        return 0
    return buffer_grow(buffer, extra)


cdef class OwnedBuffer:
    cdef:
        uint8_t* data           # owned, freed in __dealloc__
        readonly Py_ssize_t nbytes
        Py_ssize_t exports

    @staticmethod
    cdef OwnedBuffer adopt(Buffer* buffer)


cdef class ColumnData:
    cdef:
        readonly str name
        readonly ColumnKind kind
        readonly bint nullable
        readonly int64_t length
        readonly int64_t null_count
        readonly OwnedBuffer validity       #: OwnedBuffer | None
        readonly OwnedBuffer offsets        #: OwnedBuffer | None
        readonly OwnedBuffer data
        readonly OwnedBuffer child_offsets  #: OwnedBuffer | None
        readonly ColumnData dictionary      #: ColumnData | None


cdef class ColumnBuilder:
    cdef:
        Column column                       # its buffers are owned here until finish() moves them out
        readonly str name
        readonly ColumnKind kind
        readonly bint nullable
        dict _codes                         # text -> code, of DICT_UTF8
        ColumnBuilder _dictionary

    cdef int append(self, object value) except -1
    cdef int append_int64(self, int64_t value) except -1
    cdef int append_null(self) except -1
    cdef int append_nulls(self, int64_t count) except -1
    cdef int truncate(self, int64_t length) except -1
    cdef int _mark(self, bint valid) except -1
    cdef int _cut_values(self, int64_t length) noexcept
    cdef int _start_offsets(self) except -1
    cdef int _append_code(self, object value) except -1
    cdef int _append_list(self, list items) except -1


cdef class TableBuilder:
    cdef:
        readonly str name
        readonly int64_t num_rows
        list _columns                       #: list[ColumnBuilder], seq, epoch, received_at first
        tuple _attributes                   #: tuple[str, ...], of the struct, for the columns after the first three
        ColumnBuilder _seq
        ColumnBuilder _epoch
        ColumnBuilder _received_at
        ColumnBuilder _extra                #: ColumnBuilder | None

    cdef int append_row(self, object row, int64_t seq, int64_t epoch, int64_t received_at, object extra) except -1
    cdef int _rollback(self) except -1
