# cython: language_level=3
"""The numbers in messages, by which a feed says in which order they are: which do not follow the one before."""

cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from rlfast._core.block cimport Block, BlockTap
from rlfast._core.columns cimport StringTable, random_seed


cdef extern from "csrc/sequence.h" nogil:
    enum:
        RL_OK
        RL_FIRST
        RL_LAST
        RL_WHOSE
        RL_EACH
        RL_PLACES
    ctypedef struct Buffer "rl_buffer":
        uint8_t* data
        size_t size
    ctypedef struct Span "rl_span":
        const uint8_t* text
        size_t size
    ctypedef struct Step "rl_step":
        Span name
        int64_t index
    ctypedef struct Place "rl_pointer":
        const Step* steps
        uint32_t n_steps
    ctypedef struct Number "rl_number":
        uint64_t bits
        int negative
    ctypedef struct Jump "rl_jump":
        Number from_ "from"
        Number to
        int64_t received_at
        uint32_t message
        int32_t whose
    ctypedef struct Lexer "rl_decoder":
        int no_memory
    ctypedef struct State "rl_sequence":
        Place places[4]
        uint32_t in_message
        uint32_t in_element
        int64_t step
        uint8_t separator
        size_t rest
        Span undecided
        Lexer lexer
        Span found[4]
        StringTable names
        Buffer jumps
        size_t room
        uint64_t more
        uint32_t more_from
        uint64_t checked
        uint64_t n_jumps
        uint64_t skipped
        uint64_t unchecked
    uint32_t rl_check_messages(
        State* state, const uint8_t* data, const uint32_t* offsets, uint32_t at, uint32_t stop, int64_t received_at)
    int rl_check_order(State* state, const uint8_t* begin, uint32_t message, int64_t received_at)
    void rl_forget_order(State* state)
    void rl_free_sequence(State* state)


cdef enum:
    MOST_AT_ONCE = 10_000
    SECOND = 1_000_000_000


cdef object _integer(Number number):
    return <int64_t>number.bits if number.negative else number.bits


@cython.final
cdef class SequenceWatcher(BlockTap):
    """Reads the numbers of each message, and reports those that do not follow the one before.

    Owns what it remembers: the last number of each name, of 65,536 names at most. Borrows messages during `see`.

    Of a flood it reports 10,000 one by one, then one for each second.

    Args:
        first, last, whose, each: where the number is; the last number, if a message says from where to where its
            are; the name of whose it is; and the array each element of which has one. A place is a tuple of names,
            or None; with `each`, those of `first` and `last` count from the element.
        whose_in_element: whether that of `whose` does, too.
        step: from a number to the next one.
        per_connection: whether they begin anew with each connection.
        separator: between the documents of a message, each of which has numbers; 0: a message is one.
        find: callable, bytes of a document -> list of (first, last, whose), each of them JSON or None: what is at
            these places. It is asked about messages that are not in the usual form, and returns none for those that
            are no JSON.
        report: callable, (jumps, more, epoch, received_at) -> None. A jump is (seq, from, to, name as JSON or None,
            when `from` was received); `more` is the seq of the first one that is not among them, or None.
    """

    cdef:
        State state
        Step* steps                 # owned, of all places
        readonly tuple places       # keeps the names alive that the steps point to
        bint per_connection
        uint32_t epoch
        object find
        object report
        int64_t allowed             # jumps to be reported one by one
        int64_t allowed_at          # when that was counted

    def __cinit__(self, tuple first not None, last, whose, each, bint whose_in_element, int64_t step,
                  bint per_connection, uint8_t separator, find, report):
        cdef int i
        cdef Py_ssize_t n = 0
        cdef bytes name
        if step < 0:
            raise ValueError("the step is at least 0")
        self.places = tuple(
            None if place is None else tuple([one.encode() for one in place]) for place in (first, last, whose, each)
        )
        self.steps = <Step*>calloc(sum([len(place) for place in self.places if place]) + 1, sizeof(Step))
        if self.steps == NULL:
            raise MemoryError
        for i, place in enumerate(self.places):
            if place is None:
                continue
            # Not NULL without steps either, which says that the place is looked for.
            self.state.places[i].steps = self.steps + n
            self.state.places[i].n_steps = <uint32_t>len(place)
            for name in place:
                self.steps[n].name.text = <const uint8_t*>name
                self.steps[n].name.size = len(name)
                is_index = name.isdigit() and len(name) < 19 and (name == b"0" or name[0] != 48)
                self.steps[n].index = int(name) if is_index else -1
                n += 1
            if each is not None and (i == RL_FIRST or i == RL_LAST or (i == RL_WHOSE and whose_in_element)):
                self.state.in_element |= 1 << i
            else:
                self.state.in_message |= 1 << i
        self.state.step = step
        self.state.separator = separator
        self.state.names.seed[0] = random_seed()
        self.state.names.seed[1] = random_seed()
        self.per_connection = per_connection
        self.find = find
        self.report = report
        self.allowed = MOST_AT_ONCE

    def __dealloc__(self):
        rl_free_sequence(&self.state)
        free(self.steps)

    @property
    def checked(self):
        """Numbers so far, the first one of each name included."""
        return self.state.checked

    @property
    def irregular(self):
        """Numbers so far that did not follow the one before."""
        return self.state.n_jumps

    @property
    def skipped(self):
        """Numbers so far that were jumped over."""
        return self.state.skipped

    @property
    def unchecked(self):
        """Numbers so far that were no integers, or of names for which there was no room."""
        return self.state.unchecked

    cdef bint see(self, Block block, uint32_t start, uint32_t stop, int64_t received_at) except -1:
        cdef State* state = &self.state
        cdef uint32_t at = start
        cdef uint32_t end
        cdef bytes text
        if self.per_connection and block.epoch != self.epoch:
            rl_forget_order(state)
        self.epoch = block.epoch
        # Clocks are set back, too.
        if received_at - self.allowed_at >= SECOND or received_at < self.allowed_at:
            self.allowed = min(self.allowed + max(0, (received_at - self.allowed_at) // SECOND), MOST_AT_ONCE)
            self.allowed_at = received_at
        state.room = <size_t>self.allowed
        while at < stop:
            end = stop if block.rejected is None else min(stop, block._next_rejected(at))
            at = rl_check_messages(state, <const uint8_t*>block.data, block.offsets, at, end, received_at)
            if at == stop:
                break
            if state.lexer.no_memory:
                state.lexer.no_memory = 0
                raise MemoryError("cannot remember a number of a message")
            if at < end:
                text = (<const char*>state.undecided.text)[:state.undecided.size]
                self._general(text, at, received_at)
                if state.separator:
                    # Behind it there may be others.
                    continue
            state.rest = 0
            at += 1
        if state.jumps.size or state.more:
            self._report(block, received_at)
        return True

    cdef int _general(self, bytes document, uint32_t index, int64_t received_at) except -1:
        """A document of the message at `index`, by way of Python."""
        cdef bytes text
        cdef int i
        for found in self.find(document):
            for i, text in enumerate(found):
                self.state.found[i].text = NULL
                if text is not None:
                    self.state.found[i].text = <const uint8_t*>text
                    self.state.found[i].size = len(text)
            text = found[RL_WHOSE] or b""
            if rl_check_order(&self.state, <const uint8_t*>text, index, received_at) != RL_OK:
                raise MemoryError("cannot remember a number of a message")
        return 0

    cdef int _report(self, Block block, int64_t received_at) except -1:
        cdef State* state = &self.state
        cdef Jump* jump = <Jump*>state.jumps.data
        cdef size_t n = state.jumps.size // sizeof(Jump)
        cdef size_t i
        cdef const int32_t* ends
        cdef list jumps = []
        cdef bytes name
        for i in range(n):
            ends = <const int32_t*>state.names.offsets.data + jump[i].whose
            name = (<const char*>state.names.data.data)[ends[0]:ends[1]]
            jumps.append((
                block.first_seq + jump[i].message, _integer(jump[i].from_), _integer(jump[i].to), name or None,
                jump[i].received_at,
            ))
        more = block.first_seq + state.more_from if state.more else None
        state.jumps.size = 0
        state.more = 0
        self.allowed -= <int64_t>n
        self.report(jumps, more, block.epoch, received_at)
        return 0
