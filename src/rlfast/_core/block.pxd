# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "csrc/plan.h":
    ctypedef struct ReadStamp "rl_stamp":
        # One socket read: how many messages of the block it completed, and when it was seen.
        uint32_t count
        int64_t received_at     # nanoseconds since 1970-01-01 UTC


cdef int64_t wall_clock_ns() noexcept nogil


cdef class Block:
    cdef:
        # Owned by the block, freed in __dealloc__. Payload i is data[offsets[i]:offsets[i + 1]].
        char* data
        uint32_t* offsets
        ReadStamp* stamps

        size_t size
        size_t capacity
        uint32_t offsets_capacity
        uint32_t stamps_capacity
        readonly uint32_t count
        readonly uint32_t taken         # messages already handed out in message mode
        uint32_t n_stamps
        uint32_t n_stamped              # messages that the stamps cover
        readonly uint64_t first_seq
        readonly uint32_t epoch
        bint detached                   # taken out of its queue, to be given back
        uint32_t n_tapped               # stamps that the queue's tap has seen
        #: list[tuple[int, str]] | None, (index, error) of messages whose payload is only a prefix
        list rejected

    cdef int _reserve_message(self) except -1
    cdef int _append(self, const char* payload, size_t n) except -1
    cdef int _append_in_place(self, size_t n) except -1
    cdef void _shrink(self) noexcept
    cdef int _stamp(self, int64_t now) except -1
    cdef void _reset(self, uint64_t first_seq, uint32_t epoch) noexcept
    cdef void _forget_taken(self) noexcept
    cdef str _rejection(self, uint32_t index)
    cdef uint32_t _next_rejected(self, uint32_t index) except? 0


cdef class BlockTap:
    cdef bint see(self, Block block, uint32_t start, uint32_t stop, int64_t received_at) except -1
    cdef bint read_back(self, Block block) except -1


cdef class MessageScreen:
    cdef public MessageScreen next      # asked about what this one takes, or None

    cdef bint takes(self, const char* payload, size_t n) except -1
    cdef int end_read(self) except -1
