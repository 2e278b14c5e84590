# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rlfast._core.block cimport Block, BlockTap, MessageScreen
from rlfast._core.waiter cimport Waiter


cdef extern from "csrc/frames.h":
    ctypedef struct MessageRun "rl_messages":
        uint8_t* data
        size_t size
        size_t capacity
        uint32_t* offsets
        uint32_t count
        uint32_t limit
        uint64_t binary
        size_t wanted
        bint full


cdef class BlockQueue:
    cdef:
        object _blocks                  #: deque[Block], oldest first; the last one is being filled
        Block head                      # == _blocks[0], or None
        Block tail                      # == _blocks[-1], or None
        list _free                      #: list[Block], empty blocks of block_size, for reuse
        Py_ssize_t _max_free
        int64_t _read_stamp             # clock of the socket read in progress, 0: not read yet

        readonly size_t block_size
        readonly size_t high_water
        readonly size_t low_water
        readonly size_t queued_bytes    # payload plus MESSAGE_OVERHEAD of all messages not yet consumed
        readonly size_t peak_queued_bytes
        readonly size_t allocated_bytes # C memory of all blocks: queued, handed out and free
        readonly uint64_t next_seq
        readonly uint64_t messages
        readonly uint64_t payload_bytes
        readonly uint64_t pauses
        readonly int64_t last_received_at   # ns since 1970-01-01 UTC, of the last message; 0: none
        readonly double last_message_at     # the same in seconds on the monotonic clock
        readonly int64_t last_read_at       # ns since 1970-01-01 UTC, of the last frame of any kind; 0: none
        # Of the last message that came whole with a read, if they are wanted.
        public bint keep_last
        readonly bytes last_payload         #: bytes | None
        readonly uint64_t last_seq
        readonly uint32_t last_epoch
        readonly uint32_t epoch
        readonly bint paused
        readonly bint batch_mode        # only a batch iterator may read
        bint _batch_owner               # and one does
        readonly bint finished          # nothing will be appended any more

        object _on_pause                #: Callable[[], None]
        object _on_resume               #: Callable[[], None]
        public MessageScreen screen     # the first one that every message has to pass, or None
        public tuple watchers           #: tuple[BlockTap, ...], that see every message once, when its read is over
        Waiter waiter                   #: of the task that waits for a message, or None

        # What the tap has stored may leave memory and be read back: see `attach`.
        BlockTap tap
        readonly size_t max_spill       # bytes that may be in the tap's store only, 0: none
        readonly size_t spilled_bytes
        readonly uint64_t spilled_messages
        uint64_t _spill_seq             # of the first spilled message
        readonly bint spilling          # `tail` is not in _blocks: what is behind them is in the tap's store
        readonly bint gated             # nor while the current epoch is kept from the consumer
        object _late                    #: deque[Block], between those and `tail`: not stored, or kept by the gate
        bint _held                      # paused from outside

    cdef Block _new_block(self, size_t n)
    cdef Block _new_tail(self, size_t n)
    cdef int _stamp_tail(self, int64_t now) except -1
    cdef int _stamp(self, Block block, int64_t now) except -1
    cdef int _show(self, Block block) except -1
    cdef bint _spill(self, Block block) except -1
    cdef int _join(self) except -1
    cdef list _all_blocks(self)
    cdef int _read_back(self) except -1
    cdef bint _is_full(self) except -1
    cdef int _pause_if_full(self) except -1
    cdef int _resume_if_not_full(self) except -1
    cdef int append(self, const char* payload, size_t n, bint screened=*) except -1
    cdef const uint8_t* append_frames(
        self, const uint8_t* p, const uint8_t* end, size_t largest, uint64_t* binary, bint text_only) except NULL
    cdef bint _takes(self, const char* payload, size_t n) except -1
    cdef int _screen(self, MessageRun* run, uint32_t start) except -1
    cdef int _count(self, uint64_t messages, size_t n) except -1
    cdef char* room(self, size_t* n) noexcept
    cdef int append_in_place(self, size_t n, bint screened=*) except -1
    cdef int append_rejected(self, const char* prefix, size_t n, str error) except -1
    cdef int end_read(self, bint at_once=*) except -1
    cdef int _consumed(self, size_t n) except -1
    cdef int _consumed_part(self, size_t n) except -1
    cdef int _resume_if_low(self) except -1
    cdef Block _pop_head(self)
    cdef int _recycle(self, Block block) except -1
    cdef bint _has_message(self) except -1
    cdef int wake(self, bint at_once=*) except -1
