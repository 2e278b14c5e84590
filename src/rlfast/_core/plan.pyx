# cython: language_level=3
"""A column plan in the form that the compiled decoder runs (csrc/plan.h)."""

import json
from array import array

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from rlfast._core.columns cimport (
    RL_CHILDREN, Column, ColumnBuilder, StringTable, random_seed, table_add, table_free,
)
from rlfast._core.tables cimport TableBuilder


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


cdef int _chain_tags(Types* types) except -1:
    cdef uint32_t i
    cdef uint32_t first
    cdef uint32_t bucket
    cdef Type* type
    sizes = [types.types[i].tag_value.key_size for i in range(types.n_types)]
    types.tag_mask = <uint32_t>((<uint64_t>1 << 8 * min(4, *sizes)) - 1)
    # The last one put into a chain is its first.
    for i in sorted(range(types.n_types), key=sizes.__getitem__):
        type = &types.types[i]
        first = 0
        memcpy(&first, type.tag_value.key, min(4, type.tag_value.key_size))
        bucket = rl_tag_bucket(first & types.tag_mask)
        type.next_in_bucket = types.tags[bucket]
        types.tags[bucket] = type
    return 0


cdef void _forget_order(Types* types) noexcept:
    cdef uint32_t i, j
    for i in range(types.n_types):
        _expect_declared_order(&types.types[i])
        if types.types[i].events != NULL:
            _forget_order(types.types[i].events)
            for j in range(types.types[i].events.n_types):
                _forget_order(&types.types[i].whole[j])
        for j in range(types.types[i].n_fields):
            _forget_field_order(&types.types[i].fields[j])


cdef void _forget_field_order(Field* field) noexcept:
    cdef uint32_t i
    for i in range(field.n_parts):
        _forget_field_order(&field.parts[i])
    if field.types != NULL:
        _forget_order(field.types)
    if field.item != NULL:
        _forget_field_order(field.item)


cdef void _free_types(Types* types) noexcept:
    cdef uint32_t i, j
    for i in range(types.n_types):
        if types.types[i].fields != NULL:
            for j in range(types.types[i].n_fields):
                _free_field(&types.types[i].fields[j])
        free(types.types[i].fields)
        table_free(&types.types[i].names)
        if types.types[i].events != NULL:
            if types.types[i].whole != NULL:
                for j in range(types.types[i].events.n_types):
                    _free_types(&types.types[i].whole[j])
            free(types.types[i].whole)
            _free_types(types.types[i].events)
            free(types.types[i].events)
    free(types.types)


cdef void _free_field(Field* field) noexcept:
    cdef uint32_t i
    for i in range(field.n_parts):
        _free_field(&field.parts[i])
    free(field.parts)
    if field.types != NULL:
        _free_types(field.types)
        free(field.types)
    if field.item != NULL:
        _free_field(field.item)
        free(field.item)


@cython.final
cdef class CompiledPlan:
    """What the compiled decoder knows about a type of messages, or an untyped stream.

    Owns the C structs, and keeps alive the table builders that they point into. Serves one decoder at a time.

    Args:
        types: one pair per struct type: its `TableBuilder`, or None if the plan is for `read` only, and the struct as
            a column, an object with the attributes of `rlfast.schema._columns.Column`; or, for an untyped stream, the
            `TableBuilder` whose last column takes every message as text.
        tag_field: name of the member that tells the types apart, or None.
        kernel: one of `KERNELS`, or "auto" for the fastest.
        splits: whether each message is an array of such structs, or has one inside.
        event_at: of each type that is an envelope, whose columns are those of `rlfast.schema._envelope.levels`: the
            indices of the child that the event is in, and of the child of that; of others: ().
        is_value: whether each message is the value of the only field of the only struct, which is array-like.
        separator: the byte behind, or in front of, each document of a message, all of which is then true of a
            document; 0: a message is one document.

    Raises:
        ValueError: this machine has no such kernel.
    """

    def __cinit__(
        self, types not None, str tag_field, str kernel not None="auto", bint splits=False, list event_at=None,
        bint is_value=False, int separator=0
    ):
        cdef const KernelEntry* entry = find_kernel(kernel)
        memset(&self.decoder, 0, sizeof(Decoder))
        self._kept = []
        self.decoder.powers = &_powers
        self.decoder.keys.seed[0] = random_seed()
        self.decoder.keys.seed[1] = random_seed()
        self.kernel = entry.run
        self.read = entry.read
        self.kernel_name = (<bytes>entry.name).decode()
        self.decoder.splits = splits
        self.decoder.separator = <uint8_t>separator
        self.decoder.is_value = is_value
        tables = [types] if isinstance(types, TableBuilder) else [table for table, _ in types]
        self.decoder.tables = <Rows**>calloc(<size_t>len(tables) + 1, sizeof(Rows*))
        if self.decoder.tables == NULL:
            raise MemoryError
        for table in tables:
            if table is not None:
                self.decoder.tables[self.decoder.n_tables] = &(<TableBuilder>table).rows
                self.decoder.n_tables += 1
        if isinstance(types, TableBuilder):
            self._kept.append(types)
            self.decoder.untyped = self.decoder.tables[0]
            return
        columns = [column for _, column in types]
        if event_at is not None and any(event_at):
            self._add_envelopes(tables, columns, event_at, tag_field)
        else:
            self._add_types(&self.decoder.root, columns, tables, [None] * len(types), tag_field)

    def forget_order(self):
        """Unlearn the order of keys, so that decoding depends on nothing that came before."""
        _forget_order(&self.decoder.root)

    def __dealloc__(self):
        _free_types(&self.decoder.root)
        free(self.decoder.tables)
        free(self.decoder.events_at)
        table_free(&self.decoder.keys)
        free(self.decoder.scratch.data)
        free(self.decoder.unknown.data)
        free(self.decoder.items.data)

    cdef const uint8_t* _borrow(self, bytes text) except NULL:
        self._kept.append(text)
        return <const uint8_t*>PyBytes_AS_STRING(text)

    cdef int _add_envelopes(self, list tables, list columns, list event_at, object tag_field) except -1:
        """Describe envelopes, each of which occurs once for each type of its events, one after the other."""
        cdef Type* outer
        cdef Field* name
        cdef uint32_t i
        groups = {}
        for i, column in enumerate(columns):
            groups.setdefault(column.tag, []).append(i)
        firsts = [group[0] for group in groups.values()]
        plain = [None if event_at[i] else tables[i] for i in firsts]
        self._add_types(&self.decoder.root, [columns[i] for i in firsts], plain, [None] * len(firsts), tag_field)
        for at, group in enumerate(groups.values()):
            if not event_at[group[0]]:
                continue
            outer = &self.decoder.root.types[at]
            events, names = [], []
            for i in group:
                column, names = columns[i], []
                for place in event_at[i]:
                    column = column.children[place]
                    names.append(column.name)
                events.append(column.children[0] if column.kind.code == RL_LIST else column)
            if self.decoder.events_at == NULL:
                self.decoder.events_at = <Field*>calloc(<size_t>len(names), sizeof(Field))
                if self.decoder.events_at == NULL:
                    raise MemoryError
                for text in names:
                    name = &self.decoder.events_at[self.decoder.n_events_at]
                    self.decoder.n_events_at += 1
                    self._set_key(name, _json(text) + b":")
            outer.events = <Types*>calloc(1, sizeof(Types))
            if outer.events == NULL:
                raise MemoryError
            self._add_types(outer.events, events, [None] * len(group), [None] * len(group), events[0].tag_field)
            outer.whole = <Types*>calloc(<size_t>len(group), sizeof(Types))
            if outer.whole == NULL:
                raise MemoryError
            for i in range(<uint32_t>len(group)):
                number = group[i]
                self._add_types(
                    &outer.whole[i], [columns[number]], [tables[number]], [None], columns[number].tag_field, 0,
                    event_at[number])
        return 0

    cdef int _add_types(
        self, Types* types, object columns, list tables, list builders, object tag_field, uint32_t first=0, tuple at=()
    ) except -1:
        """Describe structs, each of which has a table, a column inside of one, or, for tokens, neither."""
        cdef Type* type
        types.types = <Type*>calloc(<size_t>len(columns), sizeof(Type))
        if types.types == NULL:
            raise MemoryError
        types.is_array = columns[0].is_array
        types.has_tag = tag_field is not None
        if tag_field is not None:
            self._set_key(&types.tag_key, _json(tag_field) + b":")
        for column, table, builder in zip(columns, tables, builders, strict=True):
            type = &types.types[types.n_types]
            types.n_types += 1
            self._add_type(type, column, table, builder, tag_field, types.is_array, first, at)
        if tag_field is not None:
            _chain_tags(types)
        return 0

    cdef int _add_type(
        self, Type* type, object column, TableBuilder table, ColumnBuilder builder, object tag_field, bint is_array,
        uint32_t first, tuple at
    ) except -1:
        """Describe a struct; what is at `at[0]` is inside of it as an envelope, and `first` the number of its column."""
        cdef uint32_t i = 0
        cdef ColumnBuilder child
        self._kept.append((table, builder, column))
        if table is not None:
            type.rows = &table.rows
        type.names.seed[0] = random_seed()
        type.names.seed[1] = random_seed()
        type.keeps_unknown = column.keeps_unknown
        type.always_fallback = column.always_fallback or column.is_remade
        if tag_field is not None:
            self._set_key(&type.tag_value, _json(column.tag))
        type.n_fields = <uint32_t>len(column.children) + (tag_field is not None)
        type.fields = <Field*>calloc(type.n_fields + 1, sizeof(Field))
        if type.fields == NULL:
            raise MemoryError
        for field in column.children:
            child = None
            if table is not None and not (at and i == at[0]):
                child = table.field(first)
                first += 1
            elif builder is not None:
                child = builder._children[i]
            if not is_array:
                self._set_key(&type.fields[i], _json(field.name) + b":")
                _add_text(&type.names, field.name)
            if at and i == at[0]:
                self._set_event(
                    &type.fields[i], field, table, first + <uint32_t>len(column.children) - 1 - i, at[1:])
            else:
                self._set_field(&type.fields[i], field, child)
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

    cdef int _set_event(self, Field* field, object column, TableBuilder table, uint32_t first, tuple at) except -1:
        """Describe what an envelope has inside; `first` is the number of its first column."""
        self._set_value(field, column)
        field.kind = RL_EVENT
        if column.kind.code == RL_LIST:
            field.accepts = RL_ACCEPT_ARRAY
            column = column.children[0]
        field.types = <Types*>calloc(1, sizeof(Types))
        if field.types == NULL:
            raise MemoryError
        self._add_types(field.types, [column], [table], [None], column.tag_field, first, at)
        return 0

    cdef int _set_key(self, Field* field, bytes key) except -1:
        self._kept.append(key)
        return set_key(field, key)

    cdef int _set_field(self, Field* field, object column, ColumnBuilder builder) except -1:
        """Describe a column, and those inside it."""
        cdef ColumnBuilder inner = None
        cdef uint32_t i
        cdef list builders
        self._set_value(field, column)
        if builder is not None:
            field.column = &builder.column
        if field.kind == RL_GENERAL:
            return 0
        if builder is not None and column.parts:
            field.parts = <Field*>calloc(<size_t>len(column.parts), sizeof(Field))
            if field.parts == NULL:
                raise MemoryError
            for part in column.parts:
                inner = ColumnBuilder.__new__(ColumnBuilder, part)
                self._kept.append(inner)
                field.n_parts += 1
                self._set_field(&field.parts[field.n_parts - 1], part, inner)
        if field.kind == RL_LIST or field.kind == RL_MAP:
            field.item = <Field*>calloc(1, sizeof(Field))
            if field.item == NULL:
                raise MemoryError
            if builder is not None:
                inner = builder._children[0]
                if field.kind == RL_MAP:
                    inner = inner._children[1]
            self._set_field(field.item, column.children[0], inner)
        elif field.kind == RL_STRUCT or field.kind == RL_TUPLE or field.kind == RL_UNION:
            field.types = <Types*>calloc(1, sizeof(Types))
            if field.types == NULL:
                raise MemoryError
            if field.kind != RL_UNION:
                self._add_types(field.types, [column], [None], [builder], column.tag_field)
                return 0
            members = column.members
            builders = [None] * len(members)
            if builder is not None:
                builders = [None if at is None else builder._children[at] for at in members.values()]
            self._add_types(field.types, column.children, [None] * len(builders), builders, column.tag_field)
            tags = list(members)
            for i in range(field.types.n_types):
                # Codes of a dictionary, or the integers themselves.
                field.types.types[i].tag_code = i if isinstance(tags[i], str) else tags[i]
                if builders[i] is not None:
                    field.types.types[i].column = &(<ColumnBuilder>builders[i]).column
        return 0

    cdef int _set_value(self, Field* field, object column) except -1:
        kind = column.kind
        field.kind = kind.code
        if column.always_fallback and kind.layout != RL_CHILDREN:
            field.kind = RL_GENERAL
        field.absent = (
            RL_REQUIRED if column.required
            else RL_ABSENT_NULL if column.default_is_null
            else RL_ABSENT_FALLBACK if column.default_json is None
            else RL_ABSENT_DEFAULT)
        field.nullable = column.accepts_null
        field.accepts = column.accepts
        field.part_of = column.part_of
        field.precision = column.precision
        field.scale = column.scale
        if column.default_json is not None:
            field.default_json = self._borrow(column.default_json + b"}")
            field.default_size = <size_t>len(column.default_json)
        if column.choices is not None:
            choices = array("q", column.choices).tobytes()
            field.choices = <const int64_t*>self._borrow(choices)
            field.n_choices = <uint32_t>len(column.choices)
        if column.limits is not None:
            field.limited = True
            field.int_min, field.int_max = column.limits.integer
            field.multiple_of = column.limits.multiple_of
            field.float_min, field.float_max = column.limits.number
            field.length_min, field.length_max = column.limits.length
        return 0
