# cython: language_level=3
"""Inflating the messages of a connection: permessage-deflate (RFC 7692), the receiving half.

zlib is called in C, so that its output goes straight into a block, and no further than the room it is given.
"""

cimport cython
from libc.stddef cimport size_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "zlib.h" nogil:
    int inflateGetDictionary(z_stream* stream, unsigned char* dictionary, unsigned int* size)
    int inflateSetDictionary(z_stream* stream, const unsigned char* dictionary, unsigned int size)


cdef enum:
    WINDOW = 32768          # the largest
    CHUNK = 0x40000000      # zlib counts in unsigned int
    AT_END_OF_BLOCK = 128   # of z_stream.data_type: see zlib.h on inflate()


@cython.final
cdef class Inflater:
    """The peer's compression context, for one connection.

    Takes 7 KiB, and the window (``2 ** window_bits`` bytes) once a message needs it.

    Args:
        window_bits: of the peer's window, from 8 to 15.
        resets: the peer agreed to ``server_no_context_takeover``: no message refers to an earlier one.
    """

    def __cinit__(self, int window_bits=15, bint resets=False):
        if not 8 <= window_bits <= 15:
            raise ValueError("window_bits must be from 8 to 15")
        memset(&self._stream, 0, sizeof(z_stream))
        self._resets = resets
        # Negative: a raw DEFLATE stream. A compressor that was asked for 8 bits may use 9 (zlib does).
        if inflateInit2(&self._stream, -max(window_bits, 9)) != Z_OK:
            raise MemoryError("cannot set up zlib")
        self._opened = True

    def __dealloc__(self):
        if self._opened:
            inflateEnd(&self._stream)
        free(self._window)

    cdef int run(self, const char** data, size_t* n, char** space, size_t* room) except -1 nogil:
        """Inflate from `data` into `space` until one of them is used up; advances both.

        When there is room left, everything that `data` stands for has been written.

        Returns:
            0, or 1 if `data` is not DEFLATE stream.
        """
        cdef z_stream* stream = &self._stream
        cdef unsigned int given
        cdef int result
        while True:
            if self._ended:
                if n[0] == 0:
                    return 0
                self._begin_stream()
            stream.next_in = <const unsigned char*>data[0]
            stream.avail_in = given = <unsigned int>min(n[0], <size_t>CHUNK)
            stream.next_out = <unsigned char*>space[0]
            stream.avail_out = <unsigned int>min(room[0], <size_t>CHUNK)
            result = inflate(stream, Z_SYNC_FLUSH)
            data[0] += given - stream.avail_in
            n[0] -= given - stream.avail_in
            room[0] -= <size_t>(<char*>stream.next_out - space[0])
            space[0] = <char*>stream.next_out
            if result == Z_STREAM_END:
                # RFC 7692 section 7.2.3.4: a sender may end its stream with each message.
                self._ended = True
            elif result == Z_MEM_ERROR:
                with gil:
                    raise MemoryError("zlib has no memory for the window")
            elif result != Z_OK and result != Z_BUF_ERROR:
                return 1
            elif room[0] == 0 or (n[0] == 0 and stream.avail_out):
                return 0
            elif result == Z_BUF_ERROR and n[0]:
                return 1

    cdef bint end_message(self) noexcept nogil:
        """The message is over: forget it, if that is agreed. False if it ended inside a DEFLATE block."""
        cdef bint whole = self._ended or self._stream.data_type & AT_END_OF_BLOCK
        if self._resets:
            inflateReset(&self._stream)
            self._ended = False
        return whole

    cdef int _begin_stream(self) except -1 nogil:
        """Begin a DEFLATE stream that may refer to what the one before it stood for."""
        cdef unsigned int size = 0
        if self._window == NULL:
            self._window = <unsigned char*>malloc(WINDOW)
            if self._window == NULL:
                with gil:
                    raise MemoryError("no memory for the window")
        inflateGetDictionary(&self._stream, self._window, &size)
        inflateReset(&self._stream)
        inflateSetDictionary(&self._stream, self._window, size)
        self._ended = False
        return 0
