# cython: language_level=3
from libc.stddef cimport size_t


cdef extern from *:
    """
    #define ZLIB_CONST
    #include <zlib.h>
    """

cdef extern from "zlib.h" nogil:
    ctypedef struct z_stream:
        const unsigned char* next_in
        unsigned int avail_in
        unsigned char* next_out
        unsigned int avail_out
        const char* msg
        int data_type

    int Z_OK
    int Z_STREAM_END
    int Z_BUF_ERROR
    int Z_MEM_ERROR
    int Z_SYNC_FLUSH
    int Z_FINISH
    int inflateInit2(z_stream* stream, int window_bits)
    int inflate(z_stream* stream, int flush)
    int inflateEnd(z_stream* stream)
    int inflateReset(z_stream* stream)


cdef class Inflater:
    cdef:
        z_stream _stream                # its memory is zlib's: inflateEnd in __dealloc__
        bint _opened
        bint _resets                    # each message begins with an empty window
        bint _ended                     # a final block was read: the next byte begins a new DEFLATE stream
        unsigned char* _window          # 32 KiB for the change of streams, or NULL; freed in __dealloc__

    cdef int run(self, const char** data, size_t* n, char** space, size_t* room) except -1 nogil
    cdef bint end_message(self) noexcept nogil
    cdef int _begin_stream(self) except -1 nogil
