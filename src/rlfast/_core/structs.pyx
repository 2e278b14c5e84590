# cython: language_level=3
"""Structs from JSON by way of the compiled decoder: each field is written where the struct keeps it."""

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from libc.stdlib cimport calloc, free

from rlfast._core.columns cimport random_seed, table_add, table_free
from rlfast._core.objects cimport recent_texts, text_object
from rlfast._core.plan cimport (
    Field, RL_TOKEN_ABSENT, RL_TOKEN_ASCII, RL_TOKEN_ESCAPED, RL_TOKEN_FALSE, RL_TOKEN_INTEGER, RL_TOKEN_LIST,
    RL_TOKEN_LISTED, RL_TOKEN_NULL, RL_TOKEN_NUMBER, RL_TOKEN_TRUE, RL_TOKEN_UTF8, Type,
)

cdef extern from "structmember.h":
    int T_OBJECT_EX
    ctypedef struct PyMemberDef:
        int type
        Py_ssize_t offset
        int flags

cdef extern from "Python.h":
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member
    PyTypeObject PyMemberDescr_Type
    const unsigned long Py_TPFLAGS_HAVE_GC
    const unsigned long Py_TPFLAGS_IS_ABSTRACT
    PyTypeObject* Py_TYPE(PyObject* o)
    bint PyType_HasFeature(PyTypeObject* type, unsigned long feature)
    Py_ssize_t _basic_size "RLFAST_BASIC_SIZE"(PyTypeObject* type)
    PyObject* _alloc "RLFAST_ALLOC"(PyTypeObject* type)
    void PyObject_GC_UnTrack(void* op)
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    # Each returns a new reference, or NULL with an exception set.
    PyObject* PyLong_FromLongLong(long long value)
    PyObject* PyFloat_FromDouble(double value)
    PyObject* PyList_New(Py_ssize_t size)
    void PyList_SET_ITEM(PyObject* items, Py_ssize_t index, PyObject* item)
    void _incref "Py_INCREF"(PyObject* o)
    void _decref "Py_DECREF"(PyObject* o)

cdef extern from *:
    """
    #define RLFAST_BASIC_SIZE(type) ((type)->tp_basicsize)
    #define RLFAST_ALLOC(type) ((type)->tp_alloc((type), 0))
    #define RLFAST_INDEX(type, first) ((type) - (first))
    """
    # In C, because Cython's check for overflow takes the difference of two pointers for one of integers.
    Py_ssize_t _index_of "RLFAST_INDEX"(const Type* type, const Type* first)


cdef PyObject* _object_of(
    RecentTexts recent, const Token* token, const Slot* slot, const Token* items, const uint8_t* begin
) except NULL:
    """A new reference to the value of a token of the payload that starts at `begin`."""
    cdef PyObject* made
    cdef Py_ssize_t i
    if token.kind == RL_TOKEN_ASCII or token.kind == RL_TOKEN_UTF8 or token.kind == RL_TOKEN_ESCAPED:
        return text_object(recent, token, begin)
    if token.kind == RL_TOKEN_LISTED:
        made = slot.objects[token.of.integer]
        _incref(made)
        return made
    if token.kind == RL_TOKEN_NUMBER:
        return PyFloat_FromDouble(token.of.number)
    if token.kind == RL_TOKEN_INTEGER:
        return PyLong_FromLongLong(token.of.integer)
    if token.kind == RL_TOKEN_LIST:
        made = PyList_New(<Py_ssize_t>token.size)
        if made == NULL:
            return NULL
        try:
            for i in range(<Py_ssize_t>token.size):
                PyList_SET_ITEM(made, i, _object_of(recent, &items[token.of.integer + i], slot, items, begin))
        except BaseException:
            _decref(made)
            raise
        return made
    if token.kind == RL_TOKEN_ABSENT and slot.fallback == NULL:
        return PyList_New(0)
    made = (
        Py_None if token.kind == RL_TOKEN_NULL
        else Py_True if token.kind == RL_TOKEN_TRUE
        else Py_False if token.kind == RL_TOKEN_FALSE
        else slot.fallback)
    _incref(made)
    return made


cdef Py_ssize_t _offset_of(cls, str name) except -1:
    """Where an instance keeps the attribute. Raises TypeError if it is kept elsewhere than in a slot."""
    cdef PyMemberDef* member
    cdef type kind
    for base in cls.__mro__:
        descriptor = base.__dict__.get(name)
        if descriptor is not None:
            break
    else:
        raise TypeError(f"{cls.__name__} has no attribute {name}")
    kind = type(descriptor)
    if <PyTypeObject*>kind == &PyMemberDescr_Type:
        member = (<PyMemberDescrObject*>descriptor).d_member
        if (member.type == T_OBJECT_EX and member.offset >= <Py_ssize_t>sizeof(PyObject)
                and member.offset + <Py_ssize_t>sizeof(PyObject*) <= _basic_size(<PyTypeObject*>cls)):
            return member.offset
    raise TypeError(f"{cls.__name__}.{name} is not kept in a slot")


def slots_of(cls, names):
    """Whether instances of `cls` can be made and keep all attributes of these names in slots."""
    if PyType_HasFeature(<PyTypeObject*>cls, Py_TPFLAGS_IS_ABSTRACT):
        return False
    try:
        for name in names:
            _offset_of(cls, name)
    except TypeError:
        return False
    return True


@cython.final
cdef class StructDecoder(ObjectDecoder):
    """JSON objects to structs, for those payloads that the compiled decoder takes; msgspec has the others.

    What it makes equals what msgspec makes of the same bytes. A struct is made as CPython makes any object with
    ``__slots__``: allocated by its type, with references written to the slots.

    Args:
        plan: object with the attributes of `rlfast.schema._slots.StructPlan`.
        kernel: one of `rlfast._core.plan.KERNELS`, or "auto" for the fastest.
    """

    def __cinit__(self, plan not None, str kernel not None="auto"):
        cdef uint32_t i
        cdef uint32_t most = 1
        self._kept = []
        self._recent = recent_texts()
        self._plan = CompiledPlan([(None, shape.column) for shape in plan.shapes], plan.tag_field, kernel)
        self._shapes = <Shape*>calloc(<size_t>len(plan.shapes), sizeof(Shape))
        if self._shapes == NULL:
            raise MemoryError
        self._n_shapes = <uint32_t>len(plan.shapes)
        for i in range(self._n_shapes):
            self._add_shape(plan.shapes[i], i)
            most = max(most, self._plan.decoder.root.types[i].n_fields)
        self._tokens = <Token*>calloc(most, sizeof(Token))
        if self._tokens == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t i, j
        if self._shapes != NULL:
            for i in range(self._n_shapes):
                for j in range(self._shapes[i].n_slots):
                    table_free(&self._shapes[i].slots[j].strings)
                    free(self._shapes[i].slots[j].objects)
                free(self._shapes[i].slots)
        free(self._shapes)
        free(self._tokens)

    cdef int _add_shape(self, object plan, uint32_t index) except -1:
        cdef Shape* shape = &self._shapes[index]
        cdef Field* fields = self._plan.decoder.root.types[index].fields
        cdef Slot* slot
        cdef uint32_t i
        cdef Py_ssize_t code
        self._kept.append(plan)
        shape.type = <PyTypeObject*>plan.struct
        shape.collected = PyType_HasFeature(shape.type, Py_TPFLAGS_HAVE_GC)
        shape.slots = <Slot*>calloc(<size_t>len(plan.slots) + 1, sizeof(Slot))
        if shape.slots == NULL:
            raise MemoryError
        shape.n_slots = <uint32_t>len(plan.slots)
        for i in range(shape.n_slots):
            field = plan.slots[i]
            slot = &shape.slots[i]
            slot.offset = _offset_of(plan.struct, field.attribute)
            if not field.starts_as_list:
                slot.fallback = <PyObject*>field.default
                self._kept.append(field.default)
            if field.categories is None:
                continue
            self._kept.append(field.objects)
            slot.objects = <PyObject**>calloc(<size_t>len(field.categories) + 1, sizeof(PyObject*))
            if slot.objects == NULL:
                raise MemoryError
            slot.strings.seed[0] = random_seed()
            slot.strings.seed[1] = random_seed()
            for code, (category, value) in enumerate(zip(field.categories, field.objects, strict=True)):
                text = category.encode()
                if table_add(&slot.strings, text, <size_t>len(text)) != code:
                    raise MemoryError
                slot.objects[code] = <PyObject*>value
            fields[i].strings = &slot.strings
        return 0

    cdef object _build(self, const Shape* shape, const uint8_t* begin):
        cdef PyObject* made = _alloc(shape.type)
        cdef const Token* items = <const Token*>self._plan.decoder.items.data
        cdef const Token* token
        cdef const Slot* slot = shape.slots
        cdef uint32_t i
        cdef PyObject* value
        cdef bint holds_container = False
        if made == NULL:
            raise MemoryError
        out = <object>made
        _decref(made)
        for i in range(shape.n_slots):
            token = &self._tokens[i]
            value = _object_of(self._recent, token, slot, items, begin)
            (<PyObject**>(<char*>made + slot.offset))[0] = value
            holds_container |= PyType_HasFeature(Py_TYPE(value), Py_TPFLAGS_HAVE_GC)
            slot += 1
        if shape.collected and not holds_container:
            # As msgspec does: what holds no container cannot be part of a cycle.
            PyObject_GC_UnTrack(made)
        return out

    cdef object decode(self, const char* payload, Py_ssize_t n):
        """The struct, or None for a payload that msgspec must look at."""
        cdef const uint8_t* p = <const uint8_t*>payload
        cdef const Type* type
        if self._busy:
            # By way of the garbage collector, which runs what it likes while a list is being made.
            return None
        type = self._plan.read(&self._plan.decoder, p, p + n, self._tokens)
        if type == NULL:
            return None
        self._busy = True
        try:
            return self._build(&self._shapes[_index_of(type, self._plan.decoder.root.types)], p)
        finally:
            self._busy = False

    def forget_order(self):
        """Unlearn the order of keys, so that decoding depends on nothing that came before."""
        self._plan.forget_order()
