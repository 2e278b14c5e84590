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

cdef extern from "csrc/uuid.h" nogil:
    int rl_parse_uuid_bytewise(const uint8_t* text, uint8_t* out)

cdef extern from "csrc/column.h" nogil:
    int rl_column_reserve(Column* column, int64_t rows)
    int rl_has_offsets(const Column* column)
    size_t rl_width(const Column* column)
    int rl_buffer_reserve(Buffer* buffer, size_t extra)
    int rl_buffer_append(Buffer* buffer, const void* data, size_t n)
    int rl_put_null(Column* column, int64_t row)
    void rl_put_int64(Column* column, int64_t row, int64_t value)
    void rl_put_double(Column* column, int64_t row, double value)
    void rl_set_bit(Buffer* bitmap, int64_t i, int value)
    uint8_t* rl_uuid_place(Column* column, int64_t row)
    int32_t* rl_offsets(const Column* column)
    int rl_put_bytes(Column* column, int32_t* end, const uint8_t* text, size_t n, const uint8_t* text_end)
    ctypedef struct Input "rl_input":
        pass

    Input rl_input_of(const uint8_t* begin, const uint8_t* end)
    int rl_put_text(Column* column, int64_t row, const uint8_t* text, size_t n, Input around)
    int rl_put_text_item(Column* column, const uint8_t* text, size_t n, const uint8_t* text_end)
    void rl_close_list(Column* column, int64_t row)
    int rl_put_nulls(Column* column, int64_t row, int64_t count)
    void rl_take_back(Column* column, int64_t row)
    int rl_make_plain(Column* column, int64_t rows)
    int rl_gather_text(
        const int32_t* codes, int64_t rows, const uint8_t* valid, const int32_t* ends, const uint8_t* text,
        Buffer* offsets, Buffer* data)
    int rl_max_items "INT32_MAX"


cdef int _check(int result) except -1:
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
cdef class OwnedBuffer:
    """Read-only bytes of a finished column. Owns its memory and frees it once no view of it lives."""

    @staticmethod
    cdef OwnedBuffer adopt(Buffer* buffer, size_t size):
        """Move the first `size` bytes out of `buffer`, which is empty afterwards."""
        cdef OwnedBuffer owned = OwnedBuffer.__new__(OwnedBuffer)
        cdef uint8_t* shrunk
        if buffer.data == NULL:
            # A null pointer is not a valid buffer for every consumer, not even at length zero.
            _check(rl_buffer_reserve(buffer, 1))
        elif buffer.capacity - size > 4096 + size // 4:
            # A realloc to a smaller size that fails leaves everything as it is.
            shrunk = <uint8_t*>realloc(buffer.data, size if size else 1)
            if shrunk != NULL:
                buffer.data = shrunk
        owned.data = buffer.data
        owned.nbytes = <Py_ssize_t>size
        memset(buffer, 0, sizeof(Buffer))
        return owned

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.nbytes

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.nbytes, 1, flags)


cdef int _parse_uuid(object value, uint8_t* out) except -1:
    """The 16 bytes of a UUID in its text form (RFC 9562 section 4), either case, or without the hyphens."""
    cdef Py_ssize_t n
    cdef const char* text
    cdef uint8_t canonical[36]
    if not isinstance(value, str):
        # uuid.UUID, where the struct asks for it
        raw = getattr(value, "bytes", None)
        if type(raw) is not bytes or PyBytes_GET_SIZE(raw) != 16:
            raise TypeError(f"expected a UUID, got {type(value).__name__}")
        memcpy(out, PyBytes_AS_STRING(raw), 16)
        return 0
    text = PyUnicode_AsUTF8AndSize(value, &n)
    if n == 36 and rl_parse_uuid_bytewise(<const uint8_t*>text, out):
        return 0
    if n == 32:
        memset(canonical, 45, 36)
        memcpy(canonical, text, 8)
        memcpy(canonical + 9, text + 8, 4)
        memcpy(canonical + 14, text + 12, 4)
        memcpy(canonical + 19, text + 16, 4)
        memcpy(canonical + 24, text + 20, 12)
        if rl_parse_uuid_bytewise(canonical, out):
            return 0
    raise ValueError(f"not a UUID: {value[:64]!r}")


cdef inline const uint8_t* _utf8(object value, Py_ssize_t* n) except NULL:
    """The text's UTF-8, borrowed from `value`; UnicodeEncodeError for a lone surrogate."""
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return <const uint8_t*>PyUnicode_AsUTF8AndSize(value, n)


@cython.final
cdef class ColumnData:
    """A finished column: Arrow buffers, shared without a copy with whoever reads them.

    `length` rows, of which `null_count` null (-1 never occurs). `validity` is None when nothing is null.
    `offsets` are int32, `data` holds int64, float64, 16-byte UUIDs, bits, int32 codes or text by `kind`.
    `declared` is UTF8 for a text column that has become a dictionary because few of its texts are distinct.
    """

    def plain(self):
        """The column itself, or, if it is a text column that has become a dictionary, one with plain text.

        Raises OverflowError for more than 2 GiB of text.
        """
        cdef ColumnData out
        cdef Buffer offsets
        cdef Buffer data
        if self.declared == self.kind:
            return self
        memset(&offsets, 0, sizeof(Buffer))
        memset(&data, 0, sizeof(Buffer))
        out = ColumnData.__new__(ColumnData)
        out.name = self.name
        out.kind = out.declared = self.declared
        out.nullable = self.nullable
        out.length = self.length
        out.null_count = self.null_count
        out.validity = self.validity
        try:
            with nogil:
                result = rl_gather_text(
                    <const int32_t*>self.data.data, self.length,
                    self.validity.data if self.null_count else NULL,
                    <const int32_t*>self.dictionary.offsets.data, self.dictionary.data.data, &offsets, &data)
            _check(result)
            out.offsets = OwnedBuffer.adopt(&offsets, offsets.size)
            out.data = OwnedBuffer.adopt(&data, data.size)
        finally:
            free(offsets.data)
            free(data.data)
        return out


@cython.final
cdef class ColumnBuilder:
    """A column under construction. Owns its buffers until `finish` moves them into a `ColumnData`.

    `append` either appends the whole value or raises and changes nothing.

    Args:
        name: of the column.
        kind: of its values.
        nullable: whether it takes None.
        categories: sequence of str, for DICT_UTF8: the only texts that occur. They are the dictionary, in this
            order, of every column that `finish` returns.
        adaptive: for UTF8: `finish` returns a DICT_UTF8 column if few of the texts are distinct.
    """

    def __cinit__(self, str name not None, ColumnKind kind, bint nullable=False, categories=None, bint adaptive=False):
        cdef ColumnBuilder fixed
        cdef Py_ssize_t n
        cdef const uint8_t* text
        memset(&self.column, 0, sizeof(Column))
        memset(&self.strings, 0, sizeof(StringTable))
        self.column.kind = kind
        self.name = name
        self.kind = kind
        self.nullable = nullable
        self._encoding = RL_PLAIN
        if kind == ColumnKind.DICT_UTF8:
            self._encoding = RL_STRING_TABLE if categories is None else RL_FIXED
        elif kind == ColumnKind.UTF8 and adaptive:
            self._encoding = RL_ADAPTIVE
        self.column.encoding = self._encoding
        if self._encoding != RL_PLAIN:
            self.column.strings = &self.strings
            self.strings.seed[0] = random_seed()
            self.strings.seed[1] = random_seed()
        if self._encoding == RL_FIXED:
            fixed = ColumnBuilder.__new__(ColumnBuilder, name, ColumnKind.UTF8)
            for category in categories:
                fixed.append(category)
                text = _utf8(category, &n)
                _check(min(table_add(&self.strings, text, <size_t>n), 0))
            self._fixed = fixed.finish()

    def __dealloc__(self):
        free(self.column.validity.data)
        free(self.column.offsets.data)
        free(self.column.data.data)
        free(self.column.child_offsets.data)
        table_free(&self.strings)

    cdef int _reserve_row(self) except -1:
        if self.column.length >= self.column.capacity:
            _check(rl_column_reserve(&self.column, max(2 * self.column.capacity, <int64_t>64)))
        return 0

    cdef int append_nulls(self, int64_t count) except -1:
        cdef int64_t length = self.column.length + count
        if count <= 0:
            return 0
        if not self.nullable:
            raise TypeError("the column takes no nulls")
        if length > self.column.capacity:
            _check(rl_column_reserve(&self.column, length))
        _check(rl_put_nulls(&self.column, self.column.length, count))
        self.column.length = length
        return 0

    cdef int append_int64(self, int64_t value) except -1:
        self._reserve_row()
        rl_put_int64(&self.column, self.column.length, value)
        self.column.length += 1
        return 0

    cdef int append_null(self) except -1:
        if not self.nullable:
            raise TypeError("the column takes no nulls")
        self._reserve_row()
        _check(rl_put_null(&self.column, self.column.length))
        self.column.length += 1
        return 0

    cdef int append(self, object value) except -1:
        cdef Column* c = &self.column
        cdef ColumnKind kind = self.kind
        cdef int overflow = 0
        cdef int64_t integer
        cdef double number
        cdef const uint8_t* text
        cdef Py_ssize_t n
        if value is None:
            return self.append_null()
        self._reserve_row()
        if kind == ColumnKind.UTF8 or kind == ColumnKind.DICT_UTF8:
            if kind == ColumnKind.DICT_UTF8 and type(value) is not str:
                # An Enum member stands for the text that the JSON held.
                member, value = value, getattr(value, "value", None)
                if type(value) is not str:
                    raise TypeError(f"expected a text or an Enum member of text, got {type(member).__name__}")
            text = _utf8(value, &n)
            _check(rl_put_text(c, c.length, text, <size_t>n, rl_input_of(text, text + n)))
        elif kind == ColumnKind.UUID:
            _parse_uuid(value, rl_uuid_place(c, c.length))
        elif kind == ColumnKind.INT64 or kind == ColumnKind.TIMESTAMP:
            integer = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow:
                raise OverflowError("integer over 64 bits")
            rl_put_int64(c, c.length, integer)
        elif kind == ColumnKind.FLOAT64:
            number = value
            rl_put_double(c, c.length, number)
        elif kind == ColumnKind.BOOL:
            if value is not True and value is not False:
                raise TypeError(f"expected a bool, got {type(value).__name__}")
            rl_set_bit(&c.data, c.length, value is True)
        elif kind == ColumnKind.BINARY:
            if not isinstance(value, bytes):
                raise TypeError(f"expected bytes, got {type(value).__name__}")
            n = PyBytes_GET_SIZE(value)
            text = <const uint8_t*>PyBytes_AS_STRING(value)
            _check(rl_put_bytes(c, &rl_offsets(c)[c.length + 1], text, <size_t>n, text + n))
        else:
            if not isinstance(value, list):
                raise TypeError(f"expected a list, got {type(value).__name__}")
            try:
                self._append_list(value)
            except:
                rl_take_back(c, c.length)
                raise
        c.length += 1
        return 0

    cdef int _append_list(self, list items) except -1:
        cdef Column* c = &self.column
        cdef const uint8_t* text
        cdef Py_ssize_t n
        if self.kind == ColumnKind.LIST_UUID:
            if c.data.size // 16 + <size_t>len(items) > <size_t>rl_max_items:
                _check(RL_TOO_BIG)
            for item in items:
                _check(rl_buffer_reserve(&c.data, 16))
                _parse_uuid(item, c.data.data + c.data.size)
                c.data.size += 16
        else:
            for item in items:
                text = _utf8(item, &n)
                _check(rl_put_text_item(c, text, <size_t>n, text + n))
        rl_close_list(c, c.length)
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
            _check(rl_buffer_append(&self.strings.offsets, &zero, sizeof(int32_t)))
        out.name = self.name
        out.kind = out.declared = ColumnKind.UTF8
        out.length = self.strings.count
        out.offsets = OwnedBuffer.adopt(&self.strings.offsets, self.strings.offsets.size)
        out.data = OwnedBuffer.adopt(&self.strings.data, self.strings.data.size)
        table_clear(&self.strings)
        return out

    def finish(self):
        """Move everything into a `ColumnData`; the builder is empty and can be used again."""
        cdef Column* c = &self.column
        cdef ColumnData out = ColumnData.__new__(ColumnData)
        cdef int64_t rows = c.length
        if c.encoding == RL_ADAPTIVE and (self.strings.count == 0 or 2 * <int64_t>self.strings.count > rows):
            # Before any row has moved out, so that nothing is lost when memory fails.
            _check(rl_column_reserve(c, 1))
            _check(rl_make_plain(c, rows))
        _check(rl_column_reserve(c, 1))
        out.name = self.name
        out.kind = ColumnKind.DICT_UTF8 if c.encoding != RL_PLAIN else self.kind
        out.declared = self.kind
        out.nullable = self.nullable
        out.length = rows
        out.null_count = c.null_count
        if c.encoding != RL_PLAIN:
            out.dictionary = self._dictionary()
        if c.null_count != 0:
            out.validity = OwnedBuffer.adopt(&c.validity, <size_t>((rows + 7) >> 3))
        if rl_has_offsets(c):
            out.offsets = OwnedBuffer.adopt(&c.offsets, <size_t>(rows + 1) * sizeof(int32_t))
            out.data = OwnedBuffer.adopt(&c.data, c.data.size)
        elif self.kind == ColumnKind.BOOL:
            out.data = OwnedBuffer.adopt(&c.data, <size_t>((rows + 7) >> 3))
        else:
            out.data = OwnedBuffer.adopt(&c.data, <size_t>rows * rl_width(c))
        if self.kind == ColumnKind.LIST_UTF8:
            out.child_offsets = OwnedBuffer.adopt(&c.child_offsets, c.child_offsets.size)
        if c.validity.data != NULL:
            # Nulls that were all taken back.
            free(c.validity.data)
            memset(&c.validity, 0, sizeof(Buffer))
        c.encoding = self._encoding
        c.length = c.null_count = c.capacity = 0
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


@cython.final
cdef class TableBuilder:
    """The columns of one event type under construction: seq, epoch, received_at, the fields, `_extra`.

    Args:
        name: of the table.
        fields: one `(column name, attribute of the row object, kind, nullable)` per field; a fifth item holds
            the `categories` of a `ColumnBuilder`, or None.
        with_extra: whether the table ends with the nullable text column `_extra`.
        adaptive: whether the fields of kind UTF8 become dictionaries where that pays.
        own_names: of the columns seq, epoch, received_at and `_extra`.
    """

    def __cinit__(self, str name not None, fields, bint with_extra=True, bint adaptive=False,
                  own_names=("seq", "epoch", "received_at", "_extra")):
        memset(&self.rows, 0, sizeof(Rows))
        self.name = name
        seq, epoch, received_at, extra = own_names
        self._seq = ColumnBuilder.__new__(ColumnBuilder, seq, ColumnKind.INT64)
        self._epoch = ColumnBuilder.__new__(ColumnBuilder, epoch, ColumnKind.INT64)
        self._received_at = ColumnBuilder.__new__(ColumnBuilder, received_at, ColumnKind.TIMESTAMP)
        self._columns = [self._seq, self._epoch, self._received_at]
        attributes = []
        for column_name, attribute, kind, nullable, *categories in fields:
            self._columns.append(
                ColumnBuilder.__new__(
                    ColumnBuilder, column_name, kind, nullable, categories[0] if categories else None, adaptive))
            attributes.append(attribute)
        self._attributes = tuple(attributes)
        self.rows.columns = <Column**>calloc(<size_t>len(self._columns), sizeof(Column*))
        if self.rows.columns == NULL:
            raise MemoryError
        for column in self._columns:
            self.rows.columns[self.rows.n_columns] = &(<ColumnBuilder>column).column
            self.rows.n_columns += 1
        self.rows.seq = &self._seq.column
        self.rows.epoch = &self._epoch.column
        self.rows.received_at = &self._received_at.column
        if with_extra:
            self._extra = ColumnBuilder.__new__(ColumnBuilder, extra, ColumnKind.UTF8, True)
            self._columns.append(self._extra)
            self.rows.extra = &self._extra.column

    def __dealloc__(self):
        free(self.rows.columns)

    @property
    def num_rows(self):
        return self.rows.rows

    cdef ColumnBuilder field(self, Py_ssize_t index):
        """The column of field number `index`."""
        return <ColumnBuilder>self._columns[3 + index]

    cdef void sync(self) noexcept:
        """Tell the columns about rows that the compiled decoder has added."""
        cdef uint32_t i
        for i in range(self.rows.n_columns):
            self.rows.columns[i].length = self.rows.rows

    cdef int append_row(self, object row, int64_t seq, int64_t epoch, int64_t received_at, object extra) except -1:
        """Append one row; when a value has no place in its column, raise and leave the table unchanged.

        The error is then a ValueError whose text names the column.
        """
        cdef Py_ssize_t i = 3
        if extra is not None and self._extra is None:
            raise TypeError(f"table {self.name!r} has no column for unknown fields")
        try:
            for attribute in self._attributes:
                (<ColumnBuilder>self._columns[i]).append(getattr(row, attribute))
                i += 1
            if extra is not None:
                # Unknown fields are rare: the nulls before one are filled in when it comes, or at the end.
                self._extra.append_nulls(self.rows.rows - self._extra.column.length)
                self._extra.append(extra)
            self._seq.append_int64(seq)
            self._epoch.append_int64(epoch)
            self._received_at.append_int64(received_at)
        except (ValueError, OverflowError, TypeError) as error:
            # TypeError: msgspec does not check the defaults of a struct.
            self._rollback()
            name = (<ColumnBuilder>self._columns[i]).name
            raise ValueError(f"{error} - at `$.{name}`") from None
        except:
            self._rollback()
            raise
        self.rows.rows += 1
        return 0

    cdef int _rollback(self) except -1:
        for column in self._columns:
            (<ColumnBuilder>column).truncate(self.rows.rows)
        return 0

    def finish(self):
        """List of `ColumnData`; the builder is empty and can be used again."""
        if self._extra is not None:
            self._extra.append_nulls(self.rows.rows - self._extra.column.length)
        self.rows.expected = self.rows.rows + self.rows.rows // 8
        self.rows.rows = self.rows.capacity = 0
        return [(<ColumnBuilder>column).finish() for column in self._columns]

    def push_row(self, row, int64_t seq, int64_t epoch, int64_t received_at, extra=None):
        """Append the attributes of `row` as one row. Raises ValueError, naming the column, changing nothing."""
        self.append_row(row, seq, epoch, received_at, extra)
