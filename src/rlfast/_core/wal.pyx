# cython: language_level=3
"""The journal's hot end: one record per socket read, written straight from the block that holds its messages.

A record is a header of 64 bytes (little-endian), the count + 1 offsets of its messages (uint32, as they stand
in the block), their payloads, and, if there is any, JSON beside them; its length is rounded up to 8. The
checksum (XXH3, 64 bits) is seeded with the segment's generation, so a record that an earlier use of the file left
behind is not a record of this one.
"""

cimport cython
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.buffer cimport PyBUF_READ
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from rlfast._core.block cimport Block, BlockTap, wall_clock_ns

import json
import os

from xxhash import xxh3_64


cdef extern from "csrc/writev.h" nogil:
    ctypedef struct Piece "rl_iovec":
        void* iov_base
        size_t iov_len
    int rl_writev_all(int fd, Piece* pieces, int n, int64_t offset)
    int64_t rl_read_at(int fd, void* to, size_t n, int64_t offset)

cdef packed struct RecordHeader:
    uint32_t magic
    uint32_t kind
    uint64_t generation
    uint64_t first_seq
    int64_t received_at         # nanoseconds since 1970-01-01 UTC
    uint32_t epoch
    uint32_t count              # messages
    uint64_t payload_size       # bytes
    uint32_t note_size          # bytes of JSON
    uint32_t reserved
    uint64_t checksum           # of everything, with this field as 0

cdef enum:
    MAGIC = 0x314A4C52          # "RLJ1"
    MESSAGES = 1
    NOTE = 2
    # A larger record is written without the GIL: it may take longer than 50 microseconds.
    LARGE = 131_072
    MAX_NOTE = 0x1000000

SEGMENT_HEADER_SIZE = 4096
"""Bytes before the first record of a segment file."""

cdef char[8] PADDING
memset(PADDING, 0, 8)


cdef uint64_t _checksum(RecordHeader* header, const void* offsets, const void* payload, object note) except? 0:
    header.checksum = 0
    digest = xxh3_64(seed=header.generation)
    digest.update(PyMemoryView_FromMemory(<char*>header, sizeof(RecordHeader), PyBUF_READ))
    if header.count:
        digest.update(PyMemoryView_FromMemory(<char*>offsets, 4 * (<Py_ssize_t>header.count + 1), PyBUF_READ))
    if header.payload_size:
        digest.update(PyMemoryView_FromMemory(<char*>payload, <Py_ssize_t>header.payload_size, PyBUF_READ))
    if note is not None:
        digest.update(note)
    return <uint64_t>digest.intdigest()


cdef size_t _record_size(const RecordHeader* header) noexcept nogil:
    cdef size_t n = sizeof(RecordHeader) + <size_t>header.payload_size + header.note_size
    if header.count:
        n += 4 * (<size_t>header.count + 1)
    return (n + 7) & ~<size_t>7


@cython.final
cdef class WalWriter(BlockTap):
    """Appends records to one segment after the other. Use it from one thread.

    Does not own the segments' descriptors. A write that fails is the last one: its error is kept, the caller is
    told, and messages are refused from then on.

    Args:
        next_segment: callable, (bytes wanted, next seq) -> (descriptor, generation, size): where to go on.
        read_segment: callable, (seq) -> WalReader of the segment that holds message `seq`, or None.
        on_error: callable, (OSError) -> None, called once.
    """

    cdef:
        object _next_segment
        object _read_segment
        object _on_error
        int _fd
        uint64_t _generation
        int64_t _offset
        int64_t _size
        WalReader _reader           # of what was spilled
        readonly object error           #: OSError | None
        readonly int64_t last_seq       # of the last message written, -1: none
        readonly uint64_t messages
        readonly uint64_t nbytes        # written, record headers and all
        readonly uint64_t records

    def __cinit__(self, next_segment, read_segment, on_error):
        self._next_segment = next_segment
        self._read_segment = read_segment
        self._on_error = on_error
        self._fd = -1
        self.last_seq = -1

    cdef bint see(self, Block block, uint32_t start, uint32_t stop, int64_t received_at) except -1:
        cdef RecordHeader header
        cdef bytes note = None
        if self.error is not None:
            return False
        if block.rejected is not None:
            rejected = []
            for index, error in block.rejected:
                if start <= index < stop:
                    rejected.append((index - start, error))
            if rejected:
                note = json.dumps(rejected).encode()
        header.kind = MESSAGES
        header.first_seq = block.first_seq + start
        header.received_at = received_at
        header.epoch = block.epoch
        header.count = stop - start
        header.payload_size = block.offsets[stop] - block.offsets[start]
        if not self._write(&header, block.offsets + start, block.data + block.offsets[start], note):
            return False
        self.last_seq = <int64_t>(block.first_seq + stop - 1)
        self.messages += stop - start
        return True

    def write_note(self, bytes note not None, uint64_t seq):
        """Append JSON that is no message, such as a gap before message `seq`. Returns False if it cannot."""
        cdef RecordHeader header
        if self.error is not None:
            return False
        if len(note) > MAX_NOTE:
            raise ValueError(f"a note of {len(note)} bytes")
        header.kind = NOTE
        header.first_seq = seq
        header.received_at = wall_clock_ns()
        header.epoch = header.count = 0
        header.payload_size = 0
        return self._write(&header, NULL, NULL, note)

    cdef bint _write(
        self, RecordHeader* header, const uint32_t* offsets, const char* payload, bytes note
    ) except -1:
        cdef Piece[5] pieces
        cdef int fd, status
        cdef int64_t offset
        cdef size_t size
        header.magic = MAGIC
        header.note_size = <uint32_t>len(note) if note is not None else 0
        header.reserved = 0
        size = _record_size(header)
        if self._fd < 0 or self._offset + <int64_t>size > self._size:
            try:
                self._fd, self._generation, self._size = self._next_segment(size, header.first_seq)
            except OSError as error:
                return self._fail(error)
            self._offset = SEGMENT_HEADER_SIZE
        header.generation = self._generation
        header.checksum = _checksum(header, offsets, payload, note)
        pieces[0].iov_base, pieces[0].iov_len = header, sizeof(RecordHeader)
        pieces[1].iov_base = <void*>offsets
        pieces[1].iov_len = 4 * (<size_t>header.count + 1) if header.count else 0
        pieces[2].iov_base, pieces[2].iov_len = <void*>payload, <size_t>header.payload_size
        pieces[3].iov_base = NULL if note is None else <void*><const char*>note
        pieces[3].iov_len = header.note_size
        pieces[4].iov_base = <void*>PADDING
        pieces[4].iov_len = size - pieces[0].iov_len - pieces[1].iov_len - pieces[2].iov_len - pieces[3].iov_len
        fd, offset = self._fd, self._offset
        if size >= LARGE:
            with nogil:
                status = rl_writev_all(fd, pieces, 5, offset)
        else:
            status = rl_writev_all(fd, pieces, 5, offset)
        if status:
            return self._fail(OSError(status, os.strerror(status)))
        self._offset += <int64_t>size
        self.nbytes += size
        self.records += 1
        return True

    cdef bint _fail(self, error) except -1:
        self.error = error
        self._on_error(error)
        return False

    def fail(self, error):
        """Refuse messages from now on, because of `error`."""
        if self.error is None:
            self._fail(error)

    def close(self):
        """Refuse messages from now on: the segments are about to be closed."""
        if self.error is None:
            self.error = OSError("the journal is closed")
        self._reader = None
        self._fd = -1

    cdef bint read_back(self, Block block) except -1:
        cdef uint64_t seq = block.first_seq
        cdef bint progress
        while True:
            progress = False
            if self._reader is None:
                self._reader = self._read_segment(seq)
                if self._reader is None:
                    return False
            while self._reader._load():
                if self._reader.header.kind == MESSAGES and self._reader.header.first_seq >= seq:
                    if self._reader.header.first_seq != seq:
                        return False
                    if block.count and not self._reader._fits(block):
                        return True
                    self._reader._append_to(block)
                    seq += self._reader.header.count
                    progress = True
                self._reader._skip()
            # Written to its end, or up to where the writer is: this reader would have to be made anew.
            self._reader = None
            if block.count or not progress:
                return block.count > 0


@cython.final
cdef class WalReader:
    """Reads the records of one segment, and stops at the first that is none: where writing ended, or tore off.

    Args:
        fd: descriptor of the segment; borrowed.
        generation: of the use of the file that is to be read.

    Raises:
        OSError: (from `more`) the file cannot be read.
    """

    cdef:
        int _fd
        uint64_t _generation
        RecordHeader header             # of the record at _offset, when _loaded
        bint _loaded
        int64_t _offset
        # Owned, freed in __dealloc__: offsets, payloads and note of the record.
        char* _body
        size_t _capacity
        readonly bint damaged           # it ends with a record whose content is not what was written

    def __cinit__(self, int fd, uint64_t generation):
        self._fd = fd
        self._generation = generation
        self._offset = SEGMENT_HEADER_SIZE

    def __dealloc__(self):
        free(self._body)

    cdef bint _load(self) except -1:
        cdef size_t size
        cdef int64_t got
        cdef uint64_t stored
        cdef char* grown
        if self._loaded:
            return True
        got = rl_read_at(self._fd, &self.header, sizeof(RecordHeader), self._offset)
        if got < 0:
            raise OSError(-got, os.strerror(-got))
        if (got < <int64_t>sizeof(RecordHeader) or self.header.magic != MAGIC
                or self.header.generation != self._generation):
            return False
        size = _record_size(&self.header)
        # Before it is allocated: a torn header may claim anything.
        if self.header.note_size > MAX_NOTE or self._offset + <int64_t>size > os.fstat(self._fd).st_size:
            self.damaged = True
            return False
        size -= sizeof(RecordHeader)
        if size > self._capacity:
            grown = <char*>realloc(self._body, size)
            if grown == NULL:
                raise MemoryError(f"cannot read a journal record of {size} bytes")
            self._body, self._capacity = grown, size
        got = rl_read_at(self._fd, self._body, size, self._offset + sizeof(RecordHeader))
        if got < 0:
            raise OSError(-got, os.strerror(-got))
        stored = self.header.checksum
        if got < <int64_t>size or _checksum(
            &self.header, self._body, self._payload(), self._note() if self.header.note_size else None
        ) != stored or not self._is_sound():
            self.damaged = True
            return False
        self._loaded = True
        return True

    cdef bint _is_sound(self) noexcept:
        """Whether the offsets ascend from the first to the last: the checksum does not know of a faulty writer."""
        cdef const uint32_t* offsets = <const uint32_t*>self._body
        cdef uint32_t i
        if self.header.count == 0:
            return self.header.kind == NOTE and self.header.payload_size == 0
        for i in range(self.header.count):
            if offsets[i] > offsets[i + 1]:
                return False
        return (self.header.kind == MESSAGES
                and offsets[self.header.count] - offsets[0] == self.header.payload_size)

    cdef char* _payload(self) noexcept:
        return self._body + (4 * (<size_t>self.header.count + 1) if self.header.count else 0)

    cdef bytes _note(self):
        cdef char* at = self._payload() + self.header.payload_size
        return at[:self.header.note_size]

    cdef void _skip(self) noexcept:
        self._offset += <int64_t>_record_size(&self.header)
        self._loaded = False

    cdef bint _fits(self, Block block) noexcept:
        return (block.epoch == self.header.epoch and self.header.note_size == 0
                and block.first_seq + block.count == self.header.first_seq
                and block.size + self.header.payload_size <= block.capacity)

    cdef int _append_to(self, Block block) except -1:
        cdef const uint32_t* offsets = <const uint32_t*>self._body
        cdef size_t n = <size_t>self.header.payload_size
        cdef size_t count = self.header.count
        cdef uint32_t i
        cdef void* grown
        if block.count == 0:
            block.first_seq, block.epoch = self.header.first_seq, self.header.epoch
            if n > block.capacity:
                grown = realloc(block.data, n)
                if grown == NULL:
                    raise MemoryError(f"cannot read back {n} bytes from the journal")
                block.data, block.capacity = <char*>grown, n
        if block.count + count + 1 > block.offsets_capacity:
            grown = realloc(block.offsets, 2 * (block.count + count + 1) * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError("cannot grow the offsets of a block")
            block.offsets = <uint32_t*>grown
            block.offsets_capacity = <uint32_t>(2 * (block.count + count + 1))
        memcpy(block.data + block.size, self._payload(), n)
        for i in range(count):
            block.offsets[block.count + i + 1] = <uint32_t>(block.size + (offsets[i + 1] - offsets[0]))
        if self.header.note_size:
            if block.rejected is None:
                block.rejected = []
            for index, error in json.loads(self._note()):
                block.rejected.append((block.count + index, error))
        block.size += n
        block.count += <uint32_t>count
        block._stamp(self.header.received_at)
        return 0

    def more(self):
        """Whether there is another record: a note, or messages. `take_note` or `take_block` must follow."""
        return self._load()

    @property
    def is_note(self):
        """Whether the next record is a note."""
        return self.header.kind == NOTE

    @property
    def first_seq(self):
        """Sequence number of the next record's first message, or of the message that the note stands before."""
        return self.header.first_seq

    @property
    def last_seq(self):
        """Sequence number of the next record's last message."""
        return self.header.first_seq + self.header.count - 1

    @property
    def epoch(self):
        """Number of the connection that the next record's messages came from."""
        return self.header.epoch

    @property
    def received_at(self):
        """Time of the next record, in nanoseconds since 1970-01-01 UTC."""
        return self.header.received_at

    def skip(self):
        """Leave out the next record."""
        self._skip()

    def take_note(self):
        """Return the JSON of the next record."""
        cdef bytes note = self._note()
        self._skip()
        return note

    def take_block(self):
        """Return the messages of the next record, and of those behind it that continue it, as a block.

        The block holds a MiB of payload at most, or one record.
        """
        cdef Block block = Block.__new__(Block, max(<size_t>self.header.payload_size, <size_t>(1 << 20)))
        self._append_to(block)
        self._skip()
        while self._load() and self.header.kind == MESSAGES and self._fits(block):
            self._append_to(block)
            self._skip()
        return block
