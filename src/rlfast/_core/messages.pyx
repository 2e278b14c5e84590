# cython: language_level=3
"""Message mode: the oldest payload of the queue, decoded when it is asked for."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rlfast._core.block cimport Block
from rlfast._core.queue cimport BlockQueue
from rlfast._core.objects cimport ObjectDecoder
from rlfast._core.waiter cimport Waiter

from asyncio import _get_running_loop, get_running_loop

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    ctypedef PySendResult (*sendfunc)(PyObject*, PyObject*, PyObject**) except PYGEN_ERROR
    ctypedef struct PyAsyncMethods:
        pass
    void _decref "Py_DECREF"(PyObject*)

cdef extern from "csrc/documents.h" nogil:
    const uint8_t* rl_next_document(const uint8_t** p, const uint8_t* end, const uint8_t** stop, uint8_t separator)

cdef extern from "am_send.h":
    int rlfast_install_am_send(PyTypeObject* type, PyAsyncMethods* slots, sendfunc send)


# What _take returns when no message is there; None is a message (JSON null).
cdef object NOTHING = object()


@cython.final
cdef class PayloadView:
    """One payload as a buffer, reused for every message.

    Borrows the bytes from a block and is valid only during the decode call that it is made for. `exports`
    tells whether a decoded value kept a reference to it (msgspec.Raw does).
    """

    cdef const char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t exports

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1


@cython.final
cdef class MessageReader:
    """The reading end of a `BlockQueue` in message mode.

    Args:
        queue: where the payloads come from.
        decode: callable, buffer -> value.
        recover: callable, (error, raw bytes, seq, rejection text or None) -> value to return instead; it may
            raise. Called for a message that `decode` refused or that was cut short.
        make_usage_error: callable, text -> exception, for calls that the state does not allow.
        make_compiled: callable, -> `ObjectDecoder` or None, called for the first message. That decoder is asked
            first; `decode` has what it does not take.
        separator: the byte that parts the documents of a message, which are then read one after the other; 0: a
            message is one.

    Attributes:
        check_caller: callable, name of a method -> None, that raises if a call may not wait here; None: it may.
        loop: the event loop in which a call may wait, whatever `check_caller` says; or None.
        go_on: callable, -> bool, that makes a stream which is over go on, if it can; or None.
    """

    cdef:
        readonly BlockQueue queue
        public object check_caller
        public object loop
        public object go_on
        bint end_told               # to a reader; the next one that asks makes the stream go on, if it can
        object decode
        object recover
        object make_usage_error
        object make_compiled
        ObjectDecoder compiled
        PayloadView view
        bint copy_payloads
        bint decoding
        uint8_t separator

    def __cinit__(
        self, BlockQueue queue not None, decode, recover, make_usage_error, make_compiled=None, uint8_t separator=0
    ):
        self.queue = queue
        self.decode = decode
        self.recover = recover
        self.make_usage_error = make_usage_error
        self.make_compiled = make_compiled
        self.separator = separator
        self.view = PayloadView.__new__(PayloadView)

    cdef object _decode_copied(self, const char* payload, Py_ssize_t n):
        return self.decode(PyBytes_FromStringAndSize(payload, n))

    cdef object _decode(self, const char* payload, Py_ssize_t n):
        if self.make_compiled is not None:
            make, self.make_compiled = self.make_compiled, None
            self.compiled = make()
        if self.compiled is not None:
            value = self.compiled.decode(payload, n)
            if value is not None:
                return value
        return self._decode_in_place(payload, n)

    cdef object _decode_in_place(self, const char* payload, Py_ssize_t n):
        cdef PayloadView view = self.view
        if self.copy_payloads:
            return self._decode_copied(payload, n)
        view.data = payload
        view.size = n
        value = self.decode(view)
        if view.exports != 0:
            # The value points into the block, which is about to be reused: decode again from a copy.
            self.copy_payloads = True
            self.view = PayloadView.__new__(PayloadView)
            value = self._decode_copied(payload, n)
        return value

    cdef object _take(self, bint stop_at_error):
        """The next message, decoded, or NOTHING. A message counts as consumed once it is decoded or refused."""
        cdef BlockQueue queue = self.queue
        cdef Block block
        cdef const char* payload
        cdef Py_ssize_t n
        cdef uint32_t index
        if queue.batch_mode:
            raise self.make_usage_error(
                "batches() is reading this connection; message mode and batch mode cannot be mixed: "
                "close the batch iterator (aclose) first")
        block = queue.head
        if block is None or block.taken == block.count:
            if not queue._has_message():
                return NOTHING
            block = queue.head
        index = block.taken
        payload = block.data + block.offsets[index]
        n = <Py_ssize_t>(block.offsets[index + 1] - block.offsets[index])
        if self.decoding:
            # The garbage collector runs what it likes while objects are made, and the payload must not go away.
            raise self.make_usage_error("a message was asked for by what the decoding of another one called")
        if self.separator:
            return self._take_document(stop_at_error)
        if block.rejected is None or block._rejection(index) is None:
            self.decoding = True
            try:
                value = self._decode(payload, n)
            except Exception as error:
                if stop_at_error:
                    return NOTHING
                return self._refuse(block, index, error)
            finally:
                self.decoding = False
            queue._consumed(n)
            return value
        if stop_at_error:
            return NOTHING
        return self._refuse(block, index, None)

    cdef object _take_document(self, bint stop_at_error):
        """The next document, decoded, or NOTHING. A message counts as consumed with its last one."""
        cdef BlockQueue queue = self.queue
        cdef Block block
        cdef const uint8_t* payload
        cdef const uint8_t* end
        cdef const uint8_t* p
        cdef const uint8_t* document
        cdef const uint8_t* stop = NULL
        cdef const uint8_t* behind
        cdef uint64_t seq
        cdef object failure
        while queue._has_message():
            block = queue.head
            if block.rejected is not None and block._rejection(block.taken) is not None:
                return NOTHING if stop_at_error else self._refuse(block, block.taken, None)
            seq = block.first_seq + block.taken
            p = payload = <const uint8_t*>block.data + block.offsets[block.taken]
            end = <const uint8_t*>block.data + block.offsets[block.taken + 1]
            document = rl_next_document(&p, end, &stop, self.separator)
            if document == NULL:
                queue._consumed(<size_t>(end - payload))
                continue
            failure = None
            self.decoding = True
            try:
                value = self._decode(<const char*>document, <Py_ssize_t>(stop - document))
            except Exception as error:
                if stop_at_error:
                    return NOTHING
                failure = error
                value = PyBytes_FromStringAndSize(<const char*>document, <Py_ssize_t>(stop - document))
            finally:
                self.decoding = False
            behind = p
            if rl_next_document(&behind, end, &stop, self.separator) == NULL:
                queue._consumed(<size_t>(end - payload))
            else:
                queue._consumed_part(<size_t>(p - payload))
            return value if failure is None else self.recover(failure, value, seq, None)
        return NOTHING

    cdef object _refuse(self, Block block, uint32_t index, object error):
        cdef bytes raw = block.payload(index)
        cdef object rejection = block._rejection(index)
        cdef object seq = block.first_seq + index
        self.queue._consumed(len(raw))
        return self.recover(error, raw, seq, rejection)

    def take_nowait(self, Py_ssize_t max_messages):
        """List of up to `max_messages` messages that are there; empty if there are none.

        A message that cannot be decoded ends the list before it; when it stands first, its error is raised.
        """
        cdef list out = []
        while len(out) < max_messages:
            value = self._take(len(out) > 0)
            if value is NOTHING:
                break
            out.append(value)
        return out

    cpdef bint is_over(self) except -1:
        """Whether the stream is over, for a reader that finds no message and tells its caller.

        Reading on after the end was told makes the stream go on, where it may.
        """
        if not self.queue.finished:
            return False
        if self.end_told and self.go_on is not None and self.go_on():
            self.end_told = False
            return False
        self.end_told = True
        return True

    cpdef Waiter wait(self, str call="next_message"):
        """What the next socket read, or the end of the stream, completes; `call` is who waits for it."""
        cdef Waiter waiter
        loop = _get_running_loop()
        if loop is None or loop is not self.loop:
            if self.check_caller is not None:
                self.check_caller(call)
            loop = get_running_loop()
        waiter = Waiter.__new__(Waiter, loop)
        if not self.queue.set_waiter(waiter):
            raise self.make_usage_error(
                "another task is already waiting for this connection's next message; "
                "read from one task and hand messages on through an asyncio.Queue")
        return waiter


cdef class MessageSource:
    """Base of a class that messages are read from, by way of its reader: no Python frame per message.

    Its methods and what they return keep the object alive, and the reader does not: no circle.
    """

    cdef public MessageReader _reader

    def next_message(self):
        """Awaitable of the next message, decoded; None when the stream is over.

        It completes without suspending when a message is there. Cancelling or timing out the await loses none.

        A JSON null is None, too. Where a stream may hold one, `async for` tells it from the end, and so do
        ``anext(ws)``, which raises StopAsyncIteration at the end, and `next_messages`.

        In typed mode an event of a type that is not known comes as an `UnknownEvent`.

        Raises:
            DecodeError: the message is not JSON or does not fit the type; the next call goes on behind it.
            MessageTooBigError: the message exceeded ``max_message_size``; the connection was closed with 1009.
            UsageError: another task waits for a message, or `batches` is reading; it would have to wait, and was
                called from elsewhere than its event loop.
        """
        return _message_of(self, False)

    def __aiter__(self):
        return self

    def __anext__(self):
        return _message_of(self, True)


cdef inline object _message_of(MessageSource source, bint iterating):
    cdef MessageAwaitable awaitable = MessageAwaitable.__new__(MessageAwaitable)
    if source._reader is None:
        raise RuntimeError("the object was made without __init__")
    awaitable.source = source
    awaitable.iterating = iterating
    return awaitable


@cython.final
@cython.freelist(8)
cdef class MessageAwaitable:
    """The await on one message. It holds no message, so that dropping or cancelling it loses none.

    When a message is there, the first send decodes and returns it without suspending; otherwise it waits
    for a future of the queue and looks again. It has the methods of a coroutine, so tasks and wait_for take it.
    """

    cdef:
        MessageSource source    # has a reader: `_message_of` has looked
        Waiter waiting      # that is awaited, or None
        bint iterating
        bint done

    cdef PySendResult _advance(self, PyObject** result) except PYGEN_ERROR:
        if self.done:
            raise RuntimeError("cannot await the same message twice; call next_message() again")
        while True:
            if self.waiting is None:
                self.done = True    # unless there is nothing yet; an error ends the await too
                value = self.source._reader._take(False)
                if value is not NOTHING:
                    Py_INCREF(value)
                    result[0] = <PyObject*>value
                    return PYGEN_RETURN
                if self.source._reader.is_over():
                    if self.iterating:
                        raise StopAsyncIteration
                    Py_INCREF(None)
                    result[0] = <PyObject*>None
                    return PYGEN_RETURN
                self.waiting = self.source._reader.wait()
                self.done = False
                self.waiting._asyncio_future_blocking = True
                Py_INCREF(self.waiting)
                result[0] = <PyObject*>self.waiting
                return PYGEN_NEXT
            if not self.waiting.completed:
                raise RuntimeError("the event loop does not wait for what is awaited")
            self.waiting = None

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        """Coroutine protocol: advance; raises StopIteration with the message."""
        cdef PyObject* result = NULL
        cdef PySendResult state = self._advance(&result)
        out = _steal(result)
        if state == PYGEN_RETURN:
            raise StopIteration(out)
        return out

    def throw(self, kind, value=None, traceback=None):
        """Coroutine protocol: an exception, such as a cancellation, ends the wait. No message is taken."""
        self.done = True
        self.waiting = None
        if value is None:
            value = kind() if isinstance(kind, type) else kind
        if traceback is not None:
            value = value.with_traceback(traceback)
        raise value

    def close(self):
        """Coroutine protocol: forget the wait."""
        self.done = True
        self.waiting = None


cdef object _steal(PyObject* result):
    """The object of a new reference."""
    cdef object out = <object>result
    _decref(result)
    return out


cdef PySendResult _awaitable_send(PyObject* self, PyObject* value, PyObject** result) except PYGEN_ERROR:
    return (<MessageAwaitable>self)._advance(result)


cdef PyAsyncMethods _awaitable_slots
rlfast_install_am_send(<PyTypeObject*>MessageAwaitable, &_awaitable_slots, &_awaitable_send)
