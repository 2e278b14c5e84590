# cython: language_level=3
"""Blocks into columns: the compiled decoder for what is usual, msgspec for everything else."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from rlfast._core.block cimport Block
from rlfast._core.columns cimport TableBuilder
from rlfast._core.plan cimport CompiledPlan, Decoder, Kernel, Run


cdef enum:
    # After an event for the general path, this many are decoded without giving up the GIL: where there is one
    # such event there are often more, and to get the GIL back from a busy event loop takes long.
    PATIENCE = 32
    # Events decoded by the general path until the GIL is offered to others.
    JUDGED_AT_ONCE = 64


@cython.final
@cython.auto_pickle(False)
cdef class _Payload:
    # A payload as a buffer. Borrows from the block, valid during one decode call.
    cdef const char* data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)


cdef int _begin_run(Run* run, Block block, uint32_t start, uint32_t stop) except -1:
    if stop > block.n_stamped or start > stop:
        raise IndexError(f"messages [{start}, {stop}) of a block with {block.n_stamped} stamped messages")
    run.data = <const unsigned char*>block.data
    run.offsets = block.offsets
    run.stamps = block.stamps
    run.first_seq = <int64_t>block.first_seq
    run.epoch = block.epoch
    run.at = start
    run.stop = stop
    run.stamp = 0
    run.stamp_end = block.stamps[0].count if start < stop else 0
    return 0


cdef Py_ssize_t _clean_runs(list spans, Py_ssize_t first, Py_ssize_t n) except -1:
    """How many spans, from the first on, hold no message that was cut short."""
    cdef Py_ssize_t i = first
    while i < n and (<Block>spans[i][0]).rejected is None:
        i += 1
    return max(i - first, 1)


cdef uint64_t _run_kernel(Kernel kernel, Decoder* decoder, Run* runs, Py_ssize_t n) noexcept nogil:
    """Returns the number of messages that were taken."""
    cdef uint64_t taken = 0
    cdef uint32_t start
    cdef Py_ssize_t i
    for i in range(n):
        start = runs[i].at
        kernel(decoder, &runs[i])
        taken += runs[i].at - start
        if runs[i].at < runs[i].stop:
            break
    return taken


@cython.final
cdef class BlockDecoder:
    """Decodes payloads into rows of tables. Every message becomes exactly one row, in order.

    The compiled plan takes the usual event, without the GIL and without a Python object. What it does not take
    is decoded with `decode`, and appended to the table of the value's type.

    Args:
        plan: CompiledPlan, or None to decode everything with `decode`.
        decode: callable, buffer -> row object; must not keep a reference to the buffer.
        tables: dict, type of a row object -> TableBuilder.
        dead_letters: TableBuilder with the fields reason, error, raw.
        judge: callable, (error or None, raw bytes) -> (row, `_extra` text) or a dead-letter row object; it is
            asked about every payload that `decode` refuses, and about rows that do not fit their columns.
        dead_letter: callable, (reason, error text, raw) -> row object for `dead_letters`.
    """

    cdef:
        CompiledPlan plan
        object decode
        dict tables
        list builders
        TableBuilder dead_letters
        object judge
        object dead_letter
        _Payload payload
        readonly uint64_t num_fast      # messages that the compiled plan took
        readonly uint64_t num_judged    # messages that it did not take
        #: tuple[int, int]: span, and index in its block, of the first message that the last call did not decode
        readonly tuple reached

    def __cinit__(
        self, CompiledPlan plan, decode, dict tables not None, TableBuilder dead_letters not None, judge, dead_letter
    ):
        self.plan = plan
        self.decode = decode
        self.tables = tables
        self.builders = list(set(tables.values()))
        self.dead_letters = dead_letters
        self.judge = judge
        self.dead_letter = dead_letter
        self.payload = _Payload.__new__(_Payload)

    def decode_blocks(self, list spans not None):
        """Append messages [start, stop) of each `(block, start, stop)` in `spans`, in order.

        The GIL is free while the compiled plan runs, and offered now and then while msgspec decodes.

        Raises IndexError for a span that is not in its block; MemoryError, or what a user's hook raises, after
        which `reached` says how far it came.
        """
        cdef Py_ssize_t n = len(spans)
        cdef Py_ssize_t i
        cdef Run* runs = <Run*>calloc(<size_t>n + 1, sizeof(Run))
        self.reached = (0, 0)
        if runs == NULL:
            raise MemoryError
        try:
            for i in range(n):
                block, start, stop = spans[i]
                _begin_run(&runs[i], block, start, stop)
            i = 0
            try:
                self._decode_runs(spans, runs, &i, n)
            finally:
                self.reached = (i, runs[i].at)
        finally:
            free(runs)

    cdef int _decode_runs(self, list spans, Run* runs, Py_ssize_t* at, Py_ssize_t n) except -1:
        """Decode runs[at:n]; `at` advances to the first that is not at its end."""
        cdef bint hold_gil = False
        cdef Run* run
        cdef Block block
        cdef uint32_t stop
        while True:
            while at[0] < n and runs[at[0]].at == <uint32_t>spans[at[0]][2]:
                at[0] += 1
            if at[0] == n:
                return 0
            run = &runs[at[0]]
            block, _, stop = spans[at[0]]
            # Messages that were cut short are not for the plan.
            run.stop = stop if block.rejected is None else min(stop, block._next_rejected(run.at))
            if self.plan is not None and run.at < run.stop:
                if hold_gil:
                    run.stop = min(run.stop, run.at + PATIENCE)
                    self._run_plan(run, 1, True)
                    if run.at == run.stop:
                        hold_gil = False
                        continue
                elif run.stop < stop:
                    self._run_plan(run, 1, False)
                else:
                    self._run_plan(run, _clean_runs(spans, at[0], n), False)
                if run.at == stop:
                    continue
            self._general(block, run)
            hold_gil = True
            if self.num_judged % JUDGED_AT_ONCE == 0:
                with nogil:
                    pass

    cdef int _run_plan(self, Run* run, Py_ssize_t n, bint hold_gil) except -1:
        """Run the compiled plan over n runs, or up to the first message that it does not take."""
        cdef CompiledPlan plan = self.plan
        cdef uint64_t taken = 0
        if hold_gil:
            taken = _run_kernel(plan.kernel, &plan.decoder, run, n)
        else:
            with nogil:
                taken = _run_kernel(plan.kernel, &plan.decoder, run, n)
        for table in self.builders:
            (<TableBuilder>table).sync()
        self.num_fast += taken
        if plan.decoder.no_memory:
            raise MemoryError("cannot grow a column")
        return 0

    cdef int _general(self, Block block, Run* run) except -1:
        """Append the message at `run.at` by way of a struct."""
        cdef _Payload payload = self.payload
        cdef uint32_t i = run.at
        cdef int64_t seq = run.first_seq + i
        cdef int64_t received_at
        while i >= run.stamp_end:
            run.stamp += 1
            run.stamp_end += run.stamps[run.stamp].count
        received_at = run.stamps[run.stamp].received_at
        rejection = None if block.rejected is None else block._rejection(i)
        if rejection is not None:
            self._bury(self.dead_letter("message_too_big", rejection, block.payload(i)), block, seq, received_at)
        else:
            payload.data = block.data + block.offsets[i]
            payload.size = <Py_ssize_t>(block.offsets[i + 1] - block.offsets[i])
            try:
                row = self.decode(payload)
                (<TableBuilder>self.tables[type(row)]).append_row(row, seq, block.epoch, received_at, None)
            except Exception as error:
                self._ask_judge(error, block, i, seq, received_at)
        self.num_judged += 1
        run.at = i + 1
        return 0

    cdef int _bury(self, object letter, Block block, int64_t seq, int64_t received_at) except -1:
        return self.dead_letters.append_row(letter, seq, block.epoch, received_at, None)

    cdef int _ask_judge(self, object error, Block block, uint32_t i, int64_t seq, int64_t received_at) except -1:
        cdef bytes raw = PyBytes_FromStringAndSize(
            block.data + block.offsets[i], block.offsets[i + 1] - block.offsets[i])
        row, extra = self.judge(error, raw)
        table = self.tables.get(type(row))
        if table is None:
            return self._bury(row, block, seq, received_at)
        try:
            return (<TableBuilder>table).append_row(row, seq, block.epoch, received_at, extra)
        except ValueError as misfit:
            letter = self.dead_letter("schema_mismatch", str(misfit), raw)
            return self._bury(letter, block, seq, received_at)
