# cython: language_level=3
"""UUIDs as text, for files."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t


cdef extern from "csrc/uuid.h" nogil:
    int rl_uuid_chars "RL_UUID_CHARS"
    void rl_format_uuids(const uint8_t* raw, size_t count, int32_t* offsets, uint8_t* text)

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
