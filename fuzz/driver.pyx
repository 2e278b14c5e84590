# cython: language_level=3
"""libFuzzer, with a Python callable as its target. The module also carries the instrumented extensions."""

import sys
import traceback

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.stdlib cimport abort, malloc

cdef extern from *:
    int LLVMFuzzerRunDriver(int* argc, char*** argv, int (*callback)(const uint8_t*, size_t) noexcept)

cdef object _target = None


cdef int _callback(const uint8_t* data, size_t n) noexcept:
    try:
        _target(<bytes>data[:n])
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        abort()
    return 0


def run(arguments, target):
    """Fuzz `target`, a callable that takes bytes; the arguments are libFuzzer's. Does not return."""
    global _target
    cdef int argc = <int>len(arguments) + 1
    cdef int i
    # Never freed: libFuzzer keeps them.
    cdef char** argv = <char**>malloc((<size_t>argc + 1) * sizeof(char*))
    _target = target
    kept = [b"rlfast", *(argument.encode() for argument in arguments)]
    for i in range(argc):
        argv[i] = kept[i]
    argv[argc] = NULL
    LLVMFuzzerRunDriver(&argc, &argv, _callback)
