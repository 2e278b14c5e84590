# cython: language_level=3
"""The bounded queue of blocks between the frame handler and its consumer."""

cimport cython
from cpython.time cimport monotonic
from libc.string cimport memmove

from rlfast._core.block cimport wall_clock_ns

from collections import deque

cdef extern from "csrc/frames.h" nogil:
    const uint8_t* rl_take_messages(const uint8_t* p, const uint8_t* end, size_t largest, MessageRun* run)
    const uint8_t* rl_take_text(const uint8_t* p, const uint8_t* end, size_t largest, MessageRun* run)


# What a queued message costs beside its payload: its offset (4 bytes) and, at worst, a stamp of its own (16).
# Counting it keeps a stream of empty messages within the same bound as any other.
cdef enum:
    MESSAGE_OVERHEAD = 24
    MAX_BLOCK_MESSAGES = 262_144
    # Every connection with an unread message takes a block of its own.
    MAX_BLOCKS = 4096


@cython.final
cdef class BlockQueue:
    """Bounded hand-over of payloads from the frame loop (writer) to one consumer, in one thread.

    Owns its blocks. In message mode the consumer reads payloads in place (`head`, `_consumed`); in batch
    mode it takes whole blocks (`take_block`) and gives them back (`give_back`). `queued_bytes` counts what is
    not consumed; at `high_water` the queue asks its writer to pause, at `low_water` to resume.
    Whatever the server does, `queued_bytes` stays below high_water plus one socket read (or one message,
    if that is larger), and `allocated_bytes` below twice that plus two blocks: a block is at least half
    full when the next one is begun, or holds one large message exactly.

    A tap, once set, is shown every message at the end of its socket read. If it may, the queue spills at
    `high_water` instead of pausing: what arrives from then on stays in the tap's store only, and is read back
    when everything before it was taken, until `max_spill` bytes are there.

    While its gate is closed, messages of the current epoch are numbered and shown to the tap, and the consumer does
    not get them. They stay in memory.
    """

    def __cinit__(self, size_t block_size, size_t high_water, size_t low_water, uint64_t first_seq=0):
        if block_size == 0 or low_water >= high_water:
            raise ValueError("block_size must not be 0, and low_water must be less than high_water")
        self.block_size = block_size
        self.high_water = high_water
        self.low_water = low_water
        self.next_seq = first_seq
        self._blocks = deque()
        self._free = []
        self._max_free = <Py_ssize_t>(high_water // block_size) + 2
        self._late = deque()
        self.watchers = ()

    def bind(self, on_pause, on_resume):
        """Set the callables that pause and resume the writer's socket."""
        self._on_pause = on_pause
        self._on_resume = on_resume

    def begin_epoch(self, uint32_t epoch):
        """Start connection number `epoch`: later messages go into blocks of their own."""
        self.open_gate()
        if self.tail is not None:
            self._stamp_tail(wall_clock_ns())
        self.epoch = epoch
        self._read_stamp = 0
        if self.tail is not None and self.tail.count == self.tail.taken:
            self.tail._reset(self.next_seq, epoch)
        elif self.spilling:
            # The tap could not store it.
            self._late.append(self.tail)
            self.tail = self._new_block(0)
        elif self.tail is not None:
            # A server that drops us again and again must not cost a whole block each time.
            self.allocated_bytes -= self.tail.capacity
            self.tail._shrink()
            self.allocated_bytes += self.tail.capacity
            self._new_tail(0)

    def close_gate(self):
        """Keep the epoch that has just begun from the consumer until `open_gate`."""
        self.gated = True
        if self.tail is not None and not self.spilling:
            # It is empty.
            self._blocks.pop()
            self.head = <Block>self._blocks[0] if self._blocks else None

    def open_gate(self):
        """Let the consumer have what was kept from it."""
        if not self.gated:
            return
        self.gated = False
        if self.spilling:
            while self._late and self._spill(<Block>self._late[0]):
                self._recycle(<Block>self._late.popleft())
            if not self._late and self._spill(self.tail):
                self.tail._reset(self.next_seq, self.epoch)
        else:
            self._join()
        self._resume_if_not_full()
        self.wake()

    def peek(self, uint64_t index):
        """Copy of message `index` of those that the gate keeps; None: it is not there, or not whole."""
        cdef Block block
        if not self.gated:
            return None
        for block in [*self._late, self.tail]:
            if block is None or block.epoch != self.epoch:
                continue
            if index < block.count:
                return block.payload(<uint32_t>index) if block._rejection(<uint32_t>index) is None else None
            index -= block.count
        return None

    cdef int _join(self) except -1:
        """Put what stands apart behind what the consumer may have: all of it, but for what the gate keeps."""
        while self._late and not (self.gated and (<Block>self._late[0]).epoch == self.epoch):
            self._blocks.append(self._late.popleft())
        if self.tail is not None and not self.gated:
            self._blocks.append(self.tail)
        self.head = <Block>self._blocks[0] if self._blocks else None
        return 0

    cdef list _all_blocks(self):
        """Every block in memory that is not taken, oldest first."""
        cdef list blocks = [*self._blocks, *self._late]
        if self.tail is not None and (self.spilling or self.gated):
            blocks.append(self.tail)
        return blocks

    cdef Block _new_block(self, size_t n):
        cdef Block block
        if n > self.block_size:
            block = Block.__new__(Block, n)
            self.allocated_bytes += n
        elif self._free:
            block = <Block>self._free.pop()
        else:
            block = Block.__new__(Block, self.block_size)
            self.allocated_bytes += self.block_size
        block._reset(self.next_seq, self.epoch)
        return block

    cdef Block _new_tail(self, size_t n):
        cdef Block block
        if self.tail is not None:
            if self._read_stamp == 0:
                self._read_stamp = wall_clock_ns()
            self._stamp_tail(self._read_stamp)
            if self.spilling or self.gated:
                if self.tail.count == 0 and n <= self.tail.capacity:
                    return self.tail
                if self.tail.count:
                    self._late.append(self.tail)
                else:
                    self._recycle(self.tail)
        block = self._new_block(n)
        self.tail = block
        if not self.spilling and not self.gated:
            self._blocks.append(block)
            if self.head is None:
                self.head = block
        return block

    cdef int _stamp_tail(self, int64_t now) except -1:
        """Stamp the tail's new messages and show them to the tap."""
        if self.tail.n_stamped == self.tail.count:
            return 0
        self.last_received_at = now
        self.last_message_at = monotonic()
        self._stamp(self.tail, now)
        if self.tap is not None and self.spilling and not self._late and not self.gated and self._spill(self.tail):
            self.tail._reset(self.next_seq, self.epoch)
        return 0

    cdef int _stamp(self, Block block, int64_t now) except -1:
        """Stamp a block's new messages, and show them."""
        cdef uint32_t start = block.n_stamped
        block._stamp(now)
        for watcher in self.watchers:
            (<BlockTap>watcher).see(block, start, block.count, now)
        if self.keep_last:
            self.last_payload = block.payload(block.count - 1)
            self.last_seq = block.first_seq + block.count - 1
            self.last_epoch = block.epoch
        if self.tap is not None:
            self._show(block)
        return 0

    cdef int _show(self, Block block) except -1:
        cdef uint32_t start = block.n_stamped
        cdef uint32_t i
        # Mostly there is one new stamp, behind many that the tap has seen.
        for i in range(block.n_stamps, block.n_tapped, -1):
            start -= block.stamps[i - 1].count
        while block.n_tapped < block.n_stamps:
            i = block.n_tapped
            if not self.tap.see(block, start, start + block.stamps[i].count, block.stamps[i].received_at):
                return 0
            start += block.stamps[i].count
            block.n_tapped += 1
        return 0

    cdef bint _spill(self, Block block) except -1:
        """Count the block's messages as spilled if the tap has stored them all. Returns whether it has."""
        if block.n_tapped < block.n_stamps or block.n_stamped < block.count:
            return False
        self.spilled_bytes += block.size + MESSAGE_OVERHEAD * block.count
        self.spilled_messages += block.count
        self.queued_bytes -= block.size + MESSAGE_OVERHEAD * block.count
        return True

    cdef int _read_back(self) except -1:
        """Everything in memory was taken: bring in what was spilled, or what comes behind it."""
        cdef Block block
        cdef size_t capacity
        if self.spilled_messages:
            block = self._new_block(0)
            block.first_seq = self._spill_seq
            capacity = block.capacity
            if not self.tap.read_back(block) or block.count == 0 or block.first_seq != self._spill_seq:
                raise OSError("what was spilled to the journal cannot be read back")
            self.allocated_bytes += block.capacity - capacity
            self._spill_seq += block.count
            self._blocks.append(block)
            self.head = block
            block.n_tapped = block.n_stamps
            self.spilled_messages -= block.count
            self.spilled_bytes -= block.size + MESSAGE_OVERHEAD * block.count
            self.queued_bytes += block.size + MESSAGE_OVERHEAD * block.count
        if self.spilled_messages == 0:
            self.spilling = False
            self._join()
        return 0

    def renumber(self, uint64_t seq):
        """Let the message that is read next have the number `seq`; those behind it follow.

        The messages of a block that was taken and not given back keep their numbers.
        """
        cdef Block block
        if self.spilling:
            raise ValueError("what is in the tap's store has its numbers")
        cdef uint64_t unread = self.unread_seq
        cdef uint64_t shift = seq - unread      # modulo 2**64
        for block in self._all_blocks():
            block._forget_taken()
            block.first_seq += shift
        self.next_seq += shift
        self.last_seq += shift

    def attach(self, BlockTap tap not None, size_t max_spill=0):
        """Show every message that is waiting, and every later one, to `tap`.

        With `max_spill`, so many bytes may be in the tap's store only when `high_water` is reached.
        """
        cdef Block block
        self.tap = tap
        self.max_spill = max_spill
        for block in self._all_blocks():
            block._forget_taken()
            self._show(block)
        if max_spill:
            self._resume_if_not_full()

    def detach(self):
        """Forget the tap. What is in its store only stays there, and is lost to this queue."""
        cdef Block block
        if self.spilling:
            self.spilling = False
            self.spilled_bytes = self.spilled_messages = 0
            self._join()
        for block in self._all_blocks():
            block.n_tapped = 0
        self.tap = None
        self.max_spill = 0
        self.hold(False)

    def hold(self, bint held):
        """Pause the socket whatever is queued, or end that: for a journal that is full."""
        self._held = held
        if held:
            self._pause_if_full()
        else:
            self._resume_if_not_full()

    cdef int _resume_if_not_full(self) except -1:
        """What the pause was for may be over."""
        if self.paused and not self._held and not self._is_full():
            self.paused = False
            if self._on_resume is not None:
                self._on_resume()
        return 0

    cdef int append(self, const char* payload, size_t n, bint screened=True) except -1:
        """Append a message, if its screens take it."""
        cdef Block tail
        if self.screen is not None and screened and not self._takes(payload, n):
            return 0
        tail = self.tail
        if tail is None or tail.size + n > tail.capacity or tail.count >= MAX_BLOCK_MESSAGES:
            tail = self._new_tail(n)
        tail._append(payload, n)
        return self._count(1, n)

    cdef const uint8_t* append_frames(
            self, const uint8_t* p, const uint8_t* end, size_t largest, uint64_t* binary, bint text_only) except NULL:
        """Append the messages at `p`: those that are whole, of one plain frame, and UTF-8 if they are text.

        Returns where the first frame stands that is none, is larger than `largest`, or, with `text_only`, is a
        binary one. Counts binary messages.
        """
        cdef MessageRun run
        cdef Block tail
        run.wanted = 0
        while True:
            tail = self.tail
            if tail is None:
                run.data = NULL
                run.offsets = NULL
                run.size = run.capacity = 0
                run.count = run.limit = 0
            else:
                run.data = <uint8_t*>tail.data
                run.size = tail.size
                run.capacity = tail.capacity
                run.offsets = tail.offsets
                run.count = tail.count
                run.limit = min(tail.offsets_capacity - 1, <uint32_t>MAX_BLOCK_MESSAGES)
            run.binary = 0
            p = rl_take_text(p, end, largest, &run) if text_only else rl_take_messages(p, end, largest, &run)
            if tail is not None and run.count != tail.count:
                if self.screen is not None:
                    self._screen(&run, tail.count)
                self._count(run.count - tail.count, run.size - tail.size)
                binary[0] += run.binary
                tail.size = run.size
                tail.count = run.count
            if not run.full:
                return p
            if tail is None or run.wanted > tail.capacity - tail.size or tail.count >= MAX_BLOCK_MESSAGES:
                self._new_tail(run.wanted)
            else:
                tail._reserve_message()

    def append_screen(self, MessageScreen screen not None):
        """Let a screen decide about the messages that the others take."""
        cdef MessageScreen last = self.screen
        if last is None:
            self.screen = screen
            return
        while last.next is not None:
            last = last.next
        last.next = screen

    def remove_screen(self, MessageScreen screen not None):
        """Let a screen decide no more, if it does."""
        cdef MessageScreen before = self.screen
        if before is screen:
            self.screen = screen.next
            return
        while before is not None:
            if before.next is screen:
                before.next = screen.next
            before = before.next

    cdef inline bint _takes(self, const char* payload, size_t n) except -1:
        cdef MessageScreen screen = self.screen
        cdef MessageScreen behind
        while screen is not None:
            # It may take itself out of the queue.
            behind = screen.next
            if not screen.takes(payload, n):
                return False
            screen = behind
        return True

    cdef int _screen(self, MessageRun* run, uint32_t start) except -1:
        """Take out the messages of a run, from number `start` on, that do not belong into the stream."""
        cdef uint8_t* data = run.data
        cdef uint32_t kept = start
        cdef uint32_t at = run.offsets[start]
        cdef uint32_t i, size, to
        for i in range(start, run.count):
            # The offset behind this message; that of the last kept one may be written in its place.
            size = run.offsets[i + 1] - at
            if self._takes(<const char*>data + at, size):
                to = run.offsets[kept]
                if to != at:
                    memmove(data + to, data + at, size)
                kept += 1
                run.offsets[kept] = to + size
            at += size
        run.count = kept
        run.size = run.offsets[kept]
        return 0

    cdef inline int _count(self, uint64_t messages, size_t n) except -1:
        self.next_seq += messages
        self.messages += messages
        self.payload_bytes += n
        self.queued_bytes += n + MESSAGE_OVERHEAD * messages
        return 0

    cdef char* room(self, size_t* n) noexcept:
        """Where the next message may be written, and how large it may be; the queue keeps the memory."""
        cdef Block tail = self.tail
        if tail is None or tail.count >= MAX_BLOCK_MESSAGES:
            n[0] = 0
            return NULL
        n[0] = tail.capacity - tail.size
        return tail.data + tail.size

    cdef int append_in_place(self, size_t n, bint screened=True) except -1:
        """Append the n bytes that were written to `room`, if the screens take them."""
        if self.screen is not None and screened and not self._takes(self.tail.data + self.tail.size, n):
            return 0
        self.tail._append_in_place(n)
        return self._count(1, n)

    cdef int append_rejected(self, const char* prefix, size_t n, str error) except -1:
        """Queue a message of which only a prefix is known; it keeps its place and number in the stream."""
        self.append(prefix, n, False)
        if self.tail.rejected is None:
            self.tail.rejected = []
        self.tail.rejected.append((self.tail.count - 1, error))
        return 0

    cdef int end_read(self, bint at_once=False) except -1:
        """A socket read is over: stamp its messages, pause the socket if need be, wake the consumer.

        With `at_once`, the consumer's task may run before this returns.
        """
        if self._read_stamp == 0:
            self._read_stamp = wall_clock_ns()
        self.last_read_at = self._read_stamp
        if self.tail is not None:
            self._stamp_tail(self._read_stamp)
        self._read_stamp = 0
        if self.queued_bytes > self.peak_queued_bytes:
            self.peak_queued_bytes = self.queued_bytes
        if not self.paused:
            self._pause_if_full()
        cdef MessageScreen screen = self.screen
        while screen is not None:
            screen.end_read()
            screen = screen.next
        self.wake(at_once)
        return 0

    cdef bint _is_full(self) except -1:
        """Whether there is no room; begins to spill if that makes room."""
        cdef bint full = self.queued_bytes >= self.high_water or len(self._blocks) >= MAX_BLOCKS
        if (full and not self.spilling and not self.gated and self.max_spill
                and self.tail is not None and self.head is not None):
            # What is in memory is taken first; from now on messages pass through a block of their own.
            if self.tail.n_tapped == self.tail.n_stamps and self.tail.n_stamped == self.tail.count:
                self.spilling = True
                self._spill_seq = self.next_seq
                self.tail = self._new_block(0)
        if self.spilling:
            full = self.spilled_bytes >= self.max_spill or len(self._late) > 0
        return full

    cdef int _pause_if_full(self) except -1:
        if (self._is_full() or self._held) and not self.paused:
            self.paused = True
            self.pauses += 1
            if self._on_pause is not None:
                self._on_pause()
        return 0

    cdef int wake(self, bint at_once=False) except -1:
        cdef Waiter waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            waiter.complete(at_once)
        return 0

    def finish(self):
        """Nothing will be appended any more; wakes the consumer."""
        self.finished = True
        self.open_gate()
        self.wake()

    def reopen(self):
        """There will be more after all."""
        self.finished = False

    cdef bint _has_message(self) except -1:
        """Make `head` a block with an unread message; False if there is none."""
        while self.head is not None:
            if self.head.taken < self.head.count:
                return True
            if self.head is self.tail:
                return False
            self._recycle(self._pop_head())
        return False

    cdef int _consumed(self, size_t n) except -1:
        """The head's next message, of n bytes, was handed out."""
        cdef Block head = self.head
        head.taken += 1
        self.queued_bytes -= n + MESSAGE_OVERHEAD
        if head.taken == head.count:
            # Written and read in place, the block's bytes stay in the cache.
            if head is self.tail:
                head._reset(self.next_seq, self.epoch)
            else:
                self._recycle(self._pop_head())
        if self.paused:
            self._resume_if_low()
        return 0

    cdef int _consumed_part(self, size_t n) except -1:
        """The first n bytes of the head's next message were handed out: what is behind them is the message now."""
        cdef Block head = self.head
        # Nobody asks any more for the message before it, which ended there.
        head.offsets[head.taken] += <uint32_t>n
        self.queued_bytes -= n
        if self.paused:
            self._resume_if_low()
        return 0

    cdef int _resume_if_low(self) except -1:
        if self._held:
            return 0
        if self.queued_bytes <= self.low_water and len(self._blocks) < MAX_BLOCKS and not self.spilling:
            self.paused = False
        elif self.spilling and self.spilled_bytes <= self.max_spill // 2 and not self._late:
            self.paused = False
        if not self.paused:
            if self._on_resume is not None:
                self._on_resume()
        return 0

    cdef Block _pop_head(self):
        cdef Block block = <Block>self._blocks.popleft()
        self.head = <Block>self._blocks[0] if self._blocks else None
        if self.head is None and not self.spilling and not self.gated:
            self.tail = None
        return block

    cdef int _recycle(self, Block block) except -1:
        if block.capacity == self.block_size and len(self._free) < self._max_free:
            self._free.append(block)
        else:
            self.allocated_bytes -= block.capacity
        return 0

    def enter_batch_mode(self):
        """Give the reading end to a batch iterator. Returns False if somebody else has it."""
        if self._batch_owner or (self.waiter is not None and not self.waiter.completed):
            return False
        self._batch_owner = True
        self.batch_mode = True
        return True

    def leave_batch_mode(self, bint held):
        """Give the reading end back. With `held`, to another batch iterator only."""
        self._batch_owner = False
        self.batch_mode = held

    def take_block(self):
        """Detach the oldest block that has an unread message, or None.

        Its bytes count as queued until `give_back`. Messages below `block.taken` were already handed out.
        """
        cdef Block block
        while not self._has_message():
            if not self.spilling:
                return None
            self._read_back()
        block = self._pop_head()
        if block.n_stamped < block.count:
            self._stamp(block, self._read_stamp if self._read_stamp else wall_clock_ns())
        block.detached = True
        return block

    def give_back(self, Block block not None, uint32_t consumed):
        """Give back a block that `take_block` returned; messages from `consumed` on stay to be read.

        A fully consumed block is reused: pointers into it are invalid from now on.
        """
        if not block.detached:
            raise ValueError("the block was not taken from the queue, or is given back for the second time")
        if consumed < block.taken or consumed > block.count:
            raise IndexError(f"{consumed} is not in [{block.taken}, {block.count}]")
        self.queued_bytes -= (block.offsets[consumed] - block.offsets[block.taken]
                              + MESSAGE_OVERHEAD * (consumed - block.taken))
        block.taken = consumed
        block.detached = False
        if consumed < block.count:
            self._blocks.appendleft(block)
            self.head = block
            if self.tail is None and block.epoch == self.epoch:
                self.tail = block  # Not while spilling: the tail is never None then.
        else:
            self._recycle(block)
        if self.paused:
            self._resume_if_low()

    def set_waiter(self, Waiter waiter not None):
        """Set what the next socket read completes. Returns False if another one is pending."""
        if self.waiter is not None and not self.waiter.completed:
            return False
        self.waiter = waiter
        return True

    @property
    def unread_seq(self):
        """Sequence number of the first message that was not handed out."""
        cdef Block block
        if self._has_message():
            return self.head.first_seq + self.head.taken
        if self.spilled_messages:
            return self._spill_seq
        for block in self._all_blocks():
            if block.taken < block.count:
                return block.first_seq + block.taken
        return self.next_seq

    @property
    def empty(self):
        """Whether there is no unread message."""
        return not self._has_message()

    # -- the writing end from Python: journals that are replayed, and tests --------------------------

    def feed(self, bytes payload not None):
        """Append a copy of one payload."""
        self.append(payload, len(payload))

    def feed_rejected(self, bytes prefix not None, str error not None):
        """Append a payload of which only a prefix is known."""
        self.append_rejected(prefix, len(prefix), error)

    def end_of_read(self):
        """Mark the end of a socket read."""
        self.end_read()
