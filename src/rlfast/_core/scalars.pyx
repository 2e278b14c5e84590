# cython: language_level=3
"""Tokens to the objects that JSON has as strings: dates and times, UUIDs, decimals, bytes."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from rlfast._core.objects cimport new_text
from rlfast._core.plan cimport (
    RL_TOKEN_ASCII, RL_TOKEN_BASE64, RL_TOKEN_DATE, RL_TOKEN_DATETIME, RL_TOKEN_DECIMAL, RL_TOKEN_TIME,
)
from rlfast._core.shapes cimport MADE_BYTEARRAY, MADE_MEMORYVIEW

import decimal
import uuid

cdef extern from "csrc/base64.h" nogil:
    int64_t rl_parse_base64(const uint8_t* p, size_t n, uint8_t* out)

cdef extern from "datetime.h":
    """
    #define RLFAST_DATETIME(y, mo, d, h, mi, s, us, zone) \\
        PyDateTimeAPI->DateTime_FromDateAndTime(y, mo, d, h, mi, s, us, zone, PyDateTimeAPI->DateTimeType)
    #define RLFAST_TIME(h, mi, s, us, zone) \\
        PyDateTimeAPI->Time_FromTime(h, mi, s, us, zone, PyDateTimeAPI->TimeType)

    static int rlfast_import_datetime(void)
    {
        PyDateTime_IMPORT;
        return PyDateTimeAPI == NULL ? -1 : 0;
    }
    """
    int rlfast_import_datetime() except -1
    PyObject* PyDateTime_TimeZone_UTC       # borrowed
    # Each returns a new reference, or NULL with an exception set.
    PyObject* _datetime "RLFAST_DATETIME"(int y, int mo, int d, int h, int mi, int s, int us, PyObject* zone)
    PyObject* _time "RLFAST_TIME"(int h, int mi, int s, int us, PyObject* zone)
    PyObject* PyDate_FromDate(int year, int month, int day)
    PyObject* PyDelta_FromDSU(int days, int seconds, int micros)
    PyObject* PyTimeZone_FromOffset(PyObject* offset)

cdef extern from "Python.h":
    """
    #define RLFAST_ALLOC(type) ((PyTypeObject *)(type))->tp_alloc((PyTypeObject *)(type), 0)
    """
    PyObject* Py_None
    # Each returns a new reference, or NULL with an exception set.
    PyObject* _alloc "RLFAST_ALLOC"(PyObject* type)
    PyObject* _PyLong_FromByteArray(const unsigned char* bytes, size_t n, int little_endian, int is_signed)
    PyObject* PyObject_CallOneArg(PyObject* callable, PyObject* argument)
    PyObject* PyBytes_FromStringAndSize(const char* text, Py_ssize_t n)
    PyObject* PyByteArray_FromStringAndSize(const char* text, Py_ssize_t n)
    PyObject* PyMemoryView_FromObject(PyObject* o)
    char* PyBytes_AS_STRING(PyObject* o)
    char* PyByteArray_AS_STRING(PyObject* o)
    Py_ssize_t PyBytes_GET_SIZE(PyObject* o)
    int PyObject_GenericSetAttr(PyObject* o, PyObject* name, PyObject* value)
    void PyErr_SetNone(PyObject* type)
    PyObject* PyExc_ValueError
    void _incref "Py_INCREF"(PyObject* o)
    void _decref "Py_DECREF"(PyObject* o)

rlfast_import_datetime()

cdef enum:
    DAY = 1440              # minutes
    N_ZONES = 2881          # one for each minute of a day, forwards and backwards

cdef object _Decimal = decimal.Decimal
cdef object _UUID = uuid.UUID
cdef object _unknown_safety = uuid.SafeUUID.unknown
cdef object _int_name = "int"
cdef object _safety_name = "is_safe"
cdef PyObject* _zones[N_ZONES]      # owned, and never freed: time zones that have occurred, by offset plus a day


cdef PyObject* _new_zone(int offset) noexcept:
    """A new reference to the time zone that is so many minutes ahead of UTC; NULL with an exception set."""
    cdef PyObject* delta
    cdef PyObject* zone
    if offset == 0:
        _incref(PyDateTime_TimeZone_UTC)
        return PyDateTime_TimeZone_UTC
    delta = PyDelta_FromDSU(0, 60 * offset, 0)
    if delta == NULL:
        return NULL
    zone = PyTimeZone_FromOffset(delta)
    _decref(delta)
    return zone


cdef inline PyObject* _zone(uint64_t packed) noexcept:
    """The time zone that rl_pack_zone made a number of, borrowed; NULL with an exception set."""
    if packed == 0:
        return Py_None
    if _zones[packed] == NULL:
        _zones[packed] = _new_zone(<int>packed - DAY)
    return _zones[packed]


cdef PyObject* _moment(const Token* token) noexcept:
    """A new datetime or time; see token_values.h for what the bits mean."""
    cdef uint64_t bits = <uint64_t>token.of.integer
    cdef int hour = <int>(bits >> 32 & 31)
    cdef int minute = <int>(bits >> 26 & 63)
    cdef int second = <int>(bits >> 20 & 63)
    cdef int micros = <int>(bits & 0xFFFFF)
    cdef PyObject* zone = _zone(token.size)
    if zone == NULL:
        return NULL
    if token.kind == RL_TOKEN_TIME:
        return _time(hour, minute, second, micros, zone)
    return _datetime(
        <int>(bits >> 49), <int>(bits >> 45 & 15), <int>(bits >> 40 & 31), hour, minute, second, micros, zone)


cdef PyObject* _uuid(const Token* token) noexcept:
    """A new UUID, made as msgspec makes one: without its constructor, which checks and converts."""
    cdef unsigned char[16] raw
    cdef PyObject* number
    cdef PyObject* made
    cdef int failed
    memcpy(raw, &token.size, 8)
    memcpy(raw + 8, &token.of, 8)
    number = _PyLong_FromByteArray(raw, 16, 0, 0)
    if number == NULL:
        return NULL
    made = _alloc(<PyObject*>_UUID)
    if made != NULL:
        failed = (PyObject_GenericSetAttr(made, <PyObject*>_int_name, number) != 0
                  or PyObject_GenericSetAttr(made, <PyObject*>_safety_name, <PyObject*>_unknown_safety) != 0)
        if failed:
            _decref(made)
            made = NULL
    _decref(number)
    return made


cdef PyObject* _decimal(const Token* token) noexcept:
    cdef Token text = token[0]
    cdef PyObject* digits
    cdef PyObject* made
    text.kind = RL_TOKEN_ASCII
    digits = new_text(&text)
    if digits == NULL:
        return NULL
    made = PyObject_CallOneArg(<PyObject*>_Decimal, digits)
    _decref(digits)
    return made


cdef PyObject* _bytes(const Token* token, Made made) noexcept:
    """New bytes, a bytearray or a memoryview of bytes; ValueError for what is not base64."""
    cdef size_t n = token.size
    cdef const uint8_t* text = token.of.text
    cdef Py_ssize_t size = <Py_ssize_t>(n // 4 * 3)
    cdef PyObject* out
    cdef PyObject* view
    cdef char* start
    if n and text[n - 1] == c'=':
        size -= 1 + (text[n - 2] == c'=')
    if made == MADE_BYTEARRAY:
        out = PyByteArray_FromStringAndSize(NULL, size)
    else:
        out = PyBytes_FromStringAndSize(NULL, size)
    if out == NULL:
        return NULL
    start = PyByteArray_AS_STRING(out) if made == MADE_BYTEARRAY else PyBytes_AS_STRING(out)
    if rl_parse_base64(text, n, <uint8_t*>start) != size:
        _decref(out)
        PyErr_SetNone(PyExc_ValueError)
        return NULL
    if made != MADE_MEMORYVIEW:
        return out
    view = PyMemoryView_FromObject(out)
    _decref(out)
    return view


cdef PyObject* scalar_object(const Token* token, Made made) noexcept:
    """A new reference to the object of a token that is of one of these kinds; NULL with an exception set."""
    if token.kind == RL_TOKEN_DATETIME or token.kind == RL_TOKEN_TIME:
        return _moment(token)
    if token.kind == RL_TOKEN_DATE:
        return PyDate_FromDate(
            <int>(token.of.integer >> 49), <int>(token.of.integer >> 45 & 15), <int>(token.of.integer >> 40 & 31))
    if token.kind == RL_TOKEN_DECIMAL:
        return _decimal(token)
    if token.kind == RL_TOKEN_BASE64:
        return _bytes(token, made)
    return _uuid(token)
