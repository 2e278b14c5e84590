# cython: language_level=3
"""Encodings of the application: binary messages each of which is compressed by itself.

They are decoded into the room that they are given and no further, so that a small message cannot become a large
one unseen.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from rlfast._core.inflate cimport (
    Z_BUF_ERROR, Z_FINISH, Z_MEM_ERROR, Z_OK, Z_STREAM_END, inflate, inflateEnd, inflateInit2, inflateReset)

cdef enum:
    # Messages up to this size are inflated in less time than it takes to get the GIL back.
    INFLATED_WITH_GIL = 4096
    # zlib's names of formats, added to the size of the window.
    GZIP = 16
    # Each frame costs a library some ten microseconds and a copy of what is behind it.
    MAX_FRAMES = 64


cdef class PayloadDecoder:
    """Decodes one message at a time; nothing of a message is needed for the next one."""

    cdef int begin(self, const char* data, size_t n) except -1:
        """Begin with a message, which is borrowed until `run` says that it is over, or the next one begins."""
        raise NotImplementedError

    cdef int run(self, char** space, size_t* room) except -1:
        """Decode on, into `space`; advances both. Returns one of `Decoded`."""
        raise NotImplementedError


@cython.final
cdef class InflatingDecoder(PayloadDecoder):
    """By zlib. Takes 7 KiB, and 32 KiB more once a message does not fit into the room that there is.

    Args:
        name: ``gzip`` (RFC 1952), ``zlib`` (RFC 1950) or ``deflate`` (RFC 1951, without anything around it).
    """

    def __cinit__(self, str name not None):
        cdef int window_bits = {"gzip": GZIP + 15, "zlib": 15, "deflate": -15}[name]
        self.name = name
        self.at_once = INFLATED_WITH_GIL
        self._has_members = name == "gzip"
        memset(&self._stream, 0, sizeof(z_stream))
        if inflateInit2(&self._stream, window_bits) != Z_OK:
            raise MemoryError("cannot set up zlib")
        self._opened = True

    def __dealloc__(self):
        if self._opened:
            inflateEnd(&self._stream)

    cdef int begin(self, const char* data, size_t n) except -1:
        # A message is at most a GiB.
        self._stream.next_in = <const unsigned char*>data
        self._stream.avail_in = <unsigned int>n
        inflateReset(&self._stream)
        return 0

    cdef int run(self, char** space, size_t* room) except -1:
        cdef z_stream* stream = &self._stream
        cdef int result
        stream.next_out = <unsigned char*>space[0]
        stream.avail_out = <unsigned int>room[0]
        if stream.avail_in > self.at_once:
            with nogil:
                result = self._inflate()
        else:
            result = self._inflate()
        space[0] = <char*>stream.next_out
        room[0] = stream.avail_out
        if result == Z_STREAM_END and stream.avail_in == 0:
            return WHOLE
        if result == Z_MEM_ERROR:
            raise MemoryError("zlib has no memory for the window")
        if result == Z_BUF_ERROR and stream.avail_out == 0:
            return MORE
        self.fault = (
            "there is something behind its end" if result == Z_STREAM_END
            else "it ends early" if result == Z_BUF_ERROR
            else stream.msg.decode() if stream.msg != NULL
            else "it needs a dictionary")
        return BROKEN

    cdef int _inflate(self) noexcept nogil:
        """Inflate until the message, or the room, is used up: what zlib says at last."""
        cdef z_stream* stream = &self._stream
        cdef int result
        while True:
            # Not in steps, where the room will do: zlib then keeps no window.
            result = inflate(stream, Z_FINISH)
            if result != Z_STREAM_END or not self._has_members or stream.avail_in == 0:
                return result
            # RFC 1952 section 2.2: members follow each other.
            inflateReset(stream)


@cython.final
cdef class LibraryDecoder(PayloadDecoder):
    """By a library whose decompressors are like those of `bz2` and of `compression.zstd` (PEP 784).

    Args:
        name: of the encoding.
        make: callable, () -> decompressor of one frame; it lets go of the GIL for long work.
        error: class of the exceptions that a decompressor raises.
    """

    def __cinit__(self, str name not None, make, error):
        self.name = name
        self._make = make
        self._error = error

    cdef int begin(self, const char* data, size_t n) except -1:
        self._rest = PyBytes_FromStringAndSize(data, <Py_ssize_t>n)
        self._decompressor = self._make()
        self._frames = 1
        return 0

    cdef int run(self, char** space, size_t* room) except -1:
        cdef bytes out
        while room[0]:
            try:
                out = self._decompressor.decompress(self._rest, room[0])
            except self._error as error:
                self.fault = str(error)
                return self._end(BROKEN)
            memcpy(space[0], <const char*>out, len(out))
            space[0] += len(out)
            room[0] -= <size_t>len(out)
            self._rest = b""
            if self._decompressor.eof:
                self._rest = self._decompressor.unused_data
                if not self._rest:
                    return self._end(WHOLE)
                self._frames += 1
                if self._frames > MAX_FRAMES:
                    self.fault = f"it has more than {MAX_FRAMES} frames"
                    return self._end(BROKEN)
                self._decompressor = self._make()
            elif self._decompressor.needs_input:
                self.fault = "it ends early"
                return self._end(BROKEN)
        return MORE

    cdef int _end(self, int result) except -1:
        """Let go of the memory."""
        self._decompressor = None
        self._rest = b""
        return result
