# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t

from rlfast._core.block cimport ReadStamp
from rlfast._core.columns cimport Buffer, Column, ColumnBuilder, Rows, StringTable
from rlfast._core.tables cimport TableBuilder


cdef extern from "csrc/plan.h" nogil:
    enum:
        RL_UTF8
        RL_LIST
        RL_STRUCT
        RL_TUPLE
        RL_UNION
        RL_MAP
        RL_EVENT
        RL_GENERAL
        RL_ACCEPT_ARRAY
        RL_TAG
        RL_MIN_POWER
        RL_MAX_POWER
        RL_FOLLOWERS
        RL_MAX_DEPTH

    enum Absent "rl_absent":
        RL_REQUIRED
        RL_ABSENT_NULL
        RL_ABSENT_DEFAULT
        RL_ABSENT_FALLBACK

    enum TokenKind "rl_token_kind":
        RL_TOKEN_ABSENT
        RL_TOKEN_NULL
        RL_TOKEN_FALSE
        RL_TOKEN_TRUE
        RL_TOKEN_INTEGER
        RL_TOKEN_NUMBER
        RL_TOKEN_ASCII
        RL_TOKEN_UTF8
        RL_TOKEN_ESCAPED
        RL_TOKEN_LISTED
        RL_TOKEN_JSON
        RL_TOKEN_VALUES
        RL_TOKEN_BASE64
        RL_TOKEN_DECIMAL
        RL_TOKEN_UUID
        RL_TOKEN_DATETIME
        RL_TOKEN_DATE
        RL_TOKEN_TIME
        RL_TOKEN_STRUCT
        RL_TOKEN_LIST
        RL_TOKEN_MAP
        RL_TOKEN_KEY
        RL_TOKEN_OPEN_ARRAY
        RL_TOKEN_OPEN_OBJECT
        RL_TOKEN_ARRAY
        RL_TOKEN_OBJECT
        RL_TOKEN_NEW_KEY

    ctypedef struct Token "rl_token"

    ctypedef union TokenValue:
        const uint8_t* text
        int64_t integer
        double number
        void* object
        const Token* inside

    ctypedef struct Token "rl_token":
        int kind
        uint32_t span
        uint64_t size
        TokenValue of

    size_t rl_unescape_all(const uint8_t* p, size_t n, uint8_t* out)

    ctypedef struct Powers "rl_powers":
        uint64_t* word

    ctypedef struct Types "rl_types"
    ctypedef struct Type "rl_type"

    ctypedef struct Field "rl_field":
        uint8_t* text
        uint32_t mask
        uint32_t key_size
        int kind
        uint8_t nullable
        uint8_t limited
        Field* next
        Column* column
        const StringTable* strings
        const uint8_t* key
        int absent
        int64_t int_min
        int64_t int_max
        int64_t multiple_of
        double float_min
        double float_max
        int64_t length_min
        int64_t length_max
        const uint8_t* default_json
        size_t default_size
        void* object
        Types* types
        Field* item
        const int64_t* choices
        uint32_t n_choices
        uint8_t accepts
        uint8_t part_of
        uint8_t n_parts
        Field* parts
        int16_t scale
        int16_t precision

    ctypedef struct Type "rl_type":
        Field* fields
        uint32_t n_fields
        Field* tag
        Field* start
        Field tag_value
        Type* next_in_bucket
        StringTable names
        Rows* rows
        Column* column
        int64_t tag_code
        uint8_t always_fallback
        uint8_t keeps_unknown
        Types* events
        Types* whole
        uint8_t ordered

    ctypedef struct Types "rl_types":
        Type* types
        uint32_t n_types
        uint8_t has_tag
        uint8_t is_array
        Field tag_key
        Type** tags
        uint32_t tag_mask

    ctypedef struct Decoder "rl_decoder"

    ctypedef struct Decoder "rl_decoder":
        Types root
        uint8_t splits
        uint8_t separator
        uint8_t is_value
        Field* events_at
        uint32_t n_events_at
        Rows** tables
        uint32_t n_tables
        Rows* untyped
        const Powers* powers
        Buffer scratch
        Buffer unknown
        Buffer items
        Field* value
        Decoder* plain
        StringTable keys
        Field** followers
        int no_memory

    ctypedef struct Run "rl_run":
        const uint8_t* data
        const uint32_t* offsets
        const ReadStamp* stamps
        int64_t first_seq
        int64_t epoch
        uint32_t at
        uint32_t stop
        uint32_t end
        uint32_t stamp
        uint32_t stamp_end

    uint32_t rl_tag_bucket(uint32_t first)

    ctypedef void (*Kernel "rl_kernel")(Decoder* decoder, Run* run) noexcept

    ctypedef const Token* (*Reader "rl_reader")(Decoder* decoder, const uint8_t* p, const uint8_t* end) noexcept

    ctypedef size_t (*Values "rl_values")(Decoder* decoder, const uint8_t* p, const uint8_t* end) noexcept

    ctypedef struct KernelEntry "rl_kernel_entry":
        const char* name
        Kernel run
        Reader read
        Values values

    const KernelEntry* rl_kernels()


cdef const Powers* powers() noexcept
cdef const KernelEntry* find_kernel(str name) except NULL
cdef int set_key(Field* field, bytes key) except -1


cdef class CompiledPlan:
    cdef:
        Decoder decoder         # its arrays, strings and buffers are owned here
        Kernel kernel
        Reader read
        readonly str kernel_name
        list _kept              #: list[object], what the C structs borrow from: builders, bytes

    cdef const uint8_t* _borrow(self, bytes text) except NULL
    cdef int _add_envelopes(self, list tables, list columns, list event_at, object tag_field) except -1
    cdef int _add_types(
        self, Types* types, object columns, list tables, list builders, object tag_field, uint32_t first=*, tuple at=*
    ) except -1
    cdef int _add_type(
        self, Type* type, object column, TableBuilder table, ColumnBuilder builder, object tag_field, bint is_array,
        uint32_t first, tuple at
    ) except -1
    cdef int _set_event(self, Field* field, object column, TableBuilder table, uint32_t first, tuple at) except -1
    cdef int _set_key(self, Field* field, bytes key) except -1
    cdef int _set_field(self, Field* field, object column, ColumnBuilder builder) except -1
    cdef int _set_value(self, Field* field, object column) except -1
