# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rlfast._core.encodings cimport PayloadDecoder
from rlfast._core.queue cimport BlockQueue
from rlfast._core.inflate cimport Inflater


cdef enum Opcode:
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2


cdef class MessageAssembler:
    cdef:
        BlockQueue queue
        readonly size_t max_message_size
        public Inflater inflater            #: Inflater | None, if permessage-deflate was agreed
        public PayloadDecoder decoder       #: PayloadDecoder | None, of binary messages
        public bint discarding              # count messages, keep none
        readonly object error               #: tuple[int, str] | None, close code to be sent and why

        readonly uint64_t discarded_messages
        readonly uint64_t binary_messages
        readonly uint64_t oversized_messages

        # The fragmented message in progress (RFC 6455 section 5.4).
        char* _m_data                       # owned, freed in __dealloc__
        size_t _m_size
        size_t _m_capacity
        bint _m_active
        bint _m_text                        # it is a text message: UTF-8 (RFC 6455 section 5.6)
        bint _m_compressed                  # its payload is a part of a DEFLATE stream (RFC 7692 section 6)
        size_t _m_valid                     # bytes of it that are known to be whole UTF-8 sequences

    cdef const uint8_t* take_plain(self, const uint8_t* p, const uint8_t* end) except NULL
    cdef bint take(self, int opcode, bint fin, int rsv, const char* payload, size_t n) except -1
    cdef bint reject(self, const char* prefix, size_t kept, uint64_t size) except -1
    cdef bint fail(self, int code, str reason) except -1

    cdef bint _message(self, int opcode, const char* payload, size_t n) except -1
    cdef bint _fragment(self, bint fin, const char* payload, size_t n) except -1
    cdef int _reserve(self, size_t n) except -1
    cdef bint _assemble(self, const char* payload, size_t n) except -1
    cdef bint _encoded_message(self, const char* payload, size_t n) except -1
    cdef bint _encoded_apart(self, const char* payload, size_t n, const char* start, size_t size) except -1
    cdef bint _not_encoded(self, const char* payload, size_t n) except -1
    cdef bint _compressed_message(self, int opcode, const char* payload, size_t n) except -1
    cdef bint _inflate(self, const char* payload, size_t n, bint last, bint in_tail) except -1
    cdef bint _not_deflate(self) except -1
    cdef bint _not_utf8(self, const char* payload, size_t n) except -1
