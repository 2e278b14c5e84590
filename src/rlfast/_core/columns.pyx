# cython: language_level=3
"""Growable buffers in the Arrow columnar layout, filled from Python values.

This is the general path, correct for any value; layout: https://arrow.apache.org/docs/format/Columnar.html
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1


cdef enum:
    MAX_OFFSET = 0x7FFFFFFF     # of the int32 offsets of Arrow's utf8, binary and list types


# -- buffers ---------------------------------------------------------------------------------------------

cdef int buffer_grow(Buffer* buffer, size_t extra) except -1 nogil:
    """Make the buffer larger, by at least `extra` bytes; it is unchanged when that fails."""
    cdef size_t capacity
    cdef uint8_t* grown
    capacity = max(2 * buffer.capacity, buffer.size + extra, <size_t>256)
    grown = <uint8_t*>realloc(buffer.data, capacity)
    if grown == NULL:
        with gil:
            raise MemoryError(f"cannot grow a column buffer to {capacity} bytes")
    buffer.data = grown
    buffer.capacity = capacity
    return 0


cdef inline int _append_bytes(Buffer* buffer, const void* data, size_t n) except -1:
    buffer_reserve(buffer, n)
    memcpy(buffer.data + buffer.size, data, n)
    buffer.size += n
    return 0


cdef inline int _append_offset(Buffer* offsets, int32_t value) except -1:
    return _append_bytes(offsets, &value, sizeof(int32_t))


cdef inline int32_t _last_offset(const Buffer* offsets) noexcept:
    return (<int32_t*>(offsets.data + offsets.size - sizeof(int32_t)))[0]


cdef inline int _append_bit(Buffer* bitmap, int64_t index, bint value) except -1:
    cdef size_t needed = <size_t>(index >> 3) + 1
    cdef uint8_t bit = <uint8_t>(1 << (index & 7))
    if bitmap.size < needed:
        buffer_reserve(bitmap, needed - bitmap.size)
        bitmap.size = needed
    if value:
        bitmap.data[index >> 3] |= bit
    else:
        bitmap.data[index >> 3] &= <uint8_t>~bit
    return 0


cdef inline bint _bit(const Buffer* bitmap, int64_t index) noexcept:
    return (bitmap.data[index >> 3] >> (index & 7)) & 1


@cython.final
@cython.auto_pickle(False)      # a copied pointer would be freed twice
cdef class OwnedBuffer:
    """Read-only bytes of a finished column. Owns its memory and frees it once no view of it lives."""

    @staticmethod
    cdef OwnedBuffer adopt(Buffer* buffer):
        """Move the memory out of `buffer`, which is empty afterwards."""
        cdef OwnedBuffer owned = OwnedBuffer.__new__(OwnedBuffer)
        if buffer.data == NULL:
            # A null pointer is no valid buffer for every consumer, not even at length zero.
            buffer_reserve(buffer, 1)
        owned.data = buffer.data
        owned.nbytes = <Py_ssize_t>buffer.size
        memset(buffer, 0, sizeof(Buffer))
        return owned

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.nbytes

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.nbytes, 1, flags)


# -- values ----------------------------------------------------------------------------------------------

cdef uint8_t[256] _HEX      # value of a hexadecimal digit, 0xFF for any other byte
memset(_HEX, 0xFF, 256)
for _digit in range(16):
    _HEX[ord("0123456789abcdef"[_digit])] = <uint8_t>_digit
    _HEX[ord("0123456789ABCDEF"[_digit])] = <uint8_t>_digit

cdef int[16] _UUID_DIGITS = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]


cdef int _parse_uuid(object value, uint8_t* out) except -1:
    """The 16 bytes of a UUID in its canonical text form (RFC 9562 section 4), either case."""
    cdef Py_ssize_t n
    cdef const char* text
    cdef const uint8_t* digits
    cdef uint8_t high
    cdef uint8_t low
    cdef uint8_t bad = 0
    cdef int i
    if not isinstance(value, str):
        # uuid.UUID, where the struct asks for it
        raw = getattr(value, "bytes", None)
        if type(raw) is not bytes or PyBytes_GET_SIZE(raw) != 16:
            raise TypeError(f"expected a UUID, got {type(value).__name__}")
        memcpy(out, PyBytes_AS_STRING(raw), 16)
        return 0
    text = PyUnicode_AsUTF8AndSize(value, &n)
    if n == 36 and text[8] == b'-' and text[13] == b'-' and text[18] == b'-' and text[23] == b'-':
        digits = <const uint8_t*>text
        for i in range(16):
            high = _HEX[digits[_UUID_DIGITS[i]]]
            low = _HEX[digits[_UUID_DIGITS[i] + 1]]
            bad |= high | low
            out[i] = <uint8_t>((high << 4) | (low & 0x0F))
        if not bad & 0xF0:
            return 0
    raise ValueError(f"not a UUID: {value[:64]!r}")


cdef inline const char* _utf8(object value, Py_ssize_t* n) except NULL:
    """The text's UTF-8, borrowed from `value`; UnicodeEncodeError for a lone surrogate."""
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return PyUnicode_AsUTF8AndSize(value, n)


cdef inline int _append_text(Buffer* offsets, Buffer* data, const char* text, Py_ssize_t n) except -1:
    if data.size + <size_t>n > MAX_OFFSET:
        raise OverflowError("more than 2 GiB of text in one column of a batch; use smaller batches")
    buffer_reserve(offsets, sizeof(int32_t))
    if n:
        # An empty first text has no memory to be copied to yet.
        _append_bytes(data, text, <size_t>n)
    _append_offset(offsets, <int32_t>data.size)
    return 0


# -- columns ---------------------------------------------------------------------------------------------

@cython.final
@cython.auto_pickle(False)
cdef class ColumnData:
    """A finished column: Arrow buffers, shared without a copy with whoever reads them.

    `length` rows, of which `null_count` null (-1 never occurs). `validity` is None when nothing is null.
    `offsets` are int32, `data` holds int64, float64, 16-byte UUIDs, bits, int32 codes or text by `kind`.
    """


cdef inline int _mark_valid(ColumnBuilder builder) except -1:
    """Count a row that is not null."""
    if builder.column.validity.size != 0:
        return builder._mark(True)
    builder.column.length += 1
    return 0


@cython.final
cdef class ColumnBuilder:
    """A column under construction. Owns its buffers until `finish` moves them into a `ColumnData`.

    `append` either appends the whole value or raises and changes nothing.
    """

    def __cinit__(self, str name not None, ColumnKind kind, bint nullable=False):
        memset(&self.column, 0, sizeof(Column))
        self.column.kind = kind
        self.name = name
        self.kind = kind
        self.nullable = nullable
        if kind == ColumnKind.DICT_UTF8:
            self._codes = {}
            self._dictionary = ColumnBuilder.__new__(ColumnBuilder, name, ColumnKind.UTF8)

    def __dealloc__(self):
        free(self.column.validity.data)
        free(self.column.offsets.data)
        free(self.column.data.data)
        free(self.column.child_offsets.data)

    cdef int _mark(self, bint valid) except -1:
        """Count one more row. The validity bitmap starts at the first null, all rows before it valid.

        When there is no memory for the bitmap, the value that was written for the row is taken back.
        """
        cdef Column* c = &self.column
        cdef size_t n
        try:
            if not valid and c.validity.size == 0:
                n = <size_t>(c.length >> 3) + 1
                buffer_reserve(&c.validity, n)
                memset(c.validity.data, 0xFF, n)
                c.validity.size = n
            if c.validity.size != 0:
                _append_bit(&c.validity, c.length, valid)
        except:
            self._cut_values(c.length)
            raise
        if not valid:
            c.null_count += 1
        c.length += 1
        return 0

    cdef int append_nulls(self, int64_t count) except -1:
        while count > 0:
            self.append_null()
            count -= 1
        return 0

    cdef int _start_offsets(self) except -1:
        if self.column.offsets.size == 0:
            _append_offset(&self.column.offsets, 0)
        if self.kind == ColumnKind.LIST_UTF8 and self.column.child_offsets.size == 0:
            _append_offset(&self.column.child_offsets, 0)
        return 0

    cdef int append_int64(self, int64_t value) except -1:
        _append_bytes(&self.column.data, &value, sizeof(int64_t))
        return _mark_valid(self)

    cdef int append_null(self) except -1:
        cdef Column* c = &self.column
        cdef ColumnKind kind = self.kind
        cdef size_t width
        if not self.nullable:
            raise TypeError("the column takes no nulls")
        if kind in (ColumnKind.UTF8, ColumnKind.BINARY, ColumnKind.LIST_UTF8, ColumnKind.LIST_UUID):
            self._start_offsets()
            _append_offset(&c.offsets, _last_offset(&c.offsets))
        elif kind == ColumnKind.BOOL:
            _append_bit(&c.data, c.length, False)
        else:
            width = 16 if kind == ColumnKind.UUID else 4 if kind == ColumnKind.DICT_UTF8 else 8
            buffer_reserve(&c.data, width)
            memset(c.data.data + c.data.size, 0, width)
            c.data.size += width
        return self._mark(False)

    cdef int append(self, object value) except -1:
        cdef Column* c = &self.column
        cdef ColumnKind kind = self.kind
        cdef int overflow = 0
        cdef int64_t integer
        cdef double number
        cdef const char* text
        cdef Py_ssize_t n
        if value is None:
            return self.append_null()
        if kind == ColumnKind.UTF8:
            text = _utf8(value, &n)
            self._start_offsets()
            _append_text(&c.offsets, &c.data, text, n)
        elif kind == ColumnKind.UUID:
            buffer_reserve(&c.data, 16)
            _parse_uuid(value, c.data.data + c.data.size)
            c.data.size += 16
        elif kind == ColumnKind.INT64 or kind == ColumnKind.TIMESTAMP:
            integer = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow:
                raise OverflowError("integer over 64 bits")
            _append_bytes(&c.data, &integer, sizeof(int64_t))
        elif kind == ColumnKind.FLOAT64:
            number = value
            _append_bytes(&c.data, &number, sizeof(double))
        elif kind == ColumnKind.BOOL:
            if value is not True and value is not False:
                raise TypeError(f"expected a bool, got {type(value).__name__}")
            _append_bit(&c.data, c.length, value is True)
        elif kind == ColumnKind.DICT_UTF8:
            self._append_code(value)
        elif kind == ColumnKind.BINARY:
            if not isinstance(value, bytes):
                raise TypeError(f"expected bytes, got {type(value).__name__}")
            self._start_offsets()
            _append_text(&c.offsets, &c.data, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        else:
            if not isinstance(value, list):
                raise TypeError(f"expected a list, got {type(value).__name__}")
            self._append_list(value)
        return _mark_valid(self)

    cdef int _append_code(self, object value) except -1:
        cdef int32_t code
        # An Enum member stands for the text that the JSON held.
        text = value if type(value) is str else getattr(value, "value", None)
        if type(text) is not str:
            raise TypeError(f"expected a text or an Enum member of text, got {type(value).__name__}")
        known = self._codes.get(text)
        if known is None:
            code = <int32_t>self._dictionary.column.length
            self._dictionary.append(text)
            self._codes[text] = code
        else:
            code = known
        _append_bytes(&self.column.data, &code, sizeof(int32_t))
        return 0

    cdef int _append_list(self, list items) except -1:
        cdef Column* c = &self.column
        cdef size_t old_data
        cdef size_t old_child
        cdef const char* text
        cdef Py_ssize_t n
        self._start_offsets()
        old_data = c.data.size
        old_child = c.child_offsets.size
        try:
            if self.kind == ColumnKind.LIST_UUID:
                if c.data.size // 16 + <size_t>len(items) > MAX_OFFSET:
                    raise OverflowError("more than 2^31 list items in one column of a batch")
                for item in items:
                    buffer_reserve(&c.data, 16)
                    _parse_uuid(item, c.data.data + c.data.size)
                    c.data.size += 16
                _append_offset(&c.offsets, <int32_t>(c.data.size // 16))
            else:
                if c.child_offsets.size // sizeof(int32_t) + <size_t>len(items) > MAX_OFFSET:
                    raise OverflowError("more than 2^31 list items in one column of a batch")
                for item in items:
                    text = _utf8(item, &n)
                    _append_text(&c.child_offsets, &c.data, text, n)
                _append_offset(&c.offsets, <int32_t>(c.child_offsets.size // sizeof(int32_t)) - 1)
        except:
            c.data.size = old_data
            c.child_offsets.size = old_child
            raise
        return 0

    cdef int truncate(self, int64_t length) except -1:
        """Take back rows, so that `length` remain. Dictionary entries stay; unused ones do no harm."""
        cdef Column* c = &self.column
        if length >= c.length:
            return 0
        while c.length > length:
            c.length -= 1
            if c.validity.size != 0 and not _bit(&c.validity, c.length):
                c.null_count -= 1
        self._cut_values(length)
        if c.validity.size != 0:
            c.validity.size = <size_t>((length + 7) >> 3)
        return 0

    cdef int _cut_values(self, int64_t length) noexcept:
        """Keep the values of the first `length` rows, all of which have one."""
        cdef Column* c = &self.column
        cdef ColumnKind kind = self.kind
        cdef int32_t end
        if kind in (ColumnKind.UTF8, ColumnKind.BINARY, ColumnKind.LIST_UTF8, ColumnKind.LIST_UUID):
            c.offsets.size = <size_t>(length + 1) * sizeof(int32_t)
            end = _last_offset(&c.offsets)
            if kind == ColumnKind.LIST_UTF8:
                c.child_offsets.size = <size_t>(end + 1) * sizeof(int32_t)
                end = _last_offset(&c.child_offsets)
            c.data.size = <size_t>end * (16 if kind == ColumnKind.LIST_UUID else 1)
        elif kind == ColumnKind.BOOL:
            c.data.size = <size_t>((length + 7) >> 3)
        else:
            c.data.size = <size_t>length * (16 if kind == ColumnKind.UUID else 4 if kind == ColumnKind.DICT_UTF8 else 8)
        return 0

    def finish(self):
        """Move everything into a `ColumnData`; the builder is empty and can be used again."""
        cdef Column* c = &self.column
        cdef ColumnData out = ColumnData.__new__(ColumnData)
        cdef ColumnKind kind = self.kind
        out.name = self.name
        out.kind = kind
        out.nullable = self.nullable
        out.length = c.length
        out.null_count = c.null_count
        if kind in (ColumnKind.UTF8, ColumnKind.BINARY, ColumnKind.LIST_UTF8, ColumnKind.LIST_UUID):
            self._start_offsets()
            out.offsets = OwnedBuffer.adopt(&c.offsets)
        if kind == ColumnKind.LIST_UTF8:
            out.child_offsets = OwnedBuffer.adopt(&c.child_offsets)
        if c.null_count != 0:
            out.validity = OwnedBuffer.adopt(&c.validity)
        out.data = OwnedBuffer.adopt(&c.data)
        if kind == ColumnKind.DICT_UTF8:
            out.dictionary = self._dictionary.finish()
            self._codes = {}
        c.validity.size = 0
        c.length = 0
        c.null_count = 0
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
        fields: one `(column name, attribute of the row object, kind, nullable)` per field.
        with_extra: whether the table ends with the nullable text column `_extra`.
    """

    def __cinit__(self, str name not None, fields, bint with_extra=True):
        self.name = name
        self._seq = ColumnBuilder.__new__(ColumnBuilder, "seq", ColumnKind.INT64)
        self._epoch = ColumnBuilder.__new__(ColumnBuilder, "epoch", ColumnKind.INT64)
        self._received_at = ColumnBuilder.__new__(ColumnBuilder, "received_at", ColumnKind.TIMESTAMP)
        self._columns = [self._seq, self._epoch, self._received_at]
        attributes = []
        for column_name, attribute, kind, nullable in fields:
            self._columns.append(ColumnBuilder.__new__(ColumnBuilder, column_name, kind, nullable))
            attributes.append(attribute)
        self._attributes = tuple(attributes)
        if with_extra:
            self._extra = ColumnBuilder.__new__(ColumnBuilder, "_extra", ColumnKind.UTF8, True)
            self._columns.append(self._extra)

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
                self._extra.append_nulls(self.num_rows - self._extra.column.length)
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
        self.num_rows += 1
        return 0

    cdef int _rollback(self) except -1:
        for column in self._columns:
            (<ColumnBuilder>column).truncate(self.num_rows)
        return 0

    def finish(self):
        """List of `ColumnData`; the builder is empty and can be used again."""
        if self._extra is not None:
            self._extra.append_nulls(self.num_rows - self._extra.column.length)
        self.num_rows = 0
        return [(<ColumnBuilder>column).finish() for column in self._columns]

    def push_row(self, row, int64_t seq, int64_t epoch, int64_t received_at, extra=None):
        """Append the attributes of `row` as one row. Raises ValueError, naming the column, changing nothing."""
        self.append_row(row, seq, epoch, received_at, extra)
