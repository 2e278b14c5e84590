# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cpython.object cimport PyObject

from rlfast._core.plan cimport Token

cdef extern from "csrc/string_table.h" nogil:
    ctypedef struct Digest "rl_digest":
        uint64_t head
        uint64_t tail

    Digest rl_digest_text(const uint8_t* text, size_t n, uint64_t seed, const uint8_t* begin)
    uint32_t rl_spread(Digest digest, const uint64_t* seed, int shift)

cdef extern from "Python.h":
    void _incref "Py_INCREF"(PyObject* o)
    void _xdecref "Py_XDECREF"(PyObject* o)

cdef enum:
    SHORT = 16          # bytes of a text that may be kept
    RECENT_BITS = 9
    N_RECENT = 512      # 1 << RECENT_BITS


cdef struct Recent:
    uint64_t head       # with `tail` and `size` all of the text, see rl_digest_text
    uint64_t tail
    size_t size
    PyObject* object    # owned by the slot, or NULL: then no text is of that size


cdef class RecentTexts:
    cdef:
        Recent[N_RECENT] _slots
        uint64_t[2] _seed           # odd and random, so that no server can choose texts that collide

    cdef void clear(self) noexcept


cdef RecentTexts recent_texts()
cdef PyObject* new_text(const Token* token) noexcept


cdef inline PyObject* text_object(RecentTexts recent, const Token* token, const uint8_t* begin) noexcept:
    """A new reference to the str of a token, which is a text; NULL with an exception set. Reads nothing before `begin`."""
    cdef Digest digest
    cdef Recent* slot
    cdef PyObject* made
    if token.size > SHORT:
        return new_text(token)
    digest = rl_digest_text(token.of.text, token.size, 0, begin)
    slot = &recent._slots[rl_spread(digest, recent._seed, 64 - RECENT_BITS)]
    if slot.head == digest.head and slot.tail == digest.tail and slot.size == token.size:
        _incref(slot.object)
        return slot.object
    made = new_text(token)
    if made != NULL:
        slot.head = digest.head
        slot.tail = digest.tail
        slot.size = token.size
        _xdecref(slot.object)
        _incref(made)
        slot.object = made
    return made


cdef class ObjectDecoder:
    cdef bint _busy         # what one payload takes is in use

    cdef object decode(self, const char* payload, Py_ssize_t n)
