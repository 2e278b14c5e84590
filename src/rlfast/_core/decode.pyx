# cython: language_level=3
"""Blocks into columns, one msgspec struct per event: the general path, correct for any input."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rlfast._core.block cimport Block
from rlfast._core.columns cimport TableBuilder


@cython.final
@cython.auto_pickle(False)
cdef class _Payload:
    # A payload as a buffer. Borrows from the block, valid during one decode call.
    cdef const char* data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)


@cython.final
cdef class StructDecoder:
    """Decodes payloads with `decode` and appends the rows to the table of the value's type.

    Args:
        decode: callable, buffer -> row object; must not keep a reference to the buffer.
        tables: dict, type of a row object -> TableBuilder.
        dead_letters: TableBuilder with the fields reason, error, raw.
        judge: callable, (error or None, raw bytes) -> (row, `_extra` text) or a dead-letter row object; it is
            asked about every payload that `decode` refuses, and about rows that do not fit their columns.
        dead_letter: callable, (reason, error text, raw) -> row object for `dead_letters`.

    Every message becomes exactly one row, of an event table or of `dead_letters`, in order.
    """

    cdef:
        object decode
        dict tables
        TableBuilder dead_letters
        object judge
        object dead_letter
        _Payload payload
        readonly uint64_t n_judged      # payloads that took the slow path
        readonly uint32_t position      # of the last decode_block: messages below it have their row

    def __cinit__(self, decode, dict tables not None, TableBuilder dead_letters not None, judge, dead_letter):
        self.decode = decode
        self.tables = tables
        self.dead_letters = dead_letters
        self.judge = judge
        self.dead_letter = dead_letter
        self.payload = _Payload.__new__(_Payload)

    def decode_block(self, Block block not None, uint32_t start, uint32_t stop):
        """Append messages [start, stop) of `block`. Holds the GIL; about 0.6 µs per event."""
        cdef _Payload payload = self.payload
        cdef TableBuilder table
        cdef uint32_t i
        cdef uint32_t stamp = 0
        cdef uint32_t stamp_end
        cdef int64_t received_at
        cdef int64_t seq
        self.position = start
        if stop > block.n_stamped or start > stop:
            raise IndexError(f"messages [{start}, {stop}) of a block with {block.n_stamped} stamped messages")
        if start == stop:
            return
        stamp_end = block.stamps[0].count
        for i in range(start, stop):
            self.position = i
            while i >= stamp_end:
                stamp += 1
                stamp_end += block.stamps[stamp].count
            received_at = block.stamps[stamp].received_at
            seq = <int64_t>(block.first_seq + i)
            if block.rejected is not None:
                rejection = block._rejection(i)
                if rejection is not None:
                    self._bury(self.dead_letter("message_too_big", rejection, block.payload(i)), block, seq, received_at)
                    continue
            payload.data = block.data + block.offsets[i]
            payload.size = <Py_ssize_t>(block.offsets[i + 1] - block.offsets[i])
            try:
                row = self.decode(payload)
                table = <TableBuilder>self.tables[type(row)]
                table.append_row(row, seq, block.epoch, received_at, None)
            except Exception as error:
                self._ask_judge(error, block, i, seq, received_at)
        self.position = stop

    cdef int _bury(self, object letter, Block block, int64_t seq, int64_t received_at) except -1:
        return self.dead_letters.append_row(letter, seq, block.epoch, received_at, None)

    cdef int _ask_judge(self, object error, Block block, uint32_t i, int64_t seq, int64_t received_at) except -1:
        cdef bytes raw = PyBytes_FromStringAndSize(
            block.data + block.offsets[i], block.offsets[i + 1] - block.offsets[i])
        self.n_judged += 1
        row, extra = self.judge(error, raw)
        table = self.tables.get(type(row))
        if table is None:
            return self._bury(row, block, seq, received_at)
        try:
            return (<TableBuilder>table).append_row(row, seq, block.epoch, received_at, extra)
        except ValueError as misfit:
            letter = self.dead_letter("schema_mismatch", str(misfit), raw)
            return self._bury(letter, block, seq, received_at)
