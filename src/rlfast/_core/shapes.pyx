# cython: language_level=3
"""What the values of a message become, as C structs beside those of the compiled plan."""

cimport cython
from libc.stdlib cimport calloc, free

from rlfast._core.columns cimport random_seed, table_add, table_free
from rlfast._core.objects cimport rl_is_plain_type
from rlfast._core.plan cimport Type

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
    bint PyType_HasFeature(PyTypeObject* type, unsigned long feature)
    Py_ssize_t _basic_size "RLFAST_BASIC_SIZE"(PyTypeObject* type)

cdef extern from *:
    """
    #define RLFAST_BASIC_SIZE(type) ((type)->tp_basicsize)
    """


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


cdef dict _made_of_values = {
    list: MADE_LIST, tuple: MADE_TUPLE, set: MADE_SET, frozenset: MADE_FROZENSET,
    bytes: MADE_BYTES, bytearray: MADE_BYTEARRAY, memoryview: MADE_MEMORYVIEW,
}


cdef Made _made_of_fields(object cls) except *:
    """What has fields and is of class `cls`."""
    if cls is tuple:
        return MADE_FIXED_TUPLE
    if cls is dict:
        return MADE_TYPED_DICT
    if issubclass(cls, tuple):
        return MADE_NAMED_TUPLE
    return MADE_STRUCT if hasattr(cls, "__struct_fields__") else MADE_DATACLASS


cdef void _free_node(Node* node) noexcept:
    cdef uint32_t i, j
    if node.strings != NULL:
        table_free(node.strings)
        free(node.strings)
    free(node.objects)
    if node.item != NULL:
        _free_node(node.item)
        free(node.item)
    if node.shapes != NULL:
        for i in range(node.n_shapes):
            for j in range(node.shapes[i].n_nodes):
                _free_node(&node.shapes[i].nodes[j])
            free(node.shapes[i].nodes)
        free(node.shapes)


cdef int _list_objects(Node* node, object part) except -1:
    """The objects that the value's texts, or integers, stand for, and the texts."""
    cdef Py_ssize_t code
    node.objects = <PyObject**>calloc(<size_t>len(part.objects) + 1, sizeof(PyObject*))
    if node.objects == NULL:
        raise MemoryError
    for code, value in enumerate(part.objects):
        node.objects[code] = <PyObject*>value
    if part.categories is None:
        return 0
    node.strings = <StringTable*>calloc(1, sizeof(StringTable))
    if node.strings == NULL:
        raise MemoryError
    node.strings.seed[0] = random_seed()
    node.strings.seed[1] = random_seed()
    for code, category in enumerate(part.categories):
        text = category.encode()
        if table_add(node.strings, text, <size_t>len(text)) != code:
            raise MemoryError
    return 0


cdef int _fill_node(Node* node, Field* field, object part) except -1:
    """Describe what the value of a field becomes, and those inside it."""
    node.made = _made_of_values.get(part.made, MADE_AS_TOKEN) if not part.is_array else MADE_AS_TOKEN
    node.name = <PyObject*>part.attribute
    if part.factory is not None:
        if part.factory is not list:
            node.factory = <PyObject*>part.factory
    else:
        node.fallback = <PyObject*>part.default
    if part.decode is not None:
        node.decode = <PyObject*>part.decode
    if part.objects:
        _list_objects(node, part)
        if part.categories is not None:
            field.strings = node.strings
    if field.item != NULL:
        node.item = <Node*>calloc(1, sizeof(Node))
        if node.item == NULL:
            raise MemoryError
        _fill_node(node.item, field.item, part.children[0])
    elif field.types != NULL:
        _fill_shapes(node, field.types, part.children if part.kind.name == "UNION" else (part,))
    return 0


cdef int _fill_shapes(Node* node, Types* types, object parts) except -1:
    cdef uint32_t i, j
    cdef Shape* shape
    cdef Type* type
    node.shapes = <Shape*>calloc(types.n_types, sizeof(Shape))
    if node.shapes == NULL:
        raise MemoryError
    for i in range(types.n_types):
        part = parts[i]
        shape = &node.shapes[i]
        type = &types.types[i]
        node.n_shapes = i + 1
        if part.always_fallback:
            continue
        shape.made = _made_of_fields(part.made)
        type.ordered = shape.made == MADE_TYPED_DICT
        if shape.made != MADE_FIXED_TUPLE and shape.made != MADE_TYPED_DICT:
            shape.type = <PyTypeObject*>part.made
            shape.collected = PyType_HasFeature(shape.type, Py_TPFLAGS_HAVE_GC)
            shape.is_plain = rl_is_plain_type(shape.type)
        if part.post_init is not None:
            shape.post_init = <PyObject*>part.post_init
        shape.nodes = <Node*>calloc(<size_t>len(part.children) + 1, sizeof(Node))
        if shape.nodes == NULL:
            raise MemoryError
        shape.n_nodes = <uint32_t>len(part.children)
        for j in range(shape.n_nodes):
            field = part.children[j]
            if shape.made == MADE_STRUCT:
                shape.nodes[j].offset = _offset_of(part.made, field.attribute)
            _fill_node(&shape.nodes[j], &type.fields[j], field)
    return 0


@cython.final
cdef class NodeTree:
    """What the messages of a plan become. Owns the nodes, and keeps the plan, whose objects they borrow."""

    def __cinit__(self, plan not None):
        self._plan = plan

    def __dealloc__(self):
        _free_node(&self.root)

    cdef int fill(self, Types* types, object parts) except -1:
        """Describe the structs of `types`, whose parts are given; the types then borrow texts from here. To be called once."""
        return _fill_shapes(&self.root, types, parts)
