# cython: language_level=3
"""What a task awaits while it waits for a message."""

cimport cython

import sys
from asyncio import CancelledError
from contextvars import copy_context

# Before 3.12 the function is written in Python, and costs as much as all of `complete`.
if sys.version_info >= (3, 12):
    from asyncio import current_task as _current_task
else:
    from asyncio.tasks import _current_tasks
    _current_task = _current_tasks.get


cdef _raise(error):
    raise error


@cython.final
@cython.freelist(8)
cdef class Waiter:
    """A future for one task, which may run before the event loop's next turn.

    asyncio's future has its task run in the next turn, behind another look at the selector, and that takes longer
    than everything else between a frame and its consumer. This one can run the task at once, in the
    callback of the socket read. It has what asyncio's tasks ask of a future, and is awaited by one of them.

    Args:
        loop: the running loop.

    Attributes:
        completed: the wait is over: there is something to look at, or it was cancelled.
    """

    def __cinit__(self, loop):
        self._loop = loop
        self._asyncio_future_blocking = False

    cpdef complete(self, bint at_once=False):
        """End the wait, if it is not over; the task runs in the loop's next turn.

        With `at_once` it runs before this returns, unless a task is running.
        """
        if self.completed:
            return
        self.completed = True
        callback, self._callback = self._callback, None
        if callback is None:
            return
        context, self._context = self._context, None
        if not at_once or _current_task(self._loop) is not None:
            self._loop.call_soon(callback, self, context=context)
            return
        try:
            context.run(callback, self)
        except RuntimeError:
            # The task's context is the one that the read runs in, and cannot be entered twice: nothing has run.
            self._loop.call_soon(callback, self, context=context)
        except BaseException as error:
            # What a task lets through, such as KeyboardInterrupt, is for the loop, and not for the frame loop.
            self._loop.call_soon(_raise, error)

    def done(self):
        """Whether the wait is over."""
        return self.completed

    def cancelled(self):
        """Whether it was cancelled."""
        return self._cancelled

    def result(self):
        """None. Raises asyncio.CancelledError."""
        if self._cancelled:
            raise CancelledError() if self._message is None else CancelledError(self._message)

    def cancel(self, msg=None):
        """Cancel the wait; the task runs in the loop's next turn. Returns False if the wait was over."""
        if self.completed:
            return False
        self._cancelled = True
        self._message = msg
        self.complete()
        return True

    def get_loop(self):
        """The loop of the task."""
        return self._loop

    def add_done_callback(self, callback, *, context=None):
        """Call `callback` with this object when the wait is over. There is one callback: the task's."""
        if self._callback is not None:
            raise RuntimeError("another task awaits this already")
        if context is None:
            context = copy_context()
        if self.completed:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._callback = callback
            self._context = context

    def remove_done_callback(self, callback):
        """Forget the callback; returns how many there were."""
        if self._callback != callback:
            return 0
        self._callback = self._context = None
        return 1

    def __await__(self):
        if self._callback is not None:
            raise RuntimeError("another task awaits this already")
        if not self.completed:
            self._asyncio_future_blocking = True
            yield self
        if not self.completed:
            raise RuntimeError("the event loop does not wait for what is awaited")
        self.result()

    def __iter__(self):
        return self.__await__()
