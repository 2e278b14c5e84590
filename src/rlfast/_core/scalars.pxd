# cython: language_level=3
from cpython.object cimport PyObject

from rlfast._core.plan cimport Token
from rlfast._core.shapes cimport Made


cdef PyObject* scalar_object(const Token* token, Made made) noexcept
