# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from rlfast._core.plan cimport Decoder, Kernel, Run


cdef extern from "pythread.h" nogil:
    ctypedef void* PyThread_type_lock


cdef uint64_t run_kernel(Kernel kernel, Decoder* decoder, Run* runs, Py_ssize_t n) noexcept nogil


cdef class PlanThread:
    cdef:
        # Held while there is nothing to do; whoever submits work releases it, the thread takes it again.
        PyThread_type_lock _work
        # Held from a submission to its end: who has taken it sees all that the thread has written.
        PyThread_type_lock _busy
        # The submission, until it is collected.
        object _owner                   # of all that the pointers below point to, directly or not
        Kernel _kernel
        Decoder* _decoder
        Run* _runs
        Py_ssize_t _n_runs
        uint64_t _taken
        bint _stop
        int _fd                         # where a byte is written at the end of each submission
        readonly bint running           # between submit and collect
        object _socket                  #: socket.socket, what keeps _fd open

    cdef int submit(self, object owner, Kernel kernel, Decoder* decoder, Run* runs, Py_ssize_t n) except -1
    cdef uint64_t collect(self) except? 0xFFFFFFFFFFFFFFFF
    cdef void _loop(self) noexcept nogil
