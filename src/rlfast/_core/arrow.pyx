# cython: language_level=3
"""Finished columns as Arrow C Data Interface structures, without a copy.

https://arrow.apache.org/docs/format/CDataInterface.html and its PyCapsule Interface. Written here rather
than taken from nanoarrow because its array builder (0.9) cannot set a dictionary.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

from rlfast._core.columns cimport RL_BYTES, RL_CHILDREN, RL_DICTIONARY, RL_OFFSETS, ColumnData, OwnedBuffer


cdef extern from *:
    """
    #include <stdint.h>
    struct ArrowSchema {
      const char* format; const char* name; const char* metadata; int64_t flags; int64_t n_children;
      struct ArrowSchema** children; struct ArrowSchema* dictionary;
      void (*release)(struct ArrowSchema*); void* private_data;
    };
    struct ArrowArray {
      int64_t length; int64_t null_count; int64_t offset; int64_t n_buffers; int64_t n_children;
      const void** buffers; struct ArrowArray** children; struct ArrowArray* dictionary;
      void (*release)(struct ArrowArray*); void* private_data;
    };
    struct ArrowArrayStream {
      int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema*);
      int (*get_next)(struct ArrowArrayStream*, struct ArrowArray*);
      const char* (*get_last_error)(struct ArrowArrayStream*);
      void (*release)(struct ArrowArrayStream*); void* private_data;
    };
    """
    cdef struct ArrowSchema:
        const char* format
        const char* name
        const char* metadata
        int64_t flags
        int64_t n_children
        ArrowSchema** children
        ArrowSchema* dictionary
        void (*release)(ArrowSchema*) noexcept
        void* private_data

    cdef struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void** buffers
        ArrowArray** children
        ArrowArray* dictionary
        void (*release)(ArrowArray*) noexcept
        void* private_data

    cdef struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream*, ArrowSchema*) noexcept
        int (*get_next)(ArrowArrayStream*, ArrowArray*) noexcept
        const char* (*get_last_error)(ArrowArrayStream*) noexcept
        void (*release)(ArrowArrayStream*) noexcept
        void* private_data


cdef enum:
    ARROW_FLAG_NULLABLE = 2
    ENOMEM_ = 12

cdef bytes _metadata(dict pairs):
    """The binary key-value form of the C Data Interface: int32 counts in native byte order."""
    cdef int32_t n = <int32_t>len(pairs)
    out = (<char*>&n)[:4]
    for key, value in pairs.items():
        for text in (key, value):
            n = <int32_t>len(text)
            out += (<char*>&n)[:4] + text
    return out


cdef bytes _extension_metadata(bytes name):
    return _metadata({b"ARROW:extension:name": name, b"ARROW:extension:metadata": b""})


# -- schemas: every node owns a Python tuple that keeps its strings alive ----------------------------------

cdef void _release_schema(ArrowSchema* schema) noexcept with gil:
    cdef int64_t i
    for i in range(schema.n_children):
        if schema.children[i] != NULL:
            if schema.children[i].release != NULL:
                schema.children[i].release(schema.children[i])
            free(schema.children[i])
    free(schema.children)
    if schema.dictionary != NULL:
        if schema.dictionary.release != NULL:
            schema.dictionary.release(schema.dictionary)
        free(schema.dictionary)
    if schema.private_data != NULL:
        Py_DECREF(<object>schema.private_data)
    schema.release = NULL


cdef int _init_schema(
    ArrowSchema* schema, bytes format, bytes name, bytes metadata, bint nullable, int64_t n_children
) except -1:
    """Set up one node; from here on it must be released, whatever fails later."""
    cdef tuple strings = (format, name, metadata)
    cdef int64_t i
    memset(schema, 0, sizeof(ArrowSchema))
    Py_INCREF(strings)
    schema.private_data = <void*>strings
    schema.release = &_release_schema
    schema.format = PyBytes_AS_STRING(format)
    schema.name = PyBytes_AS_STRING(name)
    schema.metadata = PyBytes_AS_STRING(metadata) if metadata is not None else NULL
    schema.flags = ARROW_FLAG_NULLABLE if nullable else 0
    if n_children:
        schema.children = <ArrowSchema**>calloc(<size_t>n_children, sizeof(ArrowSchema*))
        if schema.children == NULL:
            raise MemoryError
        schema.n_children = n_children
        for i in range(n_children):
            schema.children[i] = <ArrowSchema*>calloc(1, sizeof(ArrowSchema))
            if schema.children[i] == NULL:
                raise MemoryError
    return 0


cdef int _column_schema(ColumnData column, ArrowSchema* schema) except -1:
    cdef bint is_dictionary = column.layout == RL_DICTIONARY
    cdef int64_t i = 0
    _init_schema(
        schema, b"i" if is_dictionary else column.format, column.name.encode(),
        None if column.extension is None else _extension_metadata(column.extension), column.nullable,
        len(column.children))
    if is_dictionary:
        schema.dictionary = <ArrowSchema*>calloc(1, sizeof(ArrowSchema))
        if schema.dictionary == NULL:
            raise MemoryError
        _init_schema(schema.dictionary, b"u", b"", None, False, 0)
    for child in column.children:
        _column_schema(<ColumnData>child, schema.children[i])
        i += 1
    return 0


cdef int _table_schema(list columns, ArrowSchema* schema) except -1:
    cdef int64_t i = 0
    _init_schema(schema, b"+s", b"", None, False, len(columns))
    for column in columns:
        _column_schema(<ColumnData?>column, schema.children[i])
        i += 1
    return 0


# -- arrays: every node owns a reference to the ColumnData whose buffers it points into --------------------

cdef void _release_array(ArrowArray* array) noexcept with gil:
    cdef int64_t i
    for i in range(array.n_children):
        if array.children[i] != NULL:
            if array.children[i].release != NULL:
                array.children[i].release(array.children[i])
            free(array.children[i])
    free(array.children)
    if array.dictionary != NULL:
        if array.dictionary.release != NULL:
            array.dictionary.release(array.dictionary)
        free(array.dictionary)
    free(<void*>array.buffers)
    if array.private_data != NULL:
        Py_DECREF(<object>array.private_data)
    array.release = NULL


cdef int _init_array(
    ArrowArray* array, object owner, int64_t length, int64_t null_count, int64_t n_buffers, int64_t n_children
) except -1:
    """Set up one node; from here on it must be released, whatever fails later."""
    cdef int64_t i
    memset(array, 0, sizeof(ArrowArray))
    Py_INCREF(owner)
    array.private_data = <void*>owner
    array.release = &_release_array
    array.length = length
    array.null_count = null_count
    array.buffers = <const void**>calloc(<size_t>n_buffers, sizeof(void*))
    if array.buffers == NULL:
        raise MemoryError
    array.n_buffers = n_buffers
    if n_children:
        array.children = <ArrowArray**>calloc(<size_t>n_children, sizeof(ArrowArray*))
        if array.children == NULL:
            raise MemoryError
        array.n_children = n_children
        for i in range(n_children):
            array.children[i] = <ArrowArray*>calloc(1, sizeof(ArrowArray))
            if array.children[i] == NULL:
                raise MemoryError
    return 0


cdef inline const void* _pointer(OwnedBuffer buffer) noexcept:
    return <const void*>buffer.data if buffer is not None else NULL


cdef int _column_array(ColumnData column, ArrowArray* array) except -1:
    cdef int layout = column.layout
    cdef int64_t i = 0
    _init_array(
        array, column, column.length, column.null_count, 1 if layout == RL_CHILDREN else 3 if layout == RL_BYTES else 2,
        len(column.children))
    array.buffers[0] = _pointer(column.validity)
    if layout == RL_BYTES:
        array.buffers[1] = _pointer(column.offsets)
        array.buffers[2] = _pointer(column.data)
    elif layout == RL_OFFSETS:
        array.buffers[1] = _pointer(column.offsets)
    elif layout != RL_CHILDREN:
        array.buffers[1] = _pointer(column.data)
    if layout == RL_DICTIONARY:
        array.dictionary = <ArrowArray*>calloc(1, sizeof(ArrowArray))
        if array.dictionary == NULL:
            raise MemoryError
        _column_array(column.dictionary, array.dictionary)
    for child in column.children:
        _column_array(<ColumnData>child, array.children[i])
        i += 1
    return 0


cdef int _table_array(list columns, int64_t length, ArrowArray* array) except -1:
    cdef int64_t i = 0
    _init_array(array, columns, length, 0, 1, len(columns))
    for column in columns:
        _column_array(<ColumnData>column, array.children[i])
        i += 1
    return 0


# -- capsules ----------------------------------------------------------------------------------------------

cdef void _free_schema_capsule(object capsule) noexcept:
    cdef ArrowSchema* schema = <ArrowSchema*>PyCapsule_GetPointer(capsule, b"arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void _free_array_capsule(object capsule) noexcept:
    cdef ArrowArray* array = <ArrowArray*>PyCapsule_GetPointer(capsule, b"arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef void _free_stream_capsule(object capsule) noexcept:
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, b"arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


def schema_capsule(list columns not None):
    """Capsule ``arrow_schema`` of a record batch with these columns (a list of `ColumnData`)."""
    cdef ArrowSchema* schema = <ArrowSchema*>calloc(1, sizeof(ArrowSchema))
    if schema == NULL:
        raise MemoryError
    capsule = PyCapsule_New(schema, b"arrow_schema", &_free_schema_capsule)
    _table_schema(columns, schema)
    return capsule


cdef int _check_lengths(list columns, int64_t length) except -1:
    for column in columns:
        if (<ColumnData?>column).length != length:
            raise ValueError(f"column {column.name!r} has {column.length} rows, the table {length}")
    return 0


def plain_text_names(capsule):
    """Names of the columns that a requested schema (capsule ``arrow_schema``) wants as plain utf8.

    Raises ValueError if it is no such capsule, or was consumed already.
    """
    cdef ArrowSchema* schema = <ArrowSchema*>PyCapsule_GetPointer(capsule, b"arrow_schema")
    cdef ArrowSchema* child
    cdef int64_t i
    if schema.release == NULL:
        raise ValueError("the requested schema was released already")
    names = set()
    for i in range(schema.n_children):
        child = schema.children[i]
        if child.dictionary == NULL and child.format == b"u" and child.name != NULL:
            names.add((<bytes>child.name).decode())
    return names


def array_capsule(list columns not None, int64_t length):
    """Capsule ``arrow_array`` of a record batch with these columns (a list of `ColumnData`)."""
    _check_lengths(columns, length)
    cdef ArrowArray* array = <ArrowArray*>calloc(1, sizeof(ArrowArray))
    if array == NULL:
        raise MemoryError
    capsule = PyCapsule_New(array, b"arrow_array", &_free_array_capsule)
    _table_array(columns, length, array)
    return capsule


def column_schema_capsule(ColumnData column not None):
    """Capsule ``arrow_schema`` of one column."""
    cdef ArrowSchema* schema = <ArrowSchema*>calloc(1, sizeof(ArrowSchema))
    if schema == NULL:
        raise MemoryError
    capsule = PyCapsule_New(schema, b"arrow_schema", &_free_schema_capsule)
    _column_schema(column, schema)
    return capsule


def column_array_capsule(ColumnData column not None):
    """Capsule ``arrow_array`` of one column."""
    cdef ArrowArray* array = <ArrowArray*>calloc(1, sizeof(ArrowArray))
    if array == NULL:
        raise MemoryError
    capsule = PyCapsule_New(array, b"arrow_array", &_free_array_capsule)
    _column_array(column, array)
    return capsule


# -- a stream of one record batch --------------------------------------------------------------------------

@cython.final
@cython.auto_pickle(False)
cdef class _StreamState:
    # Owned by ArrowArrayStream.private_data.
    cdef list columns
    cdef int64_t length
    cdef bint done


cdef int _stream_get_schema(ArrowArrayStream* stream, ArrowSchema* out) noexcept with gil:
    memset(out, 0, sizeof(ArrowSchema))
    try:
        _table_schema((<_StreamState>stream.private_data).columns, out)
    except BaseException:
        if out.release != NULL:
            out.release(out)
        return ENOMEM_
    return 0


cdef int _stream_get_next(ArrowArrayStream* stream, ArrowArray* out) noexcept with gil:
    cdef _StreamState state = <_StreamState>stream.private_data
    memset(out, 0, sizeof(ArrowArray))
    if state.done:
        return 0
    try:
        _table_array(state.columns, state.length, out)
    except BaseException:
        if out.release != NULL:
            out.release(out)
        return ENOMEM_
    state.done = True
    return 0


cdef const char* _stream_last_error(ArrowArrayStream* stream) noexcept:
    return b"out of memory"


cdef void _release_stream(ArrowArrayStream* stream) noexcept with gil:
    Py_DECREF(<object>stream.private_data)
    stream.private_data = NULL
    stream.release = NULL


def stream_capsule(list columns not None, int64_t length):
    """Capsule ``arrow_array_stream`` that yields these columns as one record batch."""
    _check_lengths(columns, length)
    cdef _StreamState state = _StreamState.__new__(_StreamState)
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>calloc(1, sizeof(ArrowArrayStream))
    if stream == NULL:
        raise MemoryError
    capsule = PyCapsule_New(stream, b"arrow_array_stream", &_free_stream_capsule)
    state.columns = columns
    state.length = length
    Py_INCREF(state)
    stream.private_data = <void*>state
    stream.get_schema = &_stream_get_schema
    stream.get_next = &_stream_get_next
    stream.get_last_error = &_stream_last_error
    stream.release = &_release_stream
    return capsule
