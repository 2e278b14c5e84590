# cython: language_level=3
"""Growable buffers in the Arrow columnar layout (csrc/column.h), and their general path: from Python values."""

import os

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1

cdef extern from "csrc/column.h" nogil:
    int rl_column_reserve(Column* column, int64_t rows)
    int rl_has_offsets(const Column* column)
    int rl_buffer_append(Buffer* buffer, const void* data, size_t n)
    int rl_buffer_reserve(Buffer* buffer, size_t extra)
    int rl_catch_up(Column* column, int64_t row)
    int rl_put_null(Column* column, int64_t row)
    void rl_put_integer(Column* column, int64_t row, uint64_t value)
    void rl_put_double(Column* column, int64_t row, double value)
    void rl_set_bit(Buffer* bitmap, int64_t i, int value)
    uint8_t* rl_place(Column* column, int64_t row)
    int32_t* rl_offsets(const Column* column)
    int32_t rl_end(const Column* column)
    int rl_put_bytes(Column* column, int32_t* end, const uint8_t* text, size_t n, const uint8_t* text_end)
    ctypedef struct Input "rl_input":
        pass

    Input rl_input_of(const uint8_t* begin, const uint8_t* end)
    int rl_put_text(Column* column, int64_t row, const uint8_t* text, size_t n, Input around)
    int rl_put_nulls(Column* column, int64_t row, int64_t count)
    void rl_take_back(Column* column, int64_t row)
    int rl_make_plain(Column* column, int64_t rows)
    int rl_gather_text(
        const int32_t* codes, int64_t rows, const uint8_t* valid, const int32_t* ends, const uint8_t* text,
        Buffer* offsets, Buffer* data)
    int rl_max_items "INT32_MAX"


cdef int check(int result) except -1:
    """Raise what a result of csrc/column.h means."""
    if result == RL_NO_MEMORY:
        raise MemoryError("cannot grow a column")
    if result == RL_TOO_BIG:
        raise OverflowError("more than 2 GiB of text, or 2^31 items, in one column of a batch; use smaller batches")
    if result == RL_NOT_IN_TABLE:
        raise ValueError("a text that the type does not name")
    return 0


cdef uint64_t random_seed() except? 0:
    return int.from_bytes(os.urandom(8), "little") | 1


@cython.final
cdef class SpareBuffer:
    """Memory of a batch that nobody reads any more, for the next one.

    An allocator would give much of it back to the operating system, batch after batch, and to get it anew, page by
    page, can take as long as decoding what is written there.
    """

    cdef void leave(self, uint8_t* data, size_t capacity) noexcept:
        """Take over memory; the larger one is kept if there is some already."""
        if self.buffer.capacity < capacity:
            self.buffer.data, data = data, self.buffer.data
            self.buffer.capacity = capacity
        free(data)

    cdef void take(self, Buffer* buffer) noexcept:
        """Move the memory, if there is any, to a buffer that has none."""
        if buffer.data == NULL:
            buffer[0] = self.buffer
            memset(&self.buffer, 0, sizeof(Buffer))

    def __dealloc__(self):
        free(self.buffer.data)


@cython.final
@cython.no_gc
cdef class OwnedBuffer:
    """Read-only bytes of a finished column. Owns its memory until no view of it lives."""

    @staticmethod
    cdef OwnedBuffer adopt(Buffer* buffer, size_t size, SpareBuffer spare):
        """Move the first `size` bytes out of `buffer`, which is empty afterwards; at last they are left to `spare`."""
        cdef OwnedBuffer owned = OwnedBuffer.__new__(OwnedBuffer)
        cdef uint8_t* shrunk
        if buffer.data == NULL:
            # A null pointer is not a valid buffer for every consumer, not even at length zero.
            check(rl_buffer_reserve(buffer, 1))
        elif buffer.capacity - size > 4096 + size // 2:
            # A realloc to a smaller size that fails leaves everything as it is.
            shrunk = <uint8_t*>realloc(buffer.data, size if size else 1)
            if shrunk != NULL:
                buffer.data = shrunk
                buffer.capacity = size if size else 1
        owned.data = buffer.data
        owned.capacity = buffer.capacity
        owned.spare = spare
        owned.nbytes = <Py_ssize_t>size
        memset(buffer, 0, sizeof(Buffer))
        return owned

    @staticmethod
    cdef OwnedBuffer copy(const Buffer* buffer, size_t least):
        """A copy of the bytes in use, at least `least` zeros if they are fewer."""
        cdef Buffer own
        cdef int64_t zeros = 0
        memset(&own, 0, sizeof(Buffer))
        check(rl_buffer_append(&own, buffer.data, buffer.size) if buffer.size else rl_buffer_append(&own, &zeros, least))
        return OwnedBuffer.adopt(&own, own.size, None)

    def __dealloc__(self):
        if self.spare is None:
            free(self.data)
        else:
            self.spare.leave(self.data, self.capacity)

    def __len__(self):
        return self.nbytes

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.nbytes, 1, flags)


cdef inline const uint8_t* _utf8(object value, Py_ssize_t* n) except NULL:
    """The text's UTF-8, borrowed from `value`; UnicodeEncodeError for a lone surrogate."""
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return <const uint8_t*>PyUnicode_AsUTF8AndSize(value, n)


@cython.final
cdef class ColumnData:
    """A finished column: Arrow buffers, shared without a copy with whoever reads them.

    `length` rows, of which `null_count` null (-1 never occurs). `validity` is None when nothing is null. By `layout`,
    `data` holds values, bits, int32 codes or bytes, `offsets` are int32, and `children` hold items or fields.
    `format` is Arrow's, of the C data interface; `spec` is what the column was made from.
    """

    @property
    def is_dictionary(self):
        return self.dictionary is not None

    def plain(self):
        """The column itself, or, if it is a text column that has become a dictionary, one with plain text.

        Raises OverflowError for more than 2 GiB of text.
        """
        cdef ColumnData out
        cdef Buffer offsets
        cdef Buffer data
        if self.layout == self.declared:
            return self
        memset(&offsets, 0, sizeof(Buffer))
        memset(&data, 0, sizeof(Buffer))
        out = ColumnData.__new__(ColumnData)
        out.name = self.name
        out.spec = self.spec
        out.layout = out.declared = self.declared
        out.format = self.format
        out.extension = self.extension
        out.nullable = self.nullable
        out.length = self.length
        out.null_count = self.null_count
        out.validity = self.validity
        out.children = []
        try:
            with nogil:
                result = rl_gather_text(
                    <const int32_t*>self.data.data, self.length,
                    self.validity.data if self.null_count else NULL,
                    <const int32_t*>self.dictionary.offsets.data, self.dictionary.data.data, &offsets, &data)
            check(result)
            out.offsets = OwnedBuffer.adopt(&offsets, offsets.size, None)
            out.data = OwnedBuffer.adopt(&data, data.size, None)
        finally:
            free(offsets.data)
            free(data.data)
        return out


@cython.final
cdef class ColumnBuilder:
    """A column under construction. Owns its buffers until `finish` moves them into a `ColumnData`.

    `append` either appends the whole value or raises and changes nothing.

    Args:
        spec: of the column; an object with the attributes of `rlfast.schema._columns.Column`.
        adaptive: for a column of text: `finish` returns a dictionary if few of the texts are distinct.
    """

    def __cinit__(self, spec not None, bint adaptive=False):
        kind = spec.kind
        memset(&self.column, 0, sizeof(Column))
        memset(&self.strings, 0, sizeof(StringTable))
        self.spec = spec
        self.name = spec.name
        self.nullable = spec.nullable
        self._convert = kind.convert
        self._format = kind.arrow.format(p=spec.precision, s=spec.scale).encode()
        self._extension = None if kind.extension is None else kind.extension.encode()
        self._layout = self._declared = <int>kind.layout
        self._encoding = RL_PLAIN
        self._children = []
        self._spare_offsets = SpareBuffer.__new__(SpareBuffer)
        self._spare_data = SpareBuffer.__new__(SpareBuffer)
        self.column.width = <size_t>kind.width
        if kind.layout == RL_DICTIONARY:
            self._encoding = RL_STRING_TABLE if spec.categories is None else RL_FIXED
        elif adaptive and self._format == b"u" and kind.extension is None:
            self._encoding = RL_ADAPTIVE
            self._layout = RL_DICTIONARY
        self._begin()
        if self._encoding != RL_PLAIN:
            self.column.strings = &self.strings
            self.strings.seed[0] = random_seed()
            self.strings.seed[1] = random_seed()
        if self._encoding == RL_FIXED:
            self._fix_strings(spec.categories)
        self._add_children(spec)

    cdef int _fix_strings(self, object categories) except -1:
        cdef Py_ssize_t n
        cdef const uint8_t* text
        for category in categories:
            text = _utf8(category, &n)
            check(min(table_add(&self.strings, text, <size_t>n), 0))
        # A copy for readers; the table's own stays, for texts to be found.
        self._fixed = ColumnData.__new__(ColumnData)
        self._fixed.name = self.name
        self._fixed.layout = self._fixed.declared = RL_BYTES
        self._fixed.format = b"u"
        self._fixed.children = []
        self._fixed.length = self.strings.count
        self._fixed.offsets = OwnedBuffer.copy(&self.strings.offsets, sizeof(int32_t))
        self._fixed.data = OwnedBuffer.copy(&self.strings.data, 0)
        return 0

    cdef int _add_children(self, object spec) except -1:
        """The children that the kind has: see `rlfast.schema._columns.physical_children`."""
        cdef uint32_t i = 0
        self._members = spec.members
        self._choices = spec.choices
        self._unsigned = self._format[0] in b"CSIL"
        self._attributes = tuple(f"f{i}" for i in range(len(spec.physical_children)))
        for child in spec.physical_children:
            self._children.append(ColumnBuilder.__new__(ColumnBuilder, child))
        if self._children:
            self.column.children = <Column**>calloc(<size_t>len(self._children), sizeof(Column*))
            if self.column.children == NULL:
                raise MemoryError
            for builder in self._children:
                self.column.children[i] = &(<ColumnBuilder>builder).column
                i += 1
            self.column.n_children = i
        return 0

    cdef void _begin(self) noexcept:
        """As before any row."""
        self.column.layout = self._layout
        self.column.encoding = self._encoding
        if self._layout == RL_DICTIONARY:
            self.column.width = sizeof(int32_t)
        self.column.length = self.column.null_count = self.column.capacity = 0

    cdef void reuse(self) noexcept:
        """Before the first row: have the memory of a batch that nobody reads any more."""
        if self.column.capacity == 0:
            self._spare_offsets.take(&self.column.offsets)
            self._spare_data.take(&self.column.data)
            for builder in self._children:
                (<ColumnBuilder>builder).reuse()

    def __dealloc__(self):
        free(self.column.validity.data)
        free(self.column.offsets.data)
        free(self.column.data.data)
        free(self.column.children)
        table_free(&self.strings)

    cdef int _reserve_row(self) except -1:
        if self.column.length >= self.column.capacity:
            check(rl_column_reserve(&self.column, max(2 * self.column.capacity, <int64_t>64)))
        return 0

    cdef int append_nulls(self, int64_t count) except -1:
        cdef int64_t length = self.column.length + count
        if count <= 0:
            return 0
        if not self.nullable:
            raise TypeError("the column takes no nulls")
        if length > self.column.capacity:
            check(rl_column_reserve(&self.column, length))
        check(rl_put_nulls(&self.column, self.column.length, count))
        self.column.length = length
        return 0

    cdef int append_int64(self, int64_t value) except -1:
        self._reserve_row()
        rl_put_integer(&self.column, self.column.length, <uint64_t>value)
        self.column.length += 1
        return 0

    cdef int append_null(self) except -1:
        if not self.nullable:
            raise TypeError("the column takes no nulls")
        self._reserve_row()
        check(rl_put_null(&self.column, self.column.length))
        self.column.length += 1
        return 0

    cdef int append(self, object value) except -1:
        cdef Column* c = &self.column
        if value is None:
            return self.append_null()
        if self._convert is not None:
            value = self._convert(value, self.spec)
            if value is None:
                return self.append_null()
        self._reserve_row()
        try:
            if c.layout == RL_FIXED_WIDTH:
                self._put_fixed(value)
            elif c.layout == RL_BYTES or c.layout == RL_DICTIONARY:
                self._put_bytes(value)
            elif c.layout == RL_BITS:
                if value is not True and value is not False:
                    raise TypeError(f"expected a bool, got {type(value).__name__}")
                rl_set_bit(&c.data, c.length, value is True)
            elif c.layout == RL_OFFSETS:
                self._put_items(value)
            elif self._members is not None:
                self._put_member(value)
            else:
                self._put_fields(value)
        except:
            rl_take_back(c, c.length)
            raise
        c.length += 1
        return 0

    cdef int _put_fixed(self, object value) except -1:
        cdef Column* c = &self.column
        cdef char form = self._format[0]
        cdef int overflow = 0
        cdef int64_t integer, rest
        cdef float narrow
        cdef double wide
        cdef bytes raw
        if form == b"g":
            wide = value
            rl_put_double(c, c.length, wide)
        elif form == b"f":
            narrow = value
            memcpy(rl_place(c, c.length), &narrow, sizeof(float))
        elif type(value) is bytes:
            raw = value
            if <size_t>len(raw) != c.width:
                raise ValueError(f"expected {c.width} bytes, got {len(raw)}")
            memcpy(rl_place(c, c.length), PyBytes_AS_STRING(raw), c.width)
        else:
            if not isinstance(value, int):
                raise TypeError(f"expected an integer, got {type(value).__name__}")
            if self._choices is not None and value not in self._choices:
                raise ValueError(f"an integer that the type does not name: {value}")
            integer = PyLong_AsLongLongAndOverflow(value, &overflow)
            # What is left of a value behind its sign bit, or, without a sign, behind its highest bit.
            rest = integer >> (8 * c.width - 1) if c.width < 8 else 0
            if self._unsigned:
                if overflow > 0 and c.width == 8:
                    rl_put_integer(c, c.length, <uint64_t>value)
                    return 0
                if integer < 0 or overflow or rest > 1:
                    raise OverflowError(f"integer over {8 * c.width} bits, or below zero")
            elif overflow or (rest != 0 and rest != -1):
                raise OverflowError(f"integer over {8 * c.width} bits")
            rl_put_integer(c, c.length, <uint64_t>integer)
        return 0

    cdef int _put_bytes(self, object value) except -1:
        cdef Column* c = &self.column
        cdef const uint8_t* text
        cdef Py_ssize_t n
        if self._format == b"u" and type(value) is not bytes:
            text = _utf8(value, &n)
        else:
            if not isinstance(value, bytes):
                raise TypeError(f"expected bytes, got {type(value).__name__}")
            n = PyBytes_GET_SIZE(value)
            text = <const uint8_t*>PyBytes_AS_STRING(value)
        check(rl_put_text(c, c.length, text, <size_t>n, rl_input_of(text, text + n)))
        return 0

    cdef int _put_items(self, object items) except -1:
        """The items of a list, or the entries of a map, as pairs."""
        cdef ColumnBuilder child = <ColumnBuilder>self._children[0]
        if isinstance(items, dict):
            items = items.items()
        elif not isinstance(items, (list, tuple)):
            raise TypeError(f"expected a list, got {type(items).__name__}")
        for item in items:
            if child.column.length >= rl_max_items:
                check(RL_TOO_BIG)
            child.append(item)
        rl_offsets(&self.column)[self.column.length + 1] = rl_end(&self.column)
        return 0

    cdef int _put_child(self, Py_ssize_t index, object value) except -1:
        cdef ColumnBuilder child = <ColumnBuilder>self._children[index]
        if child.column.length != self.column.length:
            check(rl_catch_up(&child.column, self.column.length))
        try:
            return child.append(value)
        except (ValueError, OverflowError, TypeError) as error:
            raise ValueError(f"{child.name}: {error}") from None

    cdef int _put_fields(self, object value) except -1:
        """The fields of a mirror (see `rlfast.schema._reference`), or of a tuple."""
        cdef Py_ssize_t i
        if isinstance(value, tuple):
            if len(value) != len(self._children):
                raise ValueError(f"expected {len(self._children)} values, got {len(value)}")
            for i in range(len(self._children)):
                self._put_child(i, value[i])
        else:
            for i in range(len(self._children)):
                self._put_child(i, getattr(value, self._attributes[i]))
        return 0

    cdef int _put_member(self, object value) except -1:
        """The mirror of a member of a union."""
        tag = value.__struct_config__.tag
        child = self._members[tag]
        self._put_child(0, tag)
        if child is not None:
            self._put_child(child, value)
        return 0

    cdef int truncate(self, int64_t length) noexcept:
        """Take back rows, so that `length` remain. Dictionary entries stay; unused ones do no harm."""
        while self.column.length > length:
            self.column.length -= 1
            rl_take_back(&self.column, self.column.length)
        return 0

    cdef ColumnData _dictionary(self):
        """The strings, moved out."""
        cdef ColumnData out = ColumnData.__new__(ColumnData)
        cdef int32_t zero = 0
        if self._encoding == RL_FIXED:
            return self._fixed
        if self.strings.offsets.size == 0:
            check(rl_buffer_append(&self.strings.offsets, &zero, sizeof(int32_t)))
        out.name = self.name
        out.layout = out.declared = RL_BYTES
        out.format = b"u"
        out.children = []
        out.length = self.strings.count
        out.offsets = OwnedBuffer.adopt(&self.strings.offsets, self.strings.offsets.size, None)
        out.data = OwnedBuffer.adopt(&self.strings.data, self.strings.data.size, None)
        table_clear(&self.strings)
        return out

    def finish(self):
        """Move everything into a `ColumnData`; the builder is empty and can be used again."""
        cdef Column* c = &self.column
        cdef ColumnData out = ColumnData.__new__(ColumnData)
        cdef ColumnBuilder child
        cdef int64_t rows = c.length
        if c.encoding == RL_ADAPTIVE and (self.strings.count == 0 or 2 * <int64_t>self.strings.count > rows):
            # Before any row has moved out, so that nothing is lost when memory fails.
            check(rl_column_reserve(c, 1))
            check(rl_make_plain(c, rows))
        check(rl_column_reserve(c, 1))
        # The next batch is likely to be as large.
        c.expected = rows + rows // 8
        c.expected_size = c.data.size + c.data.size // 8 if c.layout == RL_BYTES else 0
        if c.layout == RL_CHILDREN:
            for builder in self._children:
                child = <ColumnBuilder>builder
                if child.column.length < rows:
                    check(rl_catch_up(&child.column, rows))
        out.name = self.name
        out.spec = self.spec
        out.layout = c.layout
        out.declared = self._declared
        out.format = self._format
        out.extension = self._extension
        out.nullable = self.nullable
        out.length = rows
        out.null_count = c.null_count
        if c.layout == RL_DICTIONARY:
            out.dictionary = self._dictionary()
        if c.null_count != 0:
            out.validity = OwnedBuffer.adopt(&c.validity, <size_t>((rows + 7) >> 3), None)
        if rl_has_offsets(c):
            out.offsets = OwnedBuffer.adopt(&c.offsets, <size_t>(rows + 1) * sizeof(int32_t), self._spare_offsets)
        if c.layout == RL_BYTES:
            out.data = OwnedBuffer.adopt(&c.data, c.data.size, self._spare_data)
        elif c.layout == RL_BITS:
            out.data = OwnedBuffer.adopt(&c.data, <size_t>((rows + 7) >> 3), self._spare_data)
        elif c.width != 0:
            out.data = OwnedBuffer.adopt(&c.data, <size_t>rows * c.width, self._spare_data)
        if c.validity.data != NULL:
            # Nulls that were all taken back.
            free(c.validity.data)
            memset(&c.validity, 0, sizeof(Buffer))
        self._begin()
        out.children = [(<ColumnBuilder>builder).finish() for builder in self._children]
        return out

    def __len__(self):
        return self.column.length

    def push(self, value):
        """Append one value (None: null). Raises ValueError, OverflowError or TypeError, changing nothing."""
        self.append(value)

    def take_back(self, int64_t length):
        """Keep the first `length` rows only."""
        if length < 0:
            raise ValueError("length must not be negative")
        self.truncate(length)
