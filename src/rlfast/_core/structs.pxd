# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from cpython.object cimport PyObject, PyTypeObject

from rlfast._core.columns cimport StringTable
from rlfast._core.objects cimport ObjectDecoder, RecentTexts
from rlfast._core.plan cimport Token, CompiledPlan


cdef struct Slot:
    Py_ssize_t offset       # in the struct, of the reference
    PyObject* fallback      # borrowed from `_kept`: what an absent field holds; NULL: a new list
    PyObject** objects      # owned by the decoder: a reference, borrowed from `_kept`, for each of the strings
    StringTable strings     # owned by the decoder; the only texts that occur, if there are any


cdef struct Shape:
    PyTypeObject* type      # borrowed from `_kept`
    Slot* slots             # owned by the decoder; one for each field but the tag
    uint32_t n_slots
    bint collected          # whether the garbage collector knows such objects


cdef class StructDecoder(ObjectDecoder):
    cdef:
        CompiledPlan _plan
        Shape* _shapes      # owned; in the order of the plan's types
        uint32_t _n_shapes
        Token* _tokens        # owned; as many as the largest struct has fields, with the tag
        RecentTexts _recent
        list _kept          #: list[object], what is borrowed above

    cdef int _add_shape(self, object plan, uint32_t index) except -1
    cdef object _build(self, const Shape* shape, const uint8_t* begin)
    cdef object decode(self, const char* payload, Py_ssize_t n)
