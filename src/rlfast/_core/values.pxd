# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from cpython.object cimport PyObject

from rlfast._core.objects cimport ObjectDecoder, RecentTexts
from rlfast._core.plan cimport Token, Decoder, Type, Values


cdef class ValueDecoder(ObjectDecoder):
    cdef:
        Decoder decoder     # its buffers are owned here
        Type type           # the only one of `decoder`; its fields, their objects and its names are owned here
        Values values
        list _kept          #: list[bytes], what the fields borrow from
        list _loose         #: list[str], new keys of the payload that is being decoded
        RecentTexts _recent
        uint32_t _missed    # keys that there was no room for

    cdef void _forget_keys(self) noexcept
    cdef int _learn(self, const Token* token, PyObject* key, const uint8_t* begin) except -1
    cdef PyObject* _key(self, Token* token, const uint8_t* begin) noexcept
    cdef PyObject* _build(self, Token* kept, size_t n, const uint8_t* begin) noexcept
    cdef PyObject* build(self, size_t first, size_t n, const uint8_t* begin) noexcept
    cdef void before_reading(self) noexcept
    cdef object decode(self, const char* payload, Py_ssize_t n)
