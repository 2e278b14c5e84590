# cython: language_level=3
"""Plain Python values from JSON by way of the compiled decoder: dicts, lists, texts, numbers."""

cimport cython
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from rlfast._core.columns cimport Buffer, StringTable, random_seed, table_add, table_clear, table_free
from rlfast._core.objects cimport new_text, recent_texts, rl_new_list, text_object
from rlfast._core.plan cimport (
    Field, KernelEntry, RL_FOLLOWERS, RL_MAX_DEPTH, RL_TOKEN_ARRAY, RL_TOKEN_ASCII, RL_TOKEN_ESCAPED, RL_TOKEN_INTEGER,
    RL_TOKEN_KEY, RL_TOKEN_NEW_KEY, RL_TOKEN_NULL, RL_TOKEN_NUMBER, RL_TOKEN_OBJECT, RL_TOKEN_OPEN_ARRAY,
    RL_TOKEN_OPEN_OBJECT, RL_TOKEN_TRUE, RL_TOKEN_UTF8, find_kernel, powers, set_key,
)

cdef extern from "csrc/string_table.h" nogil:
    int32_t rl_table_find(const StringTable* table, const uint8_t* text, size_t n, const uint8_t* begin)

cdef extern from "Python.h":
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    # Each returns a new reference, or NULL with an exception set.
    PyObject* PyLong_FromLongLong(long long value)
    PyObject* PyFloat_FromDouble(double value)
    PyObject* PyDict_New()
    int PyList_SetSlice(PyObject* items, Py_ssize_t low, Py_ssize_t high, PyObject* replacement)
    const Py_ssize_t PY_SSIZE_T_MAX
    # -1 with an exception set.
    int PyDict_SetItem(PyObject* mapping, PyObject* key, PyObject* value)
    # A borrowed reference, or NULL with an exception set.
    PyObject* PyDict_SetDefault(PyObject* mapping, PyObject* key, PyObject* value)
    Py_ssize_t PyObject_Hash(PyObject* o)
    void PyList_SET_ITEM(PyObject* items, Py_ssize_t index, PyObject* item)
    void Py_SET_SIZE(PyObject* o, Py_ssize_t size)
    void _incref "Py_INCREF"(PyObject* o)
    void _decref "Py_DECREF"(PyObject* o)
    void _xdecref "Py_XDECREF"(PyObject* o)
    PyObject* PyErr_NoMemory()      # NULL

cdef extern from *:
    """
    #define RLFAST_STOLEN(o) (o)
    """
    # The object of a new reference; raises what is set for NULL.
    object _stolen "RLFAST_STOLEN"(PyObject* o)

cdef enum:
    MAX_KEYS = 256
    LONGEST_KEY = 64    # bytes of a key that is learned
    PATIENCE = 4096     # keys without room until all are forgotten
    MAX_SCRATCH = 1048576   # bytes that are kept for the next text with escapes


cdef struct Outside:
    # What is to be done when a container is complete that is being made.
    PyObject* mapping       # owned; the object that holds it, or NULL
    PyObject* key           # borrowed; where in there
    size_t first            # of what an array holds


cdef PyObject* _list_of(const Token* values, size_t n) noexcept:
    """A new list that takes over the references, or NULL with an exception set; then they stay where they are."""
    cdef PyObject* made = rl_new_list(n)
    cdef size_t i
    if made != NULL:
        for i in range(n):
            PyList_SET_ITEM(made, <Py_ssize_t>i, <PyObject*>values[i].of.object)
        Py_SET_SIZE(made, <Py_ssize_t>n)
    return made


cdef inline bint _put(PyObject* mapping, PyObject* key, PyObject* value) noexcept:
    """Whether `mapping[key]` is the value now; otherwise an exception is set."""
    # A tenth faster than PyDict_SetItem, as nearly every key is new. The last value of a key counts.
    cdef PyObject* present = PyDict_SetDefault(mapping, key, value)
    return present == value or (present != NULL and PyDict_SetItem(mapping, key, value) == 0)


@cython.final
cdef class ValueDecoder(ObjectDecoder):
    """JSON objects and arrays to dicts and lists, as msgspec decodes them without a type.

    Keys are learned as they come, each with what came behind it the last time. Most keys are found by looking
    whether they are those that are expected.

    Args:
        kernel: one of `rlfast._core.plan.KERNELS`, or "auto" for the fastest.
    """

    def __cinit__(self, str kernel not None="auto"):
        cdef const KernelEntry* entry = find_kernel(kernel)
        memset(&self.decoder, 0, sizeof(Decoder))
        memset(&self.type, 0, sizeof(Type))
        self._kept = []
        self._loose = []
        self._recent = recent_texts()
        self.values = entry.values
        self.decoder.powers = powers()
        self.decoder.root.types = &self.type
        self.type.names.seed[0] = random_seed()
        self.type.names.seed[1] = random_seed()
        self.type.fields = <Field*>calloc(MAX_KEYS + 1, sizeof(Field))
        if self.type.fields == NULL:
            raise MemoryError
        self.type.start = &self.type.fields[MAX_KEYS]
        # It is expected where nothing is known, and no key is as long.
        self.type.start.key_size = 0xFFFFFFFF
        self._forget_keys()

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.type.n_fields):
            _decref(<PyObject*>self.type.fields[i].object)
        free(self.type.fields)
        table_free(&self.type.names)
        free(self.decoder.scratch.data)
        free(self.decoder.items.data)

    cdef void _forget_keys(self) noexcept:
        cdef uint32_t i
        for i in range(self.type.n_fields):
            _decref(<PyObject*>self.type.fields[i].object)
        self.type.n_fields = 0
        self.type.start.next = self.type.start
        for i in range(<uint32_t>RL_FOLLOWERS):
            self.decoder.followers[i] = self.type.start
        table_clear(&self.type.names)
        self._kept = []
        self._missed = 0

    cdef int _learn(self, const Token* token, PyObject* key, const uint8_t* begin) except -1:
        """Know the key of a token from now on. Raises MemoryError, having learned nothing."""
        cdef uint32_t index = self.type.n_fields
        cdef Field* field = &self.type.fields[index]
        cdef bytes quoted
        # More than once in this payload?
        if rl_table_find(&self.type.names, token.of.text, token.size, begin) >= 0:
            return 0
        if index == MAX_KEYS or token.size > LONGEST_KEY:
            self._missed += 1
            return 0
        if PyObject_Hash(key) == -1:
            return -1
        quoted = b'"' + token.of.text[:token.size] + b'":'
        self._kept.append(quoted)
        memset(field, 0, sizeof(Field))
        set_key(field, quoted)
        field.next = self.type.start
        if table_add(&self.type.names, token.of.text, token.size) != <int32_t>index:
            raise MemoryError
        _incref(key)
        field.object = key
        self.type.n_fields = index + 1
        return 0

    cdef PyObject* _key(self, Token* token, const uint8_t* begin) noexcept:
        """A key that was not known, borrowed until the end of `decode`; NULL with an exception set."""
        token.kind -= RL_TOKEN_NEW_KEY
        try:
            key = _stolen(new_text(token))
            # It lives until then if it is not learned.
            self._loose.append(key)
            self._learn(token, <PyObject*>key, begin)
            return <PyObject*>key
        except MemoryError:
            return PyErr_NoMemory()

    cdef PyObject* _build(self, Token* kept, size_t n, const uint8_t* begin) noexcept:
        """A new reference to the value that n tokens describe; NULL with an exception set.

        What is in no object, but in an array or nowhere yet, is kept in tokens that are done with: the first `n_kept` of
        them.
        """
        cdef size_t n_kept = 0
        cdef Token* token = kept
        cdef Token* end = kept + n
        cdef RecentTexts recent = self._recent
        cdef Outside[RL_MAX_DEPTH] outside
        cdef Outside* around = outside
        cdef PyObject* mapping = NULL
        cdef PyObject* key = NULL
        cdef PyObject* made = NULL
        while token != end:
            if token.kind == RL_TOKEN_KEY:
                key = <PyObject*>token.of.object
                token += 1
            elif token.kind >= RL_TOKEN_NEW_KEY:
                key = self._key(token, begin)
                if key == NULL:
                    break
                token += 1
            if RL_TOKEN_ASCII <= token.kind <= RL_TOKEN_ESCAPED:
                made = text_object(recent, token, begin)
            elif token.kind == RL_TOKEN_OPEN_OBJECT or token.kind == RL_TOKEN_OPEN_ARRAY:
                around.mapping = mapping
                around.key = key
                around.first = n_kept
                around += 1
                mapping = NULL
                if token.kind == RL_TOKEN_OPEN_OBJECT:
                    mapping = PyDict_New()
                    if mapping == NULL:
                        break
                token += 1
                continue
            elif token.kind == RL_TOKEN_OBJECT:
                made = mapping
                around -= 1
                mapping = around.mapping
                key = around.key
            elif token.kind == RL_TOKEN_ARRAY:
                made = _list_of(kept + (around - 1).first, n_kept - (around - 1).first)
                if made == NULL:
                    break
                around -= 1
                n_kept = around.first
                mapping = around.mapping
                key = around.key
            elif token.kind == RL_TOKEN_INTEGER:
                made = PyLong_FromLongLong(token.of.integer)
            elif token.kind == RL_TOKEN_NUMBER:
                made = PyFloat_FromDouble(token.of.number)
            else:
                made = (
                    Py_None if token.kind == RL_TOKEN_NULL
                    else Py_True if token.kind == RL_TOKEN_TRUE
                    else Py_False)
                _incref(made)
            if made == NULL:
                break
            if mapping == NULL:
                kept[n_kept].of.object = made
                n_kept += 1
            else:
                if not _put(mapping, key, made):
                    _decref(made)
                    break
                _decref(made)
            token += 1
        else:
            return <PyObject*>kept.of.object
        while n_kept != 0:
            n_kept -= 1
            _decref(<PyObject*>kept[n_kept].of.object)
        _xdecref(mapping)
        while around != outside:
            around -= 1
            _xdecref(around.mapping)
        return NULL

    cdef PyObject* build(self, size_t first, size_t n, const uint8_t* begin) noexcept:
        """A new reference to what n tokens describe, number `first` the first of them; NULL with an exception set.

        They are used up. `begin` is that of the payload. While it runs, nothing may be read.
        """
        cdef PyObject* made = self._build(<Token*>self.decoder.items.data + first, n, begin)
        if len(self._loose) != 0:
            # Texts, whose end runs no code, whether an exception is set or not.
            PyList_SetSlice(<PyObject*>self._loose, 0, PY_SSIZE_T_MAX, NULL)
        return made

    cdef void before_reading(self) noexcept:
        """Keep what was learned, and the memory that was used, within bounds."""
        if self._missed > PATIENCE:
            self._forget_keys()
        if self.decoder.scratch.capacity > MAX_SCRATCH:
            free(self.decoder.scratch.data)
            memset(&self.decoder.scratch, 0, sizeof(Buffer))

    cdef object decode(self, const char* payload, Py_ssize_t n):
        """The object, or None for a payload that msgspec must look at."""
        cdef const uint8_t* p = <const uint8_t*>payload
        cdef size_t n_tokens
        cdef PyObject* made
        if self._busy:
            # By way of the garbage collector, which runs what it likes while a container is being made.
            return None
        self.before_reading()
        n_tokens = self.values(&self.decoder, p, p + n)
        if n_tokens == 0:
            return None
        self._busy = True
        made = self.build(0, n_tokens, p)
        self._busy = False
        return _stolen(made)

    def forget_order(self):
        """Unlearn all keys, and their order, so that decoding depends on nothing that came before."""
        if not self._busy:
            self._forget_keys()
