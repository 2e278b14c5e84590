# cython: language_level=3
"""Keep-alives of the application: found among the messages, taken out of the stream, answered."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from rlfast._core.block cimport MessageScreen

cdef extern from "csrc/screen.h" nogil:
    ctypedef struct Needle "rl_needle":
        size_t size
    Needle rl_make_needle(const uint8_t* text, size_t size)
    bint rl_contains(const uint8_t* p, size_t n, const Needle* needle)
    bint rl_is_white(uint8_t byte)
    bint rl_is_one_of(const uint8_t* p, size_t n, const Needle* texts, size_t count)


cdef enum:
    # How much of a message is searched, in bytes.
    WINDOW = 256
    # Of the messages of one read that are to be answered: what comes then replaces them.
    MAX_ASKED = 1 << 20


cdef struct Asked:
    uint32_t which
    size_t size


@cython.final
cdef class KeepAliveScreen(MessageScreen):
    """Finds messages to be ignored, and messages to be answered, by looking at their bytes.

    Owns copies of the messages of a socket read that are to be answered, until the read is over.

    Args:
        texts: messages that are to be ignored, and with them empty ones; None: none is, not even those.
        asks: for each answer, a text in the first 256 bytes of a message that asks for it, and whether such a
            message is ignored, too. The first one that is found counts.
        on_asked: callable, (index of the answer, the message), called at the end of the read. It must not raise.
    """

    cdef:
        list _kept                      #: list[bytes], that the needles borrow
        Needle* _texts
        size_t _num_texts
        size_t _longest                 # of the texts
        bint _ignores
        Needle* _asks
        uint32_t _num_asks
        bytes _drops                    # by ask: 1 if its messages are ignored
        object _on_asked
        uint8_t* _asked                 # an `Asked` and its payload, one after the other
        size_t _asked_size
        size_t _asked_capacity
        readonly uint64_t ignored

    def __cinit__(self, texts, asks, on_asked):
        cdef bytes text
        self._kept = []
        self._on_asked = on_asked
        self._ignores = texts is not None
        texts = list(texts or ())
        asks = list(asks)
        self._texts = <Needle*>malloc((len(texts) + 1) * sizeof(Needle))
        self._asks = <Needle*>malloc((len(asks) + 1) * sizeof(Needle))
        if self._texts == NULL or self._asks == NULL:
            raise MemoryError("cannot make a screen")
        for text in texts:
            self._kept.append(text)
            self._texts[self._num_texts] = rl_make_needle(text, <size_t>len(text))
            self._num_texts += 1
            self._longest = max(self._longest, <size_t>len(text))
        for text, _ in asks:
            if not text:
                raise ValueError("an empty text is in every message")
            self._kept.append(text)
            self._asks[self._num_asks] = rl_make_needle(text, <size_t>len(text))
            self._num_asks += 1
        self._drops = bytes(bool(drops) for _, drops in asks)

    def __dealloc__(self):
        free(self._texts)
        free(self._asks)
        free(self._asked)

    cdef bint takes(self, const char* payload, size_t n) except -1:
        cdef const uint8_t* p = <const uint8_t*>payload
        cdef uint32_t i
        if self._ignores and (n <= self._longest or rl_is_white(p[0]) or rl_is_white(p[n - 1])):
            if rl_is_one_of(p, n, self._texts, self._num_texts):
                self.ignored += 1
                return False
        for i in range(self._num_asks):
            if rl_contains(p, min(n, <size_t>WINDOW), &self._asks[i]):
                self._ask(i, p, n)
                if (<const char*>self._drops)[i]:
                    self.ignored += 1
                    return False
                return True
        return True

    cdef void _ask(self, uint32_t which, const uint8_t* p, size_t n) noexcept:
        """Copy a message that is to be answered. Without memory for it, it is not."""
        cdef Asked asked
        cdef size_t needed = sizeof(Asked) + n
        cdef uint8_t* grown
        if self._asked_size + needed > MAX_ASKED:
            self._asked_size = 0
        needed += self._asked_size
        if needed > self._asked_capacity:
            grown = <uint8_t*>realloc(self._asked, max(2 * needed, <size_t>256))
            if grown == NULL:
                return
            self._asked = grown
            self._asked_capacity = max(2 * needed, <size_t>256)
        asked.which = which
        asked.size = n
        memcpy(self._asked + self._asked_size, &asked, sizeof(Asked))
        memcpy(self._asked + self._asked_size + sizeof(Asked), p, n)
        self._asked_size = needed

    cdef int end_read(self) except -1:
        cdef Asked asked
        cdef size_t at = 0
        cdef list found
        if self._asked_size == 0:
            return 0
        found = []
        while at < self._asked_size:
            memcpy(&asked, self._asked + at, sizeof(Asked))
            at += sizeof(Asked)
            found.append((asked.which, PyBytes_FromStringAndSize(<char*>self._asked + at, <Py_ssize_t>asked.size)))
            at += asked.size
        self._asked_size = 0
        # One large message must not hold its memory for the rest of the connection.
        if self._asked_capacity > 65536:
            free(self._asked)
            self._asked = NULL
            self._asked_capacity = 0
        for which, payload in found:
            self._on_asked(which, payload)
        return 0
