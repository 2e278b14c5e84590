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

    enum Layout "rl_layout":
        RL_FIXED_WIDTH
        RL_BITS
        RL_BYTES
        RL_DICTIONARY
        RL_OFFSETS
        RL_CHILDREN

    ctypedef struct Column "rl_column":
        int layout
        int encoding
        size_t width
        int64_t length
        int64_t null_count
        int64_t capacity
        int64_t expected
        size_t expected_size
        Buffer validity
        Buffer offsets
        Buffer data
        StringTable* strings
        Column** children
        uint32_t n_children

    ctypedef struct Rows "rl_rows":
        Column** columns
        uint32_t n_columns
        int64_t rows
        int64_t capacity
        int64_t expected
        Column* seq
        Column* epoch
        Column* received_at
        Column* item
        Column* extra


cdef uint64_t random_seed() except? 0


cdef int check(int result) except -1


cdef class SpareBuffer:
    cdef Buffer buffer          # owned, freed in __dealloc__

    cdef void leave(self, uint8_t* data, size_t capacity) noexcept
    cdef void take(self, Buffer* buffer) noexcept


cdef class OwnedBuffer:
    cdef:
        uint8_t* data           # owned, left to `spare` or freed in __dealloc__
        size_t capacity
        SpareBuffer spare       #: SpareBuffer | None
        readonly Py_ssize_t nbytes

    @staticmethod
    cdef OwnedBuffer adopt(Buffer* buffer, size_t size, SpareBuffer spare)

    @staticmethod
    cdef OwnedBuffer copy(const Buffer* buffer, size_t least)


cdef class ColumnData:
    cdef:
        readonly str name
        readonly object spec
        readonly int layout                 # enum rl_layout
        readonly int declared               # BYTES for a text column that has become a dictionary; else as layout
        readonly bytes format               # of the values; of a dictionary those of its texts
        readonly bytes extension            #: bytes | None, name of the Arrow extension type
        readonly bint nullable
        readonly int64_t length
        readonly int64_t null_count
        readonly OwnedBuffer validity       #: OwnedBuffer | None
        readonly OwnedBuffer offsets        #: OwnedBuffer | None
        readonly OwnedBuffer data           #: OwnedBuffer | None
        readonly ColumnData dictionary      #: ColumnData | None
        readonly list children              #: list[ColumnData]


cdef class ColumnBuilder:
    cdef:
        Column column                       # its buffers, and the array of children, are owned here until finish()
        StringTable strings                 # owned; what column.strings points to
        readonly str name
        readonly object spec
        readonly bint nullable
        object _convert
        bytes _format
        bytes _extension                    #: bytes | None
        int _layout                         # that every batch starts with, and the encoding
        int _encoding
        int _declared
        SpareBuffer _spare_offsets          # of batches that nobody reads any more
        SpareBuffer _spare_data
        list _children                      #: list[ColumnBuilder]
        tuple _attributes                   #: tuple[str, ...], of a mirror, one for each child
        object _choices                     #: tuple[int, ...] | None
        bint _unsigned
        dict _members                       #: dict[str | int, int | None] | None, of a union: tag -> child
        ColumnData _fixed                   #: ColumnData | None, the dictionary of fixed strings

    cdef int append(self, object value) except -1
    cdef int append_int64(self, int64_t value) except -1
    cdef int append_null(self) except -1
    cdef int append_nulls(self, int64_t count) except -1
    cdef int truncate(self, int64_t length) noexcept
    cdef void _begin(self) noexcept
    cdef void reuse(self) noexcept
    cdef int _fix_strings(self, object categories) except -1
    cdef int _add_children(self, object spec) except -1
    cdef int _reserve_row(self) except -1
    cdef int _put_fixed(self, object value) except -1
    cdef int _put_bytes(self, object value) except -1
    cdef int _put_items(self, object items) except -1
    cdef int _put_child(self, Py_ssize_t index, object value) except -1
    cdef int _put_fields(self, object value) except -1
    cdef int _put_member(self, object value) except -1
    cdef ColumnData _dictionary(self)
