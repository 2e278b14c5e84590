# cython: language_level=3
"""Typed values from JSON by way of the compiled decoder: each field is written where the struct keeps it."""

cimport cython
from cpython.object cimport PyTypeObject
from libc.stdint cimport uint32_t

from rlfast._core.objects cimport LONG, field_text, field_texts, new_text, rl_new_list, rl_new_untracked, single
from rlfast._core.plan cimport (
    RL_TOKEN_ABSENT, RL_TOKEN_ASCII, RL_TOKEN_ESCAPED, RL_TOKEN_FALSE, RL_TOKEN_INTEGER, RL_TOKEN_JSON, RL_TOKEN_LIST,
    RL_TOKEN_LISTED, RL_TOKEN_MAP, RL_TOKEN_NULL, RL_TOKEN_NUMBER, RL_TOKEN_STRUCT, RL_TOKEN_TRUE, RL_TOKEN_UTF8,
    RL_TOKEN_VALUES,
)
from rlfast._core.scalars cimport scalar_object
from rlfast._core.shapes cimport (
    MADE_DATACLASS, MADE_FROZENSET, MADE_LIST, MADE_NAMED_TUPLE, MADE_SET, MADE_STRUCT, MADE_TUPLE, MADE_TYPED_DICT,
)

cdef extern from "Python.h":
    """
    #define RLFAST_ALLOC(type, n) ((type)->tp_alloc((type), (n)))
    #define RLFAST_STOLEN(o) (o)
    """
    const unsigned long Py_TPFLAGS_HAVE_GC
    PyTypeObject* Py_TYPE(PyObject* o)
    bint PyType_HasFeature(PyTypeObject* type, unsigned long feature)
    bint PyTuple_CheckExact(PyObject* o)
    bint PyObject_GC_IsTracked(PyObject* o)
    void PyObject_GC_Track(void* op)
    void PyObject_GC_UnTrack(void* op)
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    # The object of a new reference; raises what is set for NULL.
    object _stolen "RLFAST_STOLEN"(PyObject* o)
    # Each returns a new reference, or NULL with an exception set.
    PyObject* _alloc "RLFAST_ALLOC"(PyTypeObject* type, Py_ssize_t n)
    PyObject* PyLong_FromLongLong(long long value)
    PyObject* PyFloat_FromDouble(double value)
    PyObject* PyBytes_FromStringAndSize(const char* text, Py_ssize_t n)
    PyObject* PyList_New(Py_ssize_t size)
    PyObject* PyTuple_New(Py_ssize_t size)
    PyObject* PyDict_New()
    PyObject* PySet_New(PyObject* items)
    PyObject* PyFrozenSet_New(PyObject* items)
    PyObject* PyObject_CallNoArgs(PyObject* callable)
    PyObject* PyObject_CallOneArg(PyObject* callable, PyObject* argument)
    # Each steals the reference to the item.
    void PyList_SET_ITEM(PyObject* items, Py_ssize_t index, PyObject* item)
    void PyTuple_SET_ITEM(PyObject* items, Py_ssize_t index, PyObject* item)
    void Py_SET_SIZE(PyObject* o, Py_ssize_t size)
    # Borrowed, or NULL.
    PyObject* PyDict_SetDefault(PyObject* mapping, PyObject* key, PyObject* value)
    # 0, or -1 with an exception set.
    int PyDict_SetItem(PyObject* mapping, PyObject* key, PyObject* value)
    int PySet_Add(PyObject* items, PyObject* item)
    int PyObject_GenericSetAttr(PyObject* o, PyObject* name, PyObject* value)
    void _incref "Py_INCREF"(PyObject* o)
    void _decref "Py_DECREF"(PyObject* o)


cdef inline const Token* _behind(const Token* token) noexcept:
    """The next one in a list or map."""
    return token + 1 + token.span


cdef inline bint _may_hold(PyObject* value) noexcept:
    """Whether the garbage collector must see what holds the value."""
    return PyType_HasFeature(Py_TYPE(value), Py_TPFLAGS_HAVE_GC) and (
        not PyTuple_CheckExact(value) or PyObject_GC_IsTracked(value))


cdef inline bint _put(PyObject* mapping, PyObject* key, PyObject* value) noexcept:
    """Whether `mapping[key]` is the value now; otherwise an exception is set."""
    # Faster than PyDict_SetItem, as nearly every key is new. The last value of a key counts.
    cdef PyObject* present = PyDict_SetDefault(mapping, key, value)
    return present == value or (present != NULL and PyDict_SetItem(mapping, key, value) == 0)


cdef PyObject* _text(StructDecoder self, Node* node, const Token* token) noexcept:
    return field_text(self._recent, token, self._begin, &node.luck)


cdef inline PyObject* _made(StructDecoder self, Node* node, const Token* token) noexcept:
    """`_value`, with fewer calls for what is frequent."""
    if token.kind == RL_TOKEN_ASCII:
        if token.size == 1:
            return single(token)
        if node.luck < 0 or token.size > LONG:
            # Nothing more is asked of field_text.
            node.luck += node.luck < 0
            return new_text(token)
        return _text(self, node, token)
    if token.kind == RL_TOKEN_NUMBER:
        return PyFloat_FromDouble(token.of.number)
    return self._value(node, token)


@cython.final
cdef class StructDecoder(ObjectDecoder):
    """JSON to structs and all that they hold, for those payloads that the compiled decoder takes; msgspec has the others.

    What it makes equals what msgspec makes of the same bytes. A struct is made as CPython makes any object with
    ``__slots__``: allocated by its type, with references written to the slots. A value of a type that the compiled decoder
    does not know is decoded by msgspec, and it alone. Code of the user runs where msgspec runs it; where that, or a
    value, is refused, msgspec gets the whole payload, because its error names the place.

    The methods with an underscore return a new reference, or NULL with an exception set.

    Args:
        plan: object with the attributes of `rlfast.schema._slots.StructPlan`.
        kernel: one of `rlfast._core.plan.KERNELS`, or "auto" for the fastest.
    """

    def __cinit__(self, plan not None, str kernel not None="auto"):
        self._recent = field_texts()
        self._values = ValueDecoder(kernel)
        self._plan = CompiledPlan([(None, part) for part in plan.shapes], plan.tag_field, kernel)
        self._tree = NodeTree(plan)
        self._tree.fill(&self._plan.decoder.root, plan.shapes)
        self._plan.decoder.plain = &self._values.decoder
        self._root = &self._tree.root
        if plan.is_value:
            self._plan.decoder.value = &self._plan.decoder.root.types[0].fields[0]
            self._root = &self._tree.root.shapes[0].nodes[0]

    cdef PyObject* _value(self, Node* node, const Token* token) noexcept:
        cdef PyObject* made
        if token.kind == RL_TOKEN_ASCII or token.kind == RL_TOKEN_UTF8 or token.kind == RL_TOKEN_ESCAPED:
            return _text(self, node, token)
        elif token.kind == RL_TOKEN_LISTED:
            made = node.objects[token.of.integer]
        elif token.kind == RL_TOKEN_NUMBER:
            return PyFloat_FromDouble(token.of.number)
        elif token.kind == RL_TOKEN_INTEGER:
            return PyLong_FromLongLong(token.of.integer)
        elif token.kind == RL_TOKEN_NULL:
            made = Py_None
        elif token.kind == RL_TOKEN_TRUE:
            made = Py_True
        elif token.kind == RL_TOKEN_FALSE:
            made = Py_False
        elif token.kind == RL_TOKEN_ABSENT:
            if node.fallback == NULL:
                return self._absent(node)
            made = node.fallback
        elif token.kind == RL_TOKEN_STRUCT:
            return self._fields(&node.shapes[token.size], token.of.inside)
        elif token.kind == RL_TOKEN_LIST:
            if node.made == MADE_LIST:
                return self._list(node, token)
            return self._tuple(node, token) if node.made == MADE_TUPLE else self._set(node, token)
        elif token.kind == RL_TOKEN_MAP:
            return self._map(node, token)
        elif token.kind == RL_TOKEN_VALUES:
            return self._values.build(<size_t>token.of.integer, token.size, self._begin)
        elif token.kind == RL_TOKEN_JSON:
            return self._alone(node, token)
        else:
            return scalar_object(token, node.made)
        _incref(made)
        return made

    cdef PyObject* _absent(self, Node* node) noexcept:
        """What is made anew for each struct that lacks the field."""
        return PyList_New(0) if node.factory == NULL else PyObject_CallNoArgs(node.factory)

    cdef PyObject* _alone(self, Node* node, const Token* token) noexcept:
        """What msgspec makes of JSON."""
        cdef PyObject* made
        cdef PyObject* text
        # A copy, because the value may keep it.
        text = PyBytes_FromStringAndSize(<const char*>token.of.text, <Py_ssize_t>token.size)
        if text == NULL:
            return NULL
        made = PyObject_CallOneArg(node.decode, text)
        _decref(text)
        return made

    # -- arrays and maps -------------------------------------------------------------------------------------------

    cdef PyObject* _list(self, Node* node, const Token* token) noexcept:
        cdef Py_ssize_t n = <Py_ssize_t>token.size
        cdef Py_ssize_t i
        cdef const Token* item = token.of.inside
        cdef PyObject* value
        # It grows with its items, because the code of others may see it.
        cdef PyObject* made = rl_new_list(<size_t>n)
        if made == NULL:
            return NULL
        for i in range(n):
            value = _made(self, node.item, item)
            if value == NULL:
                _decref(made)
                return NULL
            PyList_SET_ITEM(made, i, value)
            Py_SET_SIZE(made, i + 1)
            item = _behind(item)
        return made

    cdef PyObject* _tuple(self, Node* node, const Token* token) noexcept:
        cdef Py_ssize_t i
        cdef const Token* item = token.of.inside
        cdef PyObject* value
        cdef PyObject* made = PyTuple_New(<Py_ssize_t>token.size)
        if made == NULL:
            return NULL
        for i in range(<Py_ssize_t>token.size):
            value = _made(self, node.item, item)
            if value == NULL:
                _decref(made)
                return NULL
            PyTuple_SET_ITEM(made, i, value)
            item = _behind(item)
        return made

    cdef PyObject* _set(self, Node* node, const Token* token) noexcept:
        cdef uint32_t i
        cdef int failed
        cdef const Token* item = token.of.inside
        cdef PyObject* value
        cdef PyObject* made = PySet_New(NULL) if node.made == MADE_SET else PyFrozenSet_New(NULL)
        if made == NULL:
            return NULL
        for i in range(<uint32_t>token.size):
            value = _made(self, node.item, item)
            failed = value == NULL or PySet_Add(made, value) != 0
            if value != NULL:
                _decref(value)
            if failed:
                _decref(made)
                return NULL
            item = _behind(item)
        return made

    cdef PyObject* _map(self, Node* node, const Token* token) noexcept:
        cdef uint32_t i
        cdef bint done
        cdef const Token* key_token = token.of.inside
        cdef PyObject* key
        cdef PyObject* value
        cdef PyObject* made = PyDict_New()
        if made == NULL:
            return NULL
        for i in range(<uint32_t>token.size):
            key = field_text(self._recent, key_token, self._begin, &node.luck)
            value = NULL if key == NULL else _made(self, node.item, key_token + 1)
            done = value != NULL and _put(made, key, value)
            if key != NULL:
                _decref(key)
            if value != NULL:
                _decref(value)
            if not done:
                _decref(made)
                return NULL
            key_token = _behind(key_token + 1)
        return made

    # -- what has fields -------------------------------------------------------------------------------------------

    cdef PyObject* _fields(self, Shape* shape, const Token* tokens) noexcept:
        cdef PyObject* made
        if shape.made == MADE_STRUCT:
            return self._struct(shape, tokens)
        if shape.made == MADE_TYPED_DICT:
            return self._typed_dict(shape, tokens)
        if shape.made != MADE_DATACLASS:
            return self._fixed_tuple(shape, tokens)
        made = _alloc(shape.type, 0)
        if made != NULL and (
            self._set_attributes(made, shape, tokens) != 0
            or (shape.post_init != NULL and self._call_post_init(shape.post_init, made) != 0)
        ):
            _decref(made)
            return NULL
        return made

    cdef PyObject* _struct(self, Shape* shape, const Token* tokens) noexcept:
        cdef PyObject* made = rl_new_untracked(shape.type) if shape.is_plain else _alloc(shape.type, 0)
        cdef PyObject* value
        cdef Node* node = shape.nodes
        cdef uint32_t i
        cdef bint holds = False
        if made == NULL:
            return NULL
        for i in range(shape.n_nodes):
            value = _made(self, node, &tokens[i])
            if value == NULL:
                _decref(made)
                return NULL
            (<PyObject**>(<char*>made + node.offset))[0] = value
            holds = holds or _may_hold(value)
            node += 1
        # As msgspec does: what holds no container cannot be part of a cycle.
        if shape.is_plain:
            if holds:
                PyObject_GC_Track(made)
        elif shape.collected and not holds:
            PyObject_GC_UnTrack(made)
        if shape.post_init != NULL and self._call_post_init(shape.post_init, made) != 0:
            _decref(made)
            return NULL
        return made

    cdef int _call_post_init(self, PyObject* post_init, PyObject* made) noexcept:
        """0, or -1 with an exception set."""
        cdef PyObject* result = PyObject_CallOneArg(post_init, made)
        if result == NULL:
            return -1
        _decref(result)
        return 0

    cdef PyObject* _fixed_tuple(self, Shape* shape, const Token* tokens) noexcept:
        cdef uint32_t i
        cdef PyObject* value
        cdef PyObject* made = (
            _alloc(shape.type, shape.n_nodes) if shape.made == MADE_NAMED_TUPLE else PyTuple_New(shape.n_nodes))
        if made == NULL:
            return NULL
        for i in range(shape.n_nodes):
            value = _made(self, &shape.nodes[i], &tokens[i])
            if value == NULL:
                _decref(made)
                return NULL
            PyTuple_SET_ITEM(made, i, value)
        return made

    cdef int _set_attributes(self, PyObject* made, Shape* shape, const Token* tokens) noexcept:
        """0, or -1 with an exception set."""
        cdef uint32_t i
        cdef int failed
        cdef PyObject* value
        for i in range(shape.n_nodes):
            value = _made(self, &shape.nodes[i], &tokens[i])
            if value == NULL:
                return -1
            failed = PyObject_GenericSetAttr(made, shape.nodes[i].name, value)
            _decref(value)
            if failed:
                return -1
        return 0

    cdef PyObject* _typed_dict(self, Shape* shape, const Token* tokens) noexcept:
        cdef uint32_t n = shape.n_nodes
        cdef uint32_t i, at
        cdef int failed
        cdef PyObject* value
        cdef PyObject* made = PyDict_New()
        if made == NULL:
            return NULL
        for i in range(n):
            # Those that there are come first, in the order of the text.
            if tokens[n + i].kind == RL_TOKEN_ABSENT:
                break
            at = <uint32_t>tokens[n + i].of.integer
            value = _made(self, &shape.nodes[at], &tokens[at])
            failed = value == NULL or PyDict_SetItem(made, shape.nodes[at].name, value) != 0
            if value != NULL:
                _decref(value)
            if failed:
                _decref(made)
                return NULL
        return made

    # -- messages --------------------------------------------------------------------------------------------------

    cdef object _refused(self):
        """None, for msgspec to look at the payload, unless it is for want of memory, or no error of the message."""
        try:
            return _stolen(NULL)
        except MemoryError:
            raise
        except Exception:
            return None

    cdef object decode(self, const char* payload, Py_ssize_t n):
        """The object, or None for a payload that msgspec must look at."""
        cdef const uint8_t* p = <const uint8_t*>payload
        cdef const Token* token
        cdef PyObject* made
        if self._busy:
            # By way of the garbage collector, or of code that the types bring along, which run what they like while
            # objects are being made.
            return None
        if self._values.decoder.items.size != 0:
            self._values.before_reading()
        token = self._plan.read(&self._plan.decoder, p, p + n)
        if token == NULL:
            return None
        self._busy = True
        self._begin = p
        if token.kind == RL_TOKEN_STRUCT and self._root.shapes[token.size].made == MADE_STRUCT:
            made = self._struct(&self._root.shapes[token.size], token.of.inside)
        else:
            made = self._value(self._root, token)
        self._busy = False
        return self._refused() if made == NULL else _stolen(made)

    def forget_order(self):
        """Unlearn the order of keys, so that decoding depends on nothing that came before."""
        if not self._busy:
            self._plan.forget_order()
            self._values.forget_order()
