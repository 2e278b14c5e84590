# cython: language_level=3
from libc.stddef cimport size_t

from rlfast._core.inflate cimport z_stream


cdef enum Decoded:
    WHOLE           # everything that the message stands for has been written
    MORE            # there is no room for the rest
    BROKEN          # it is not such data: see `fault`


cdef class PayloadDecoder:
    cdef:
        readonly str name
        size_t at_once                  # up to this size a message is decoded while nobody else may run
        readonly str fault              #: str | None, why the message is not such data

    cdef int begin(self, const char* data, size_t n) except -1
    cdef int run(self, char** space, size_t* room) except -1


cdef class InflatingDecoder(PayloadDecoder):
    cdef:
        z_stream _stream                # its memory is zlib's: inflateEnd in __dealloc__
        bint _opened
        bint _has_members               # gzip data may follow gzip data

    cdef int _inflate(self) noexcept nogil


cdef class LibraryDecoder(PayloadDecoder):
    cdef:
        object _make                    #: callable that makes a decompressor of one frame
        object _error                   #: what that raises
        object _decompressor
        bytes _rest                     #: bytes, what it was not given yet
        int _frames

    cdef int _end(self, int result) except -1
