# cython: language_level=3
"""The last messages of a stream, kept as they came: for a cursor that the next connection begins from."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove

from rlfast._core.block cimport Block, BlockTap, MessageScreen

cdef struct Entry:
    uint64_t seq
    size_t start            # in the data; the payload ends where the next one begins


cdef bint _holds(const char* text, size_t n, const char* part, size_t k) noexcept nogil:
    """Whether `part` is somewhere in a text."""
    cdef const char* end = text + n
    while <size_t>(end - text) >= k:
        text = <const char*>memchr(text, part[0], <size_t>(end - text) - k + 1)
        if text == NULL:
            return False
        if memcmp(text, part, k) == 0:
            return True
        text += 1
    return False


@cython.final
cdef class RecentMessages(BlockTap):
    """Copies of the last messages that hold a text, with their sequence numbers, oldest first.

    Owns the copies. A watcher of a queue, or filled by `add`, by a decoder.

    Args:
        text: which messages; all if it is empty.
        max_messages, max_bytes: how much is kept, if there was so much: up to twice that, and two messages.

    Attributes:
        trims: whether it forgets older ones by itself; otherwise by `trim` only.
        on_trim: called with how many are about to be forgotten, or None.
    """

    cdef:
        char* _data
        size_t _size
        size_t _capacity
        Entry* _entries
        size_t _count
        size_t _entries_capacity
        bytes _text
        size_t _max_messages
        size_t _max_bytes
        public bint trims
        public object on_trim           #: Callable[[int], object] | None

    def __cinit__(self, bytes text not None, size_t max_messages, size_t max_bytes):
        self._text = text
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.trims = True

    def __dealloc__(self):
        free(self._data)
        free(self._entries)

    cdef bint see(self, Block block, uint32_t start, uint32_t stop, int64_t received_at) except -1:
        self._add(block, start, stop)
        return True

    def add(self, Block block not None, uint32_t start, uint32_t stop):
        """Copy messages [start, stop) of a block, behind those that are there."""
        if start > stop or stop > block.count:
            raise IndexError(f"messages [{start}, {stop}) of a block with {block.count}")
        self._add(block, start, stop)

    cdef inline bint _wants(self, const char* payload, size_t n) noexcept:
        cdef size_t k = <size_t>len(self._text)
        return k == 0 or _holds(payload, n, self._text, k)

    cdef int _add(self, Block block, uint32_t start, uint32_t stop) except -1:
        cdef const char* payload
        cdef size_t n
        cdef uint32_t i
        for i in range(start, stop):
            payload = block.data + block.offsets[i]
            n = block.offsets[i + 1] - block.offsets[i]
            if not self._wants(payload, n):
                continue
            if self.trims and self._count and (
                    self._count >= 2 * self._max_messages or self._size + n > 2 * self._max_bytes):
                self.trim()
            self._reserve(n)
            memcpy(self._data + self._size, payload, n)
            self._entries[self._count].seq = block.first_seq + i
            self._entries[self._count].start = self._size
            self._count += 1
            self._size += n
        return 0

    cdef int _reserve(self, size_t n) except -1:
        cdef void* grown
        cdef size_t wanted
        if self._count == self._entries_capacity:
            wanted = 2 * self._entries_capacity + 64
            grown = realloc(self._entries, wanted * sizeof(Entry))
            if grown == NULL:
                raise MemoryError("cannot keep the last messages of a stream")
            self._entries, self._entries_capacity = <Entry*>grown, wanted
        if self._size + n > self._capacity or self._data == NULL:
            wanted = max(self._size + n, 2 * self._capacity, <size_t>4096)
            grown = realloc(self._data, wanted)
            if grown == NULL:
                raise MemoryError(f"cannot keep a message of {n} bytes")
            self._data, self._capacity = <char*>grown, wanted
        return 0

    def trim(self):
        """Forget all but the last messages: `max_messages`, or `max_bytes`, and at least one."""
        cdef size_t first = self._count
        cdef size_t start = self._size
        cdef size_t i
        while first and (first == self._count or (
                self._count - first < self._max_messages
                and self._size - self._entries[first - 1].start <= self._max_bytes)):
            first -= 1
            start = self._entries[first].start
        if first == 0:
            return
        if self.on_trim is not None:
            self.on_trim(first)
        memmove(self._data, self._data + start, self._size - start)
        memmove(self._entries, self._entries + first, (self._count - first) * sizeof(Entry))
        self._count -= first
        self._size -= start
        for i in range(self._count):
            self._entries[i].start -= start

    def __len__(self):
        return self._count

    def seq(self, size_t index):
        """Sequence number of a message, as it was when it was seen."""
        if index >= self._count:
            raise IndexError(f"{index} of {self._count} messages")
        return self._entries[index].seq

    def payload(self, size_t index):
        """Copy of a message."""
        cdef size_t end = self._size
        if index >= self._count:
            raise IndexError(f"{index} of {self._count} messages")
        if index + 1 < self._count:
            end = self._entries[index + 1].start
        return PyBytes_FromStringAndSize(
            self._data + self._entries[index].start, <Py_ssize_t>(end - self._entries[index].start))


@cython.final
cdef class CallScreen(MessageScreen):
    """Asks a callable about each message.

    Args:
        decide: callable, payload -> whether the message belongs into the stream.
    """

    cdef object decide                  #: Callable[[bytes], bool]

    def __cinit__(self, decide):
        self.decide = decide

    cdef bint takes(self, const char* payload, size_t n) except -1:
        return self.decide(PyBytes_FromStringAndSize(payload, <Py_ssize_t>n))
