# cython: language_level=3
"""UUIDs of text, and as text."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef extern from "csrc/uuid.h" nogil:
    int rl_uuid_chars "RL_UUID_CHARS"
    void rl_format_uuids(const uint8_t* raw, size_t count, int32_t* offsets, uint8_t* text)

cdef extern from "csrc/simd.h" nogil:
    int rl_parse_uuid(const uint8_t* text, uint8_t* out)

UUID_CHARS = rl_uuid_chars


def write_uuid_text(raw, Py_ssize_t count, offsets, text):
    """Write the canonical text of the first `count` UUIDs in `raw`, 16 bytes each, as an Arrow utf8 array has it.

    `offsets` takes count + 1 int32, `text` the characters, `UUID_CHARS` of each. The GIL is released meanwhile.

    Raises:
        ValueError: a buffer is too small.
    """
    cdef Py_buffer source, ends, characters
    PyObject_GetBuffer(raw, &source, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(offsets, &ends, PyBUF_WRITABLE)
        try:
            PyObject_GetBuffer(text, &characters, PyBUF_WRITABLE)
            try:
                if (count < 0 or source.len // 16 < count or ends.len // 4 <= count
                        or characters.len // rl_uuid_chars < count):
                    raise ValueError(f"a buffer is too small for {count} UUIDs")
                with nogil:
                    rl_format_uuids(
                        <const uint8_t*>source.buf, <size_t>count, <int32_t*>ends.buf, <uint8_t*>characters.buf)
            finally:
                PyBuffer_Release(&characters)
        finally:
            PyBuffer_Release(&ends)
    finally:
        PyBuffer_Release(&source)


def uuid_bytes(value, column=None):
    """The 16 bytes of a UUID: of its text (RFC 9562 section 4), either case, or without the hyphens; or of a uuid.UUID.

    Raises:
        ValueError: the text is no UUID.
        TypeError: it is neither.
    """
    cdef Py_ssize_t n
    cdef const char* text
    cdef uint8_t canonical[36]
    cdef bytes out
    if not isinstance(value, str):
        raw = getattr(value, "bytes", None)
        if type(raw) is not bytes or len(raw) != 16:
            raise TypeError(f"expected a UUID, got {type(value).__name__}")
        return raw
    out = PyBytes_FromStringAndSize(NULL, 16)
    text = PyUnicode_AsUTF8AndSize(value, &n)
    if n == 36 and rl_parse_uuid(<const uint8_t*>text, <uint8_t*>PyBytes_AS_STRING(out)):
        return out
    if n == 32:
        memset(canonical, 45, 36)
        memcpy(canonical, text, 8)
        memcpy(canonical + 9, text + 8, 4)
        memcpy(canonical + 14, text + 12, 4)
        memcpy(canonical + 19, text + 16, 4)
        memcpy(canonical + 24, text + 20, 12)
        if rl_parse_uuid(canonical, <uint8_t*>PyBytes_AS_STRING(out)):
            return out
    raise ValueError(f"not a UUID: {value[:64]!r}")
