# cython: language_level=3
from libc.stdint cimport uint32_t

from cpython.object cimport PyObject, PyTypeObject

from rlfast._core.columns cimport StringTable
from rlfast._core.plan cimport Field, Types


cdef enum Made:
    # What the object is that a value becomes, where its token leaves that open.
    MADE_AS_TOKEN
    MADE_LIST
    MADE_TUPLE
    MADE_SET
    MADE_FROZENSET
    MADE_BYTES
    MADE_BYTEARRAY
    MADE_MEMORYVIEW
    # Of those with fields:
    MADE_STRUCT         # references are written to its slots
    MADE_DATACLASS      # attributes are set
    MADE_NAMED_TUPLE
    MADE_FIXED_TUPLE
    MADE_TYPED_DICT


cdef struct Node:
    # What a value becomes, parallel to an rl_field. It borrows references from the plan, which `NodeTree` keeps. What most
    # values ask for comes first, and the whole is small: the nodes of a large type shall stay in the nearest cache.
    Made made
    int luck                # of texts, see field_text
    Py_ssize_t offset       # in the struct that holds it, of the reference
    PyObject* fallback      # what an absent field holds; NULL: what `factory` makes, or a new list without one
    Node* item              # owned; of a list or a map
    Shape* shapes           # owned; of what has fields: in the order of the rl_types
    PyObject** objects      # owned; one for each of the strings, or choices
    StringTable* strings    # owned; the only texts that occur, or NULL
    PyObject* name          # the attribute, or key
    PyObject* factory
    PyObject* decode        # of RL_TOKEN_JSON: callable, bytes -> object
    uint32_t n_shapes


cdef struct Shape:
    Made made
    PyTypeObject* type      # borrowed as above; NULL of MADE_FIXED_TUPLE and MADE_TYPED_DICT
    Node* nodes             # owned; one for each field but the tag
    uint32_t n_nodes
    bint collected          # whether the garbage collector knows such objects
    bint is_plain           # see rl_is_plain_type
    PyObject* post_init     # callable, or NULL


cdef class NodeTree:
    cdef:
        Node root           # whose shapes are those of the messages
        object _plan        # keeps what the nodes borrow

    cdef int fill(self, Types* types, object parts) except -1
