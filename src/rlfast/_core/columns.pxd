# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "csrc/column.h" nogil:
    enum:
        RL_OK
        RL_NO_MEMORY
        RL_TOO_BIG
        RL_NOT_IN_TABLE

    ctypedef struct Buffer "rl_buffer":
        uint8_t* data
        size_t size
        size_t capacity

    ctypedef struct StringTable "rl_string_table":
        int32_t count
        uint64_t* seed
        Buffer offsets
        Buffer data

    int32_t table_add "rl_table_add"(StringTable* table, const uint8_t* text, size_t n)
    void table_clear "rl_table_clear"(StringTable* table)
    void table_free "rl_table_free"(StringTable* table)

    enum Encoding "rl_encoding":
        RL_PLAIN
        RL_STRING_TABLE
        RL_ADAPTIVE
        RL_FIXED

    ctypedef struct Column "rl_column":
        int kind
        int encoding
        int64_t length
        int64_t null_count
        int64_t capacity
        Buffer validity
        Buffer offsets
        Buffer data
        Buffer child_offsets
        StringTable* strings

    ctypedef struct Rows "rl_rows":
        Column** columns
        uint32_t n_columns
        int64_t rows
        int64_t capacity
        int64_t expected
        Column* seq
        Column* epoch
        Column* received_at
        Column* extra


cpdef enum ColumnKind:      # the values of enum rl_kind in csrc/column.h
    INT64 = 0
    FLOAT64 = 1
    BOOL = 2
    UTF8 = 3
    UUID = 4
    DICT_UTF8 = 5       # int32 codes into a utf8 dictionary
    LIST_UTF8 = 6
    LIST_UUID = 7
    BINARY = 8
    TIMESTAMP = 9       # int64 nanoseconds since 1970-01-01 UTC, UTC


cdef uint64_t random_seed() except? 0


cdef class OwnedBuffer:
    cdef:
        uint8_t* data           # owned, freed in __dealloc__
        readonly Py_ssize_t nbytes

    @staticmethod
    cdef OwnedBuffer adopt(Buffer* buffer, size_t size)


cdef class ColumnData:
    cdef:
        readonly str name
        readonly ColumnKind kind
        readonly ColumnKind declared        # UTF8 for a text column that has become a dictionary; else as kind
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
        StringTable strings                 # owned; what column.strings points to
        readonly str name
        readonly ColumnKind kind
        readonly bint nullable
        int _encoding                       # that every batch starts with
        ColumnData _fixed                   #: ColumnData | None, the dictionary of fixed strings

    cdef int append(self, object value) except -1
    cdef int append_int64(self, int64_t value) except -1
    cdef int append_null(self) except -1
    cdef int append_nulls(self, int64_t count) except -1
    cdef int truncate(self, int64_t length) noexcept
    cdef int _reserve_row(self) except -1
    cdef int _append_list(self, list items) except -1
    cdef ColumnData _dictionary(self)


cdef class TableBuilder:
    cdef:
        Rows rows                           # the array `columns` is owned here, the columns by their builders
        readonly str name
        list _columns                       #: list[ColumnBuilder], seq, epoch, received_at first
        tuple _attributes                   #: tuple[str, ...], of the struct, for the columns after the first three
        ColumnBuilder _seq
        ColumnBuilder _epoch
        ColumnBuilder _received_at
        ColumnBuilder _extra                #: ColumnBuilder | None

    cdef int append_row(self, object row, int64_t seq, int64_t epoch, int64_t received_at, object extra) except -1
    cdef ColumnBuilder field(self, Py_ssize_t index)
    cdef void sync(self) noexcept
    cdef int _rollback(self) except -1
