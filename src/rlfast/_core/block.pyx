# cython: language_level=3
"""Blocks of raw payloads, and what sees them before their consumer does."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        int64_t tv_sec
        long tv_nsec
    int timespec_get(timespec* ts, int base)
    int TIME_UTC


cdef int64_t wall_clock_ns() noexcept nogil:
    cdef timespec ts
    timespec_get(&ts, TIME_UTC)
    return ts.tv_sec * 1_000_000_000 + ts.tv_nsec


@cython.final
cdef class Block:
    """An append-only run of raw payloads of one connection epoch, with contiguous sequence numbers.

    Owns its bytes, offsets (uint32, count + 1 of them) and read stamps until it is deallocated. It is written by
    its queue while it is the queue's last block, or by whoever reads stored messages back into an empty one.

    Pointers into it stay valid until it is shrunk, which happens once, when no more will be appended, or its
    messages are renumbered; neither while a decoder has it.
    """

    def __cinit__(self, size_t capacity):
        self.data = <char*>malloc(capacity if capacity else 1)
        self.offsets_capacity = 1024
        self.offsets = <uint32_t*>malloc(self.offsets_capacity * sizeof(uint32_t))
        self.stamps_capacity = 16
        self.stamps = <ReadStamp*>malloc(self.stamps_capacity * sizeof(ReadStamp))
        if self.data == NULL or self.offsets == NULL or self.stamps == NULL:
            raise MemoryError(f"cannot allocate a block of {capacity} bytes")
        self.capacity = capacity
        self._reset(0, 0)

    def __dealloc__(self):
        free(self.data)
        free(self.offsets)
        free(self.stamps)

    cdef void _reset(self, uint64_t first_seq, uint32_t epoch) noexcept:
        self.size = 0
        self.count = 0
        self.taken = 0
        self.n_stamps = 0
        self.n_stamped = 0
        self.n_tapped = 0
        self.offsets[0] = 0
        self.first_seq = first_seq
        self.epoch = epoch
        self.rejected = None

    cdef int _reserve_message(self) except -1:
        cdef uint32_t* grown
        if self.count + 2 <= self.offsets_capacity:
            return 0
        grown = <uint32_t*>realloc(self.offsets, 2 * self.offsets_capacity * sizeof(uint32_t))
        if grown == NULL:
            raise MemoryError("cannot grow the offsets of a block")
        self.offsets = grown
        self.offsets_capacity *= 2
        return 0

    cdef int _append(self, const char* payload, size_t n) except -1:
        memcpy(self.data + self.size, payload, n)
        return self._append_in_place(n)

    cdef int _append_in_place(self, size_t n) except -1:
        """The n bytes behind the last message are a message."""
        assert self.size + n <= self.capacity
        if self.count + 2 > self.offsets_capacity:
            self._reserve_message()
        self.size += n
        self.count += 1
        self.offsets[self.count] = <uint32_t>self.size
        return 0

    cdef void _shrink(self) noexcept:
        """Give back the memory behind what is stored. Pointers into the block are invalid afterwards."""
        cdef void* shrunk
        # A realloc to a smaller size that fails leaves everything as it is.
        shrunk = realloc(self.data, self.size if self.size else 1)
        if shrunk != NULL:
            self.data = <char*>shrunk
            self.capacity = self.size
        shrunk = realloc(self.offsets, (self.count + 1) * sizeof(uint32_t))
        if shrunk != NULL:
            self.offsets = <uint32_t*>shrunk
            self.offsets_capacity = self.count + 1
        shrunk = realloc(self.stamps, (self.n_stamps + 1) * sizeof(ReadStamp))
        if shrunk != NULL:
            self.stamps = <ReadStamp*>shrunk
            self.stamps_capacity = self.n_stamps + 1

    cdef int _stamp(self, int64_t now) except -1:
        cdef ReadStamp* grown
        if self.n_stamped == self.count:
            return 0
        if self.n_stamps == self.stamps_capacity:
            grown = <ReadStamp*>realloc(self.stamps, 2 * self.stamps_capacity * sizeof(ReadStamp))
            if grown == NULL:
                raise MemoryError("cannot grow the read stamps of a block")
            self.stamps = grown
            self.stamps_capacity *= 2
        self.stamps[self.n_stamps].count = self.count - self.n_stamped
        self.stamps[self.n_stamps].received_at = now
        self.n_stamps += 1
        self.n_stamped = self.count
        return 0

    cdef void _forget_taken(self) noexcept:
        """Remove the messages that were handed out. Pointers into the block are invalid afterwards."""
        cdef uint32_t n = self.taken
        cdef uint32_t start = self.offsets[n]
        cdef uint32_t left = n
        cdef uint32_t read = 0
        cdef uint32_t i
        if n == 0:
            return
        memmove(self.data, self.data + start, self.size - start)
        for i in range(self.count - n + 1):
            self.offsets[i] = self.offsets[i + n] - start
        while read < self.n_stamps and self.stamps[read].count <= left:
            left -= self.stamps[read].count
            read += 1
        if read < self.n_stamps:
            self.stamps[read].count -= left
        memmove(self.stamps, self.stamps + read, (self.n_stamps - read) * sizeof(ReadStamp))
        self.n_stamps -= read
        self.n_tapped -= min(read, self.n_tapped)
        self.n_stamped -= min(n, self.n_stamped)
        if self.rejected is not None:
            self.rejected = [(index - n, error) for index, error in self.rejected if index >= n]
        self.first_seq += n
        self.count -= n
        self.size -= start
        self.taken = 0

    cdef str _rejection(self, uint32_t index):
        """The error of a message that was cut short, or None for a whole one."""
        if self.rejected is not None:
            for rejected_index, error in self.rejected:
                if rejected_index == index:
                    return error
        return None

    cdef uint32_t _next_rejected(self, uint32_t index) except? 0:
        """Index of the first message at or behind `index` that was cut short; `count` if there is none."""
        for rejected_index, _ in self.rejected:
            if rejected_index >= index:
                return rejected_index
        return self.count

    def __len__(self):
        return self.count

    @property
    def nbytes(self):
        """Payload bytes in the block."""
        return self.size

    def span_bytes(self, uint32_t start, uint32_t stop):
        """Payload bytes of messages [start, stop)."""
        if start > stop or stop > self.count:
            raise IndexError(f"messages [{start}, {stop}) of a block with {self.count}")
        return self.offsets[stop] - self.offsets[start]

    def payload(self, uint32_t index):
        """Copy of payload `index` as bytes."""
        if index >= self.count:
            raise IndexError(f"block has {self.count} messages, no index {index}")
        return PyBytes_FromStringAndSize(
            self.data + self.offsets[index], self.offsets[index + 1] - self.offsets[index])

    def fill(self, list payloads not None, uint64_t first_seq, dict rejected not None):
        """Copy payloads, from sequence number `first_seq` on; `rejected` has the error of each that is a prefix.

        For an empty block that no queue has.

        Raises:
            ValueError: there is no room.
        """
        cdef bytes payload
        for payload in payloads:
            if <size_t>len(payload) > self.capacity - self.size:
                raise ValueError(f"a block of {self.capacity} bytes has no room for {len(payload)} more")
            self._append(payload, len(payload))
        self.first_seq = first_seq
        self.rejected = sorted(rejected.items()) if rejected else None
        self._stamp(0)

    def read_stamps(self):
        """List of (messages, received_at in ns since 1970), one per socket read."""
        cdef uint32_t i
        return [(self.stamps[i].count, self.stamps[i].received_at) for i in range(self.n_stamps)]


cdef class BlockTap:
    """Sees every message of a queue before its consumer does, one socket read at a time: a journal."""

    cdef bint see(self, Block block, uint32_t start, uint32_t stop, int64_t received_at) except -1:
        """Store messages [start, stop), which one socket read completed. Returns whether they are stored."""
        raise NotImplementedError

    cdef bint read_back(self, Block block) except -1:
        """Append stored messages to an empty block, from its first_seq on; set its epoch. False if it cannot."""
        raise NotImplementedError


cdef class MessageScreen:
    """Looks at each message before it is in a queue and has a number; `next` is the screen behind it."""

    cdef bint takes(self, const char* payload, size_t n) except -1:
        """Whether the message belongs into the stream. The payload is borrowed.

        A block is being written: no object may be made here that the garbage collector tracks, because a
        finalizer that it runs may read from the queue.
        """
        raise NotImplementedError

    cdef int end_read(self) except -1:
        """A socket read is over, and its messages are in the queue: what takes long, or runs Python, is done now."""
        return 0
