# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cpython.object cimport PyObject, PyTypeObject
from libc.string cimport memcmp

from rlfast._core.plan cimport RL_TOKEN_ASCII, Token

cdef extern from "csrc/string_table.h" nogil:
    ctypedef struct Digest "rl_digest":
        uint64_t head
        uint64_t tail

    Digest rl_digest_text(const uint8_t* text, size_t n, uint64_t seed, const uint8_t* begin)
    uint32_t rl_spread(Digest digest, const uint64_t* seed, int shift)

cdef extern from "new_objects.h":
    # Each returns a new reference, or NULL with an exception set.
    PyObject* rl_new_ascii(const uint8_t* text, size_t n) noexcept
    PyObject* rl_new_list(size_t n) noexcept
    PyObject* rl_new_untracked(PyTypeObject* type) noexcept
    bint rl_is_plain_type(PyTypeObject* type) noexcept

cdef extern from "Python.h":
    void* PyUnicode_DATA(PyObject* text)
    void _incref "Py_INCREF"(PyObject* o)
    void _xdecref "Py_XDECREF"(PyObject* o)

cdef enum:
    MOST_LUCK = 32
    NO_LUCK = -64
    SHORT = 16          # bytes of a text that may be kept
    LONG = 64           # the same of a field's text, of ASCII
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


cdef PyObject* one_character[128]   # of ASCII; owned, and never freed

cdef RecentTexts recent_texts()
cdef RecentTexts field_texts()
cdef PyObject* odd_text(const Token* token) noexcept


cdef inline PyObject* single(const Token* token) noexcept:
    """A new reference to the str of a text of one byte."""
    _incref(one_character[token.of.text[0]])
    return one_character[token.of.text[0]]


cdef inline PyObject* new_text(const Token* token) noexcept:
    """A new reference to the str of a token, which is a text; NULL with an exception set."""
    if token.size == 1:
        return single(token)
    if token.kind != RL_TOKEN_ASCII or token.size == 0:
        return odd_text(token)
    return rl_new_ascii(token.of.text, token.size)


cdef inline void _keep(Recent* slot, Digest digest, const Token* token, PyObject* made) noexcept:
    """Have the slot own a reference to the text of a token, too."""
    slot.head = digest.head
    slot.tail = digest.tail
    slot.size = token.size
    _xdecref(slot.object)
    _incref(made)
    slot.object = made


cdef inline PyObject* text_object(RecentTexts recent, const Token* token, const uint8_t* begin) noexcept:
    """A new reference to the str of a token, which is a text; NULL with an exception set. Reads nothing before `begin`."""
    cdef Digest digest
    cdef Recent* slot
    cdef PyObject* made
    if token.size == 1:
        return single(token)
    if token.size > SHORT:
        return new_text(token)
    digest = rl_digest_text(token.of.text, token.size, 0, begin)
    slot = &recent._slots[rl_spread(digest, recent._seed, 64 - RECENT_BITS)]
    if slot.head == digest.head and slot.tail == digest.tail and slot.size == token.size:
        _incref(slot.object)
        return slot.object
    made = new_text(token)
    if made != NULL:
        _keep(slot, digest, token, made)
    return made


cdef inline PyObject* field_text(RecentTexts recent, const Token* token, const uint8_t* begin, int* luck) noexcept:
    """The same for one of the texts of a field, or of the keys of a map, which may be longer.

    No more of them are looked for, for a while, if most have not come again: `luck` is the field's, and begins with 0.
    """
    cdef Digest digest
    cdef Recent* slot
    cdef PyObject* made
    if token.size == 1:
        return single(token)
    if token.size > LONG or (token.size > SHORT and token.kind != RL_TOKEN_ASCII):
        return new_text(token)
    if luck[0] < 0:
        luck[0] += 1
        return new_text(token)
    digest = rl_digest_text(token.of.text, token.size, recent._seed[0], begin)
    slot = &recent._slots[rl_spread(digest, recent._seed, 64 - RECENT_BITS)]
    # Long texts may share a digest.
    if slot.head == digest.head and slot.tail == digest.tail and slot.size == token.size and (
        token.size <= SHORT or memcmp(PyUnicode_DATA(slot.object), token.of.text, token.size) == 0
    ):
        if luck[0] < MOST_LUCK:
            luck[0] += 2
        _incref(slot.object)
        return slot.object
    luck[0] = luck[0] - 1 if luck[0] else NO_LUCK
    made = new_text(token)
    if made != NULL:
        _keep(slot, digest, token, made)
    return made


cdef class ObjectDecoder:
    cdef bint _busy         # what one payload takes is in use

    cdef object decode(self, const char* payload, Py_ssize_t n)
