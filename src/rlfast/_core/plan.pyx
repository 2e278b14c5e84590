# cython: language_level=3
"""A column plan in the form that the compiled decoder runs (csrc/plan.h)."""

import json

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from rlfast._core.columns cimport (
    Column, TableBuilder, StringTable, random_seed, table_add, table_free,
)


cdef Powers _powers


cdef int _fill_powers() except -1:
    """5^q in 128 bits for every q of rl_nearest_double.

    Its proof wants them rounded down for q >= 0, and up for q < 0, where the double would be rounded otherwise
    (Lemire 2021, sections 5 and 6).
    """
    cdef int i = 0
    for q in range(RL_MIN_POWER, RL_MAX_POWER + 1):
        if q >= 0:
            bits = (5**q).bit_length()
            value = 5**q << 128 - bits if bits <= 128 else 5**q >> bits - 128
        else:
            power = 5**-q
            bits = power.bit_length()
            value = (1 << bits + 127) // power + 1
            value >>= value.bit_length() - 128
        _powers.word[i] = value >> 64
        _powers.word[i + 1] = value & 0xFFFFFFFFFFFFFFFF
        i += 2
    return 0


_fill_powers()


cdef const Powers* powers() noexcept:
    return &_powers


cdef const KernelEntry* find_kernel(str name) except NULL:
    """The kernel of that name, "auto" for the fastest. Raises ValueError if this machine has no such kernel."""
    cdef const KernelEntry* entry = rl_kernels()
    cdef const KernelEntry* found = NULL
    while entry.name != NULL:
        if name == "auto" or name.encode() == entry.name:
            found = entry
        entry += 1
    if found == NULL:
        raise ValueError(f"no decoder kernel {name!r} on this machine, only {', '.join(KERNELS)}")
    return found


cdef int set_key(Field* field, bytes key) except -1:
    """Have a field recognised by `key`, JSON with quotes and colon, which the field borrows. Never fails."""
    field.key = <const uint8_t*>PyBytes_AS_STRING(key)
    field.key_size = <uint32_t>len(key)
    if field.key_size <= 32:
        field.mask = <uint32_t>((<uint64_t>1 << field.key_size) - 1)
        memcpy(field.text, field.key, field.key_size)
    return 0


def _kernel_names():
    cdef const KernelEntry* entry = rl_kernels()
    names = []
    while entry.name != NULL:
        names.append((<bytes>entry.name).decode())
        entry += 1
    return tuple(names)


KERNELS = _kernel_names()


def _json(value):
    """JSON of a text or an integer, as a compact encoder writes it that keeps UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode()


cdef int _add_text(StringTable* table, str text) except -1:
    raw = text.encode()
    if table_add(table, raw, <size_t>len(raw)) < 0:
        raise MemoryError
    return 0


cdef int _expect_declared_order(Type* type) noexcept:
    """Expect the tag first, then the fields as declared; until an event says otherwise."""
    cdef uint32_t i
    cdef Field* previous = type.start
    if type.tag != NULL:
        previous.next = type.tag
        previous = type.tag
    for i in range(type.n_fields):
        if &type.fields[i] != type.tag:
            previous.next = &type.fields[i]
            previous = previous.next
    # What is expected behind the last one is expected in vain.
    previous.next = previous
    return 0


@cython.final
cdef class CompiledPlan:
    """What the compiled decoder knows about a struct type, a tagged union, or an untyped stream.

    Owns the C structs, and keeps alive the table builders that they point into. Serves one decoder at a time.

    Args:
        types: one pair per struct type: its `TableBuilder`, or None if the plan is for `read` only, and an object
            with the attributes of `rlfast.schema.TablePlan`; or, for an untyped stream, the `TableBuilder` whose last
            column takes every message as text.
        tag_field: name of the member that tells the types apart, or None.
        kernel: one of `KERNELS`, or "auto" for the fastest.

    Raises:
        ValueError: this machine has no such kernel.
    """

    def __cinit__(self, types not None, str tag_field, str kernel not None="auto"):
        cdef const KernelEntry* entry = find_kernel(kernel)
        cdef Type* type
        memset(&self.decoder, 0, sizeof(Decoder))
        self._kept = []
        self.decoder.powers = &_powers
        self.kernel = entry.run
        self.read = entry.read
        self.kernel_name = (<bytes>entry.name).decode()
        if isinstance(types, TableBuilder):
            self._kept.append(types)
            self.decoder.untyped = &(<TableBuilder>types).rows
            return
        self.decoder.types = <Type*>calloc(<size_t>len(types), sizeof(Type))
        if self.decoder.types == NULL:
            raise MemoryError
        if tag_field is not None:
            self.decoder.has_tag = True
            self._set_key(&self.decoder.tag_key, _json(tag_field) + b":")
        for table, plan in types:
            type = &self.decoder.types[self.decoder.n_types]
            self.decoder.n_types += 1
            self._add_type(type, table, plan, tag_field)
        if tag_field is not None:
            self._chain_tags()

    def forget_order(self):
        """Unlearn the order of keys, so that decoding depends on nothing that came before."""
        cdef uint32_t i
        for i in range(self.decoder.n_types):
            _expect_declared_order(&self.decoder.types[i])

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.decoder.n_types):
            free(self.decoder.types[i].fields)
            table_free(&self.decoder.types[i].names)
        free(self.decoder.types)
        free(self.decoder.scratch.data)
        free(self.decoder.unknown.data)
        free(self.decoder.items.data)

    cdef const uint8_t* _borrow(self, bytes text) except NULL:
        self._kept.append(text)
        return <const uint8_t*>PyBytes_AS_STRING(text)

    cdef int _add_type(self, Type* type, TableBuilder table, object plan, str tag_field) except -1:
        cdef uint32_t i = 0
        if table is not None:
            self._kept.append(table)
            type.rows = &table.rows
        type.names.seed[0] = random_seed()
        type.names.seed[1] = random_seed()
        type.keeps_unknown = plan.keeps_unknown
        type.always_fallback = plan.always_fallback
        if tag_field is not None:
            self._set_key(&type.tag_value, _json(plan.tag))
        type.n_fields = <uint32_t>len(plan.fields) + (tag_field is not None)
        type.fields = <Field*>calloc(type.n_fields + 1, sizeof(Field))
        if type.fields == NULL:
            raise MemoryError
        for field in plan.fields:
            self._set_key(&type.fields[i], _json(field.column) + b":")
            self._set_value(&type.fields[i], NULL if table is None else &table.field(i).column, field)
            _add_text(&type.names, field.column)
            i += 1
        type.start = &type.fields[type.n_fields]
        # A type without fields expects its start to follow: no key is as long as this one.
        type.start.key_size = 0xFFFFFFFF
        if tag_field is not None:
            type.tag = &type.fields[i]
            type.tag.kind = RL_TAG
            type.tag.absent = RL_REQUIRED
            self._set_key(type.tag, _json(tag_field) + b":")
            _add_text(&type.names, tag_field)
        _expect_declared_order(type)
        return 0

    cdef int _chain_tags(self) except -1:
        cdef uint32_t i
        cdef uint32_t first
        cdef uint32_t bucket
        cdef Type* type
        sizes = [self.decoder.types[i].tag_value.key_size for i in range(self.decoder.n_types)]
        self.decoder.tag_mask = <uint32_t>((<uint64_t>1 << 8 * min(4, *sizes)) - 1)
        # The last one put into a chain is its first.
        for i in sorted(range(self.decoder.n_types), key=sizes.__getitem__):
            type = &self.decoder.types[i]
            first = 0
            memcpy(&first, type.tag_value.key, min(4, type.tag_value.key_size))
            bucket = rl_tag_bucket(first & self.decoder.tag_mask)
            type.next_in_bucket = self.decoder.tags[bucket]
            self.decoder.tags[bucket] = type
        return 0

    cdef int _set_key(self, Field* field, bytes key) except -1:
        self._kept.append(key)
        return set_key(field, key)

    cdef int _set_value(self, Field* field, Column* column, object plan) except -1:
        field.column = column
        field.kind = plan.kind
        field.absent = (
            RL_REQUIRED if plan.required
            else RL_ABSENT_NULL if plan.default_is_null
            else RL_ABSENT_FALLBACK if plan.default_json is None
            else RL_ABSENT_DEFAULT)
        field.nullable = plan.accepts_null
        if plan.default_json is not None:
            field.default_json = self._borrow(plan.default_json + b"}")
            field.default_size = <size_t>len(plan.default_json)
        if plan.limits is not None:
            field.limited = True
            field.int_min, field.int_max = plan.limits.integer
            field.float_min, field.float_max = plan.limits.number
            field.length_min, field.length_max = plan.limits.length
        return 0
