# cython: language_level=3
"""A thread that runs a compiled plan over blocks, and never waits for the GIL to do it.

A thread of a ThreadPoolExecutor would: while the event loop works through one socket read after the other, a
waiting thread gets the GIL after 5 ms (`sys.getswitchinterval`), several times as long as the work takes.
"""

import threading

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from rlfast._core.plan cimport Decoder, Kernel, Run

cdef extern from "pythread.h" nogil:
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait)
    void PyThread_release_lock(PyThread_type_lock lock)

cdef extern from *:
    """
    #ifdef _WIN32
    #include <winsock2.h>
    #define rl_notify(fd) send((SOCKET)(fd), "", 1, 0)
    #else
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #define rl_notify(fd) (void)!send((fd), "", 1, MSG_NOSIGNAL)
    #endif
    """
    void rl_notify(int fd) nogil


cdef uint64_t run_kernel(Kernel kernel, Decoder* decoder, Run* runs, Py_ssize_t n) noexcept nogil:
    """Run the plan over n runs, or up to the first message that it does not take. Returns how many it took."""
    cdef uint64_t taken = 0
    cdef uint32_t start
    cdef Py_ssize_t i
    for i in range(n):
        start = runs[i].at
        kernel(decoder, &runs[i])
        taken += runs[i].at - start
        if runs[i].at < runs[i].end:
            break
    return taken


@cython.final
@cython.auto_pickle(False)
cdef class PlanThread:
    """Runs what is submitted to it, one submission at a time. Owns its locks; ends with `stop`.

    Args:
        notify: connected socket; one byte is sent into it when a submission is done.
    """

    def __cinit__(self, notify):
        self._work = PyThread_allocate_lock()
        self._busy = PyThread_allocate_lock()
        if self._work == NULL or self._busy == NULL:
            raise MemoryError
        PyThread_acquire_lock(self._work, 1)
        self._socket = notify
        self._fd = notify.fileno()

    def __dealloc__(self):
        # The thread holds a reference as long as it runs.
        if self._work != NULL:
            PyThread_free_lock(self._work)
        if self._busy != NULL:
            PyThread_free_lock(self._busy)

    def start(self):
        """Start the thread. As a daemon: at the interpreter's end it waits for work, and needs nothing."""
        threading.Thread(target=self._run, name="rlfast-decode", daemon=True).start()

    def stop(self):
        """Wait for its work, and end the thread. The socket may be closed after that."""
        with nogil:
            PyThread_acquire_lock(self._busy, 1)
        self._stop = True
        PyThread_release_lock(self._busy)
        PyThread_release_lock(self._work)

    def _run(self):
        with nogil:
            self._loop()

    cdef void _loop(self) noexcept nogil:
        while True:
            PyThread_acquire_lock(self._work, 1)
            if self._stop:
                return
            self._taken = run_kernel(self._kernel, self._decoder, self._runs, self._n_runs)
            PyThread_release_lock(self._busy)
            rl_notify(self._fd)

    cdef int submit(self, object owner, Kernel kernel, Decoder* decoder, Run* runs, Py_ssize_t n) except -1:
        """Have the runs decoded. `owner` is kept until `collect`; the pointers must be good as long as it lives."""
        if self.running:
            raise RuntimeError("the last submission was not collected")
        PyThread_acquire_lock(self._busy, 1)
        self._owner = owner
        self._kernel = kernel
        self._decoder = decoder
        self._runs = runs
        self._n_runs = n
        self.running = True
        PyThread_release_lock(self._work)
        return 0

    cdef uint64_t collect(self) except? 0xFFFFFFFFFFFFFFFF:
        """Wait for the end of the submission. Returns how many messages were taken."""
        with nogil:
            PyThread_acquire_lock(self._busy, 1)
            PyThread_release_lock(self._busy)
        self.running = False
        self._owner = None
        return self._taken
