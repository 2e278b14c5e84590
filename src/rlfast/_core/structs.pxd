# cython: language_level=3
from libc.stdint cimport uint8_t

from cpython.object cimport PyObject

from rlfast._core.objects cimport ObjectDecoder, RecentTexts
from rlfast._core.plan cimport CompiledPlan, Token
from rlfast._core.shapes cimport Node, NodeTree, Shape
from rlfast._core.values cimport ValueDecoder


cdef class StructDecoder(ObjectDecoder):
    cdef:
        CompiledPlan _plan
        NodeTree _tree
        Node* _root       # of a message; borrowed from `_tree`
        const uint8_t* _begin   # of the payload that is being decoded
        RecentTexts _recent
        ValueDecoder _values    # of values without a type, inside of messages

    cdef PyObject* _value(self, Node* node, const Token* token) noexcept
    cdef PyObject* _absent(self, Node* node) noexcept
    cdef PyObject* _alone(self, Node* node, const Token* token) noexcept
    cdef PyObject* _list(self, Node* node, const Token* token) noexcept
    cdef PyObject* _tuple(self, Node* node, const Token* token) noexcept
    cdef PyObject* _set(self, Node* node, const Token* token) noexcept
    cdef PyObject* _map(self, Node* node, const Token* token) noexcept
    cdef PyObject* _fields(self, Shape* shape, const Token* tokens) noexcept
    cdef PyObject* _struct(self, Shape* shape, const Token* tokens) noexcept
    cdef PyObject* _fixed_tuple(self, Shape* shape, const Token* tokens) noexcept
    cdef int _call_post_init(self, PyObject* post_init, PyObject* made) noexcept
    cdef object _refused(self)
    cdef int _set_attributes(self, PyObject* made, Shape* shape, const Token* tokens) noexcept
    cdef PyObject* _typed_dict(self, Shape* shape, const Token* tokens) noexcept
    cdef object decode(self, const char* payload, Py_ssize_t n)
