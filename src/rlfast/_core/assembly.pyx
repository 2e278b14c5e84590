# cython: language_level=3
"""Data frames to messages, by the rules of RFC 6455 and RFC 7692; messages into blocks. No input or output."""

cimport cython
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from rlfast._core.encodings cimport BROKEN, MORE

cdef extern from "csrc/utf8.h" nogil:
    int64_t rl_utf8_prefix(const unsigned char* text, size_t n)


cdef enum:
    # How much of a message over the limit is kept for its dead letter.
    MAX_REJECTED_PREFIX = 65536
    # Compressed messages up to this size are inflated in less time than it takes to get the GIL back.
    INFLATED_WITH_GIL = 4096
    # RFC 6455 section 7.4.1.
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009

# RFC 7692 section 7.2.2: what a sender leaves out at the end of each message.
cdef char* MESSAGE_TAIL = b"\x00\x00\xff\xff"

cdef str NOT_UTF8 = "text message is not UTF-8"

NOT_ENCODED = "binary message is not"
"""How the error of a message begins that `decoder` refused. Any other one that was rejected was too big."""

# Stands for the payload of an empty message: a null pointer may not be copied from, not even zero bytes.
cdef char* EMPTY = b""


@cython.final
cdef class MessageAssembler:
    """The data frames of one connection, in order, to messages in the queue.

    It never raises for what a peer sends: what breaks a rule is kept in its place in the stream as far as it is a
    message, `error` says what was wrong, and the connection is to be failed with that.

    Owns the buffer of the fragmented message in progress. Borrows payloads during a call only.

    Args:
        queue: where messages go.
        max_message_size: bound in bytes on one message, all fragments together.
    """

    def __cinit__(self, BlockQueue queue not None, size_t max_message_size):
        self.queue = queue
        self.max_message_size = max_message_size

    def __dealloc__(self):
        free(self._m_data)

    cdef const uint8_t* take_plain(self, const uint8_t* p, const uint8_t* end) except NULL:
        """Take the messages at `p` that are whole, of one frame and not compressed, as nearly all are.

        Returns where the first frame stands that is to be read by itself and given to `take`.
        """
        if self._m_active or self.discarding:
            return p
        return self.queue.append_frames(
            p, end, self.max_message_size, &self.binary_messages, self.decoder is not None)

    cdef bint take(self, int opcode, bint fin, int rsv, const char* payload, size_t n) except -1:
        """Take one data frame. Returns False if the connection must be failed with `error`."""
        if (rsv & 3) or (rsv and (self.inflater is None or opcode == CONTINUATION)):
            # RFC 6455 section 5.2: no extension was negotiated that defines a meaning for these bits. The first
            # one is the first frame's of a compressed message (RFC 7692 section 6).
            return self.fail(PROTOCOL_ERROR, "frame with a reserved bit set")
        if opcode == CONTINUATION:
            if not self._m_active:
                # RFC 6455 section 5.4
                return self.fail(PROTOCOL_ERROR, "continuation frame without a message to continue")
            return self._fragment(fin, payload, n)
        if self._m_active:
            return self.fail(PROTOCOL_ERROR, "new message inside a fragmented one")
        if fin:
            if rsv:
                return self._compressed_message(opcode, payload, n)
            return self._message(opcode, payload, n)
        self._m_active = True
        self._m_size = self._m_valid = 0
        self._m_text = opcode == TEXT
        self._m_compressed = rsv != 0
        return self._fragment(fin, payload, n)

    cdef bint _message(self, int opcode, const char* payload, size_t n) except -1:
        if self.discarding:
            self.discarded_messages += 1
            return True
        if n > self.max_message_size:
            return self.reject(payload, n, n)
        if opcode == BINARY:
            if self.decoder is not None and n:
                return self._encoded_message(payload, n)
            self.binary_messages += 1
        elif rl_utf8_prefix(<const unsigned char*>payload, n) != <int64_t>n:
            return self._not_utf8(payload, n)
        self.queue.append(payload, n)
        return True

    cdef bint _fragment(self, bint fin, const char* payload, size_t n) except -1:
        """Take one frame of a fragmented message."""
        cdef int64_t valid
        if self._m_compressed:
            if not self._inflate(payload, n, fin, False):
                return False
        elif not self._assemble(payload, n):
            return False
        if self._m_text and not fin and self._m_size and not self.discarding:
            # Not only at the end: nothing that follows can mend it (RFC 6455 section 8.1).
            valid = rl_utf8_prefix(<unsigned char*>self._m_data + self._m_valid, self._m_size - self._m_valid)
            if valid < 0:
                self._m_active = False
                return self._not_utf8(self._m_data, self._m_size)
            self._m_valid += <size_t>valid
        if not fin:
            return True
        self._m_active = False
        cdef bint taken = self._message(
            TEXT if self._m_text else BINARY, self._m_data if self._m_data != NULL else EMPTY, self._m_size)
        # One large message must not hold its memory for the rest of the connection.
        if self._m_capacity > (1 << 20):
            free(self._m_data)
            self._m_data = NULL
            self._m_capacity = 0
        return taken

    cdef int _reserve(self, size_t n) except -1:
        """Room for n bytes of the message in progress; n may be one more than max_message_size."""
        cdef size_t capacity
        cdef char* grown
        if n <= self._m_capacity:
            return 0
        capacity = max(min(max(2 * self._m_capacity, <size_t>4096), self.max_message_size), n)
        grown = <char*>realloc(self._m_data, capacity)
        if grown == NULL:
            raise MemoryError(f"cannot assemble a message of {n} bytes")
        self._m_data = grown
        self._m_capacity = capacity
        return 0

    cdef bint _assemble(self, const char* payload, size_t n) except -1:
        """Append to the message in progress; False if it became too big."""
        if self._m_size + n > self.max_message_size:
            return self.reject(self._m_data, self._m_size, self._m_size + n)
        self._reserve(self._m_size + n)
        if n:
            memcpy(self._m_data + self._m_size, payload, n)
        self._m_size += n
        return True

    cdef bint _encoded_message(self, const char* payload, size_t n) except -1:
        """A binary message of the application's own encoding: decode a small one where it will stay, in the block."""
        cdef size_t room = 0
        cdef char* start = self.queue.room(&room)
        cdef char* space = start
        cdef int result = MORE
        self.decoder.begin(payload, n)
        room = min(room, self.max_message_size)
        # Who else may run could read what stands in front of it, and so make the block begin anew.
        if room and n <= self.decoder.at_once:
            result = self.decoder.run(&space, &room)
        if result == MORE:
            return self._encoded_apart(payload, n, start, <size_t>(space - start))
        if result == BROKEN:
            return self._not_encoded(payload, n)
        self.binary_messages += 1
        self.queue.append_in_place(<size_t>(space - start))
        return True

    cdef bint _encoded_apart(self, const char* payload, size_t n, const char* start, size_t size) except -1:
        """Go on elsewhere, and copy the message: there is too little room in the block, or it takes long."""
        cdef char* data = NULL
        cdef char* grown
        cdef char* space
        cdef size_t capacity, room
        cdef int result = MORE
        try:
            # One byte more than allowed tells a message that is too big from one that just fits.
            while result == MORE and size <= self.max_message_size:
                capacity = min(max(2 * size, 4 * n, <size_t>4096), self.max_message_size + 1)
                grown = <char*>realloc(data, capacity)
                if grown == NULL:
                    raise MemoryError(f"cannot decode a message of {capacity} bytes")
                if data == NULL and size:
                    memcpy(grown, start, size)
                data = grown
                space = data + size
                room = capacity - size
                result = self.decoder.run(&space, &room)
                size = <size_t>(space - data)
            # What is too big comes first: it stands before what is broken.
            if size > self.max_message_size:
                return self.reject(data, size, size)
            if result == BROKEN:
                return self._not_encoded(payload, n)
            self.binary_messages += 1
            self.queue.append(data, size)
            return True
        finally:
            free(data)

    cdef bint _not_encoded(self, const char* payload, size_t n) except -1:
        """Keep a message that is no such data, or a prefix of it, in its place; the connection is all right."""
        self.binary_messages += 1
        self.queue.append_rejected(
            payload, min(n, <size_t>MAX_REJECTED_PREFIX),
            f"{NOT_ENCODED} {self.decoder.name} data: {self.decoder.fault}")
        return True

    cdef bint _compressed_message(self, int opcode, const char* payload, size_t n) except -1:
        """A compressed message of one frame, as nearly all are: inflate it where it will stay, in the block."""
        cdef Inflater inflater = self.inflater
        cdef size_t room = 0
        cdef size_t left = n
        cdef size_t size
        cdef char* start = self.queue.room(&room)
        cdef char* space = start
        cdef bint in_tail = False
        cdef bint failed = False
        if self.discarding:
            self.discarded_messages += 1
            return True
        # What has an encoding inside is not for the block.
        room = 0 if opcode == BINARY and self.decoder is not None else min(room, self.max_message_size)
        while room and not failed:
            if n > INFLATED_WITH_GIL:
                with nogil:
                    failed = inflater.run(&payload, &left, &space, &room)
            else:
                failed = inflater.run(&payload, &left, &space, &room)
            if room == 0 or in_tail:
                break
            payload = MESSAGE_TAIL
            left = 4
            in_tail = True
        size = <size_t>(space - start)
        if failed or (room and not inflater.end_message()):
            return self._not_deflate()
        if room == 0:
            # The rest of the block is too small: assemble the message elsewhere and copy it.
            self._m_size = 0
            if size:
                self._assemble(start, size)
            if not self._inflate(payload, left, True, in_tail):
                return False
            return self._message(opcode, self._m_data if self._m_data != NULL else EMPTY, self._m_size)
        if opcode == BINARY:
            self.binary_messages += 1
        elif rl_utf8_prefix(<const unsigned char*>start, size) != <int64_t>size:
            self.queue.append_in_place(size, False)
            return self.fail(INVALID_TEXT, NOT_UTF8)
        self.queue.append_in_place(size)
        return True

    cdef bint _inflate(self, const char* payload, size_t n, bint last, bint in_tail) except -1:
        """Append what the bytes stand for to the message in progress; False if the connection must be failed."""
        cdef Inflater inflater = self.inflater
        cdef char* space
        cdef size_t room
        cdef bint failed
        if self.discarding:
            self._m_size = 0
            return True
        while True:
            # One byte more than allowed tells a message that is too big from one that just fits.
            self._reserve(self._m_size + 1)
            space = self._m_data + self._m_size
            room = self._m_capacity - self._m_size
            with nogil:
                failed = inflater.run(&payload, &n, &space, &room)
            self._m_size = <size_t>(space - self._m_data)
            # What is too big comes first: it stands before what cannot be inflated.
            if self._m_size > self.max_message_size:
                self._m_active = False
                return self.reject(self._m_data, self._m_size, self._m_size)
            if failed:
                return self._not_deflate()
            if room == 0:
                continue
            if not last:
                return True
            if in_tail:
                break
            payload = MESSAGE_TAIL
            n = 4
            in_tail = True
        if not inflater.end_message():
            return self._not_deflate()
        return True

    cdef bint _not_deflate(self) except -1:
        return self.fail(INVALID_TEXT, "compressed message is not DEFLATE data")

    cdef bint reject(self, const char* prefix, size_t kept, uint64_t size) except -1:
        """Keep a prefix of a message that is too big in its place in the stream; 1009. Returns False."""
        cdef str text = f"message of {size} bytes or more exceeds max_message_size={self.max_message_size}"
        self.oversized_messages += 1
        if not self.discarding:
            self.queue.append_rejected(
                prefix if prefix != NULL else EMPTY, min(kept, <size_t>MAX_REJECTED_PREFIX), text)
        return self.fail(MESSAGE_TOO_BIG, text)

    cdef bint _not_utf8(self, const char* payload, size_t n) except -1:
        """Keep the message, which no decoder will take, in its place in the stream. Returns False."""
        if not self.discarding:
            self.queue.append(payload, n, False)
        return self.fail(INVALID_TEXT, NOT_UTF8)

    cdef bint fail(self, int code, str reason) except -1:
        """RFC 6455 section 7.1.7: the connection must be failed. Returns False."""
        self.error = (code, reason)
        return False
