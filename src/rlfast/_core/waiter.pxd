# cython: language_level=3


cdef class Waiter:
    cdef:
        public object _asyncio_future_blocking  #: bool; asyncio's sign of what may be awaited
        object _loop                    #: asyncio.AbstractEventLoop
        object _callback                #: Callable[[Waiter], None] | None, the task's
        object _context                 #: contextvars.Context | None, of the callback
        object _message                 #: of the cancellation
        bint _cancelled
        readonly bint completed

    cpdef complete(self, bint at_once=*)
