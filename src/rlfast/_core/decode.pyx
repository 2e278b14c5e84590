# cython: language_level=3
"""Blocks into columns: the compiled decoder for what is usual, msgspec for everything else."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from rlfast._core.block cimport Block
from rlfast._core.tables cimport TableBuilder
from rlfast._core.plan cimport CompiledPlan, Run
from rlfast._core.worker cimport PlanThread, run_kernel


cdef enum:
    # After a message for the general path, so many are decoded without giving up the GIL, or going to another
    # thread: where there is one such message there are often more.
    PATIENCE = 512


@cython.final
@cython.auto_pickle(False)
cdef class _Payload:
    # A payload as a buffer. Borrows from the block, valid during one decode call.
    cdef const char* data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)


cdef uint32_t _plan_stop(Run* run, Block block) except? 0:
    """How far the plan may go: messages that were cut short are not for it."""
    return run.end if block.rejected is None else min(run.end, block._next_rejected(run.at))


cdef int _begin_run(Run* run, Block block, uint32_t start, uint32_t stop) except -1:
    if stop > block.n_stamped or start > stop:
        raise IndexError(f"messages [{start}, {stop}) of a block with {block.n_stamped} stamped messages")
    run.data = <const unsigned char*>block.data
    run.offsets = block.offsets
    run.stamps = block.stamps
    run.first_seq = <int64_t>block.first_seq
    run.epoch = block.epoch
    run.at = start
    run.end = stop
    run.stop = _plan_stop(run, block)
    run.stamp = 0
    run.stamp_end = block.stamps[0].count if start < stop else 0
    return 0


@cython.final
cdef class BlockDecoder:
    """Decodes payloads into rows of tables. Every message becomes exactly one row, in order.

    The compiled plan takes the usual event, without the GIL and without a Python object. What it does not take
    is decoded with `decode`, and appended to the table of the row's type.

    Args:
        plan: CompiledPlan, or None to decode everything with `decode`.
        decode: callable, buffer -> (row object, text for `_extra` or None); must not keep a reference to the buffer.
        tables: dict, type of a row object -> TableBuilder.
        dead_letters: TableBuilder with the fields reason, error, raw.
        refuse: callable, (error, raw bytes) -> row object for one of `tables` or for `dead_letters`; it is asked about
            every payload that `decode` refuses, and about rows that do not fit their columns.
        dead_letter: callable, (error text, raw) -> row object for `dead_letters`, of a message that was rejected on
            arrival.
        split: callable, buffer -> list of buffers, the events of a message; or None: the message is one.
    """

    cdef:
        readonly CompiledPlan plan      #: CompiledPlan | None
        readonly object decode
        readonly dict tables
        list builders
        TableBuilder dead_letters
        readonly object refuse
        object dead_letter
        readonly object split           #: callable | None
        _Payload payload
        list spans                      #: list[tuple[Block, int, int]], what was begun
        Run* runs                       # one for each span, and one more; owned, freed in __dealloc__
        Py_ssize_t n_runs
        Py_ssize_t at                   # the first run that is not at its end
        bint submitted                  # to a thread, which owns all this until `collect`
        readonly uint64_t num_fast      # messages that the compiled plan took
        readonly uint64_t num_fallback  # messages that it did not take

    def __cinit__(
        self, CompiledPlan plan, decode, dict tables not None, TableBuilder dead_letters not None, refuse, dead_letter,
        split=None
    ):
        self.plan = plan
        self.decode = decode
        self.tables = tables
        self.builders = [*set(tables.values()), dead_letters]
        self.dead_letters = dead_letters
        self.refuse = refuse
        self.dead_letter = dead_letter
        self.split = split
        self.payload = _Payload.__new__(_Payload)
        self.spans = []

    def __dealloc__(self):
        free(self.runs)

    def begin(self, list spans not None):
        """Prepare to append messages [start, stop) of each `(block, start, stop)` in `spans`, in order.

        The blocks must stay as they are until all is decoded, or something raised. Raises IndexError for a span
        that is not in its block.
        """
        cdef Py_ssize_t n = len(spans)
        cdef Py_ssize_t i
        cdef Run* runs
        if self.submitted:
            raise RuntimeError("a thread is still at work on what was begun before")
        runs = <Run*>calloc(<size_t>n + 1, sizeof(Run))
        if runs == NULL:
            raise MemoryError
        free(self.runs)
        self.runs = runs
        self.spans = spans
        self.at = self.n_runs = 0
        for i in range(n):
            block, start, stop = spans[i]
            _begin_run(&runs[i], block, start, stop)
        self.n_runs = n
        self._skip_done()

    @property
    def has_plan(self):
        """Whether there is a compiled plan."""
        return self.plan is not None

    @property
    def done(self):
        """Whether everything that was begun is decoded."""
        return self.at == self.n_runs

    @property
    def reached(self):
        """Tuple of the span, and the index in its block, of the first message that is not decoded."""
        if self.runs == NULL:
            return 0, 0
        return self.at, self.runs[self.at].at

    def advance(self, Py_ssize_t max_slow, bint until_calm=False):
        """Decode on, here; the GIL is free while the compiled plan runs.

        Returns when all is done; when `max_slow` messages were left to the general path; or, with `until_calm`,
        when the compiled plan took `PATIENCE` messages in a row and so the rest may go to a thread.

        Raises MemoryError, or what a user's hook raises; `reached` then says how far it came.
        """
        cdef bint hold_gil = until_calm
        if self.submitted:
            raise RuntimeError("a thread is at work")
        cdef CompiledPlan plan = self.plan
        cdef Py_ssize_t n
        cdef Run* run
        cdef uint32_t stop
        cdef uint64_t taken
        while self.at < self.n_runs:
            run = &self.runs[self.at]
            if plan is not None and run.at < run.stop:
                if hold_gil:
                    # To get the GIL back from a busy thread takes longer than a few messages.
                    stop = run.stop
                    run.stop = min(stop, run.at + PATIENCE)
                    taken = run_kernel(plan.kernel, &plan.decoder, run, 1)
                    hold_gil = run.at < run.stop
                    run.stop = stop
                    self._account(taken)
                    if not hold_gil:
                        self._skip_done()
                        if until_calm:
                            return
                        continue
                else:
                    n = self.n_runs - self.at
                    with nogil:
                        taken = run_kernel(plan.kernel, &plan.decoder, run, n)
                    self._account(taken)
                    self._skip_done()
                    if self.at == self.n_runs:
                        return
                    run = &self.runs[self.at]
            self._general(<Block>self.spans[self.at][0], run)
            hold_gil = True
            self._skip_done()
            max_slow -= 1
            if max_slow <= 0:
                return

    def submit(self, PlanThread thread not None):
        """Have `thread` go on, up to the first message that is not for the compiled plan. Then `collect`."""
        if self.plan is None:
            raise RuntimeError("there is no compiled plan to run")
        if self.at == self.n_runs or self.submitted:
            raise RuntimeError("there is nothing to run, or it is running")
        thread.submit(self, self.plan.kernel, &self.plan.decoder, &self.runs[self.at], self.n_runs - self.at)
        self.submitted = True

    def collect(self, PlanThread thread not None):
        """Wait for the thread. Raises MemoryError if that is what ended it."""
        cdef uint64_t taken
        if not self.submitted:
            raise RuntimeError("nothing was submitted")
        taken = thread.collect()
        self.submitted = False
        self._account(taken)
        self._skip_done()

    cdef int _account(self, uint64_t taken) except -1:
        for table in self.builders:
            (<TableBuilder>table).sync()
        self.num_fast += taken
        if self.plan.decoder.no_memory:
            self._skip_done()
            raise MemoryError("cannot grow a column")
        return 0

    cdef int _skip_done(self) except -1:
        """Advance to the first run that is not at its end."""
        cdef Run* run
        while self.at < self.n_runs:
            run = &self.runs[self.at]
            if run.at < run.end:
                run.stop = _plan_stop(run, <Block>self.spans[self.at][0])
                return 0
            self.at += 1
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
            letter = self.dead_letter(rejection, block.payload(i))
            self.dead_letters.append_row(letter, seq, block.epoch, received_at, None, None)
        else:
            payload.data = block.data + block.offsets[i]
            payload.size = <Py_ssize_t>(block.offsets[i + 1] - block.offsets[i])
            if self.split is None:
                self._event(payload, seq, block.epoch, received_at, None)
            else:
                self._events(payload, seq, block.epoch, received_at)
        self.num_fallback += 1
        run.at = i + 1
        return 0

    cdef int _events(self, object payload, int64_t seq, int64_t epoch, int64_t received_at) except -1:
        """Append the events of a message that is an array; one that is bad leaves the others as they are."""
        try:
            events = self.split(payload)
        except Exception as error:
            return self._refuse(error, payload, seq, epoch, received_at, None)
        before = [(<TableBuilder>table).rows.rows for table in self.builders]
        try:
            for item, event in enumerate(events):
                self._event(event, seq, epoch, received_at, item)
        except BaseException:
            # The message will be read again, from its beginning.
            for table, rows in zip(self.builders, before):
                (<TableBuilder>table).truncate(rows)
            raise
        return 0

    cdef int _event(self, object payload, int64_t seq, int64_t epoch, int64_t received_at, object item) except -1:
        try:
            row, extra = self.decode(payload)
            (<TableBuilder>self.tables[type(row)]).append_row(row, seq, epoch, received_at, extra, item)
        except Exception as error:
            self._refuse(error, payload, seq, epoch, received_at, item)
        return 0

    cdef int _refuse(
        self, object error, object payload, int64_t seq, int64_t epoch, int64_t received_at, object item
    ) except -1:
        row = self.refuse(error, bytes(payload))
        table = <TableBuilder?>self.tables.get(type(row), self.dead_letters)
        return (<TableBuilder>table).append_row(row, seq, epoch, received_at, None, item)
