# cython: language_level=3
"""Payloads to Python objects: what decoders by type and decoders of plain values have in common."""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from rlfast._core.columns cimport random_seed
from rlfast._core.plan cimport RL_TOKEN_ESCAPED, rl_unescape_all

cdef extern from "Python.h":
    # Each returns a new reference, or NULL with an exception set.
    PyObject* PyUnicode_FromOrdinal(int code)
    PyObject* PyUnicode_DecodeUTF8(const char* text, Py_ssize_t size, const char* errors)
    PyObject* PyErr_NoMemory()


cdef int _keep_single_characters() except -1:
    cdef int code
    for code in range(128):
        one_character[code] = PyUnicode_FromOrdinal(code)
        if one_character[code] == NULL:
            raise MemoryError
    return 0


_keep_single_characters()


cdef PyObject* odd_text(const Token* token) noexcept:
    """See `new_text`."""
    cdef const char* text = <const char*>token.of.text
    cdef PyObject* made
    cdef char* plain
    if token.kind != RL_TOKEN_ESCAPED:
        return PyUnicode_DecodeUTF8(text, <Py_ssize_t>token.size, NULL)
    plain = <char*>PyMem_Malloc(token.size + 4)
    if plain == NULL:
        return PyErr_NoMemory()
    made = PyUnicode_DecodeUTF8(
        plain, <Py_ssize_t>rl_unescape_all(token.of.text, token.size, <uint8_t*>plain), NULL)
    PyMem_Free(plain)
    return made


@cython.final
cdef class RecentTexts:
    """Short texts that were read not long ago: one that comes again is the same object.

    A text has one slot, which it takes from whatever text was there before. So memory is bounded, and looking
    takes as long for all texts.
    """

    def __cinit__(self):
        cdef Py_ssize_t i
        for i in range(N_RECENT):
            self._slots[i].size = <size_t>-1
        self._seed[0] = random_seed()
        self._seed[1] = random_seed()

    def __dealloc__(self):
        self.clear()

    cdef void clear(self) noexcept:
        cdef Py_ssize_t i
        for i in range(N_RECENT):
            self._slots[i].size = <size_t>-1
            _xdecref(self._slots[i].object)
            self._slots[i].object = NULL


cdef RecentTexts _recent = RecentTexts()
cdef RecentTexts _of_fields = RecentTexts()


cdef RecentTexts recent_texts():
    """Those of the process."""
    return _recent


cdef RecentTexts field_texts():
    """Those that were read for `field_text`."""
    return _of_fields


cdef class ObjectDecoder:
    """Base of what makes a Python object of a payload, or leaves it to msgspec.

    What it makes equals what msgspec makes of the same bytes.
    """

    cdef object decode(self, const char* payload, Py_ssize_t n):
        """The object, or None for a payload that msgspec must look at."""
        return None

    def read(self, bytes payload not None):
        """The object, or None for a payload that msgspec must look at."""
        return self.decode(payload, len(payload))

    def forget_order(self):
        """Unlearn the order of keys, so that decoding depends on nothing that came before."""
