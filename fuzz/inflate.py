"""DEFLATE (RFC 1951) and the receiving half of permessage-deflate (RFC 7692), written to be read.

One bit after the other, one byte of output after the other, and no table but those of the RFC: the judge of
what zlib and the frame loop make of a compressed message.
"""

from __future__ import annotations

from collections.abc import Iterator

WINDOW = 32768

# RFC 1951 section 3.2.5: base and extra bits of lengths (symbols 257 to 285) and of distances.
LENGTHS = [
    *[(3 + i, 0) for i in range(8)],
    *[(11 + 2 * i, 1) for i in range(4)],
    *[(19 + 4 * i, 2) for i in range(4)],
    *[(35 + 8 * i, 3) for i in range(4)],
    *[(67 + 16 * i, 4) for i in range(4)],
    *[(131 + 32 * i, 5) for i in range(4)],
    (258, 0),
]
DISTANCES = [(1, 0), (2, 0), (3, 0), (4, 0)] + [
    (1 + (2 + half << extra), extra) for extra in range(1, 14) for half in range(2)
]
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


class NotDeflateError(ValueError):
    """The bytes are no DEFLATE stream."""


class Code:
    """A prefix code, from the lengths of its words (RFC 1951 section 3.2.2)."""

    def __init__(self, lengths: list[int], *, may_be_incomplete: bool) -> None:
        self.words: dict[tuple[int, int], int] = {}
        self.longest = max(lengths, default=0)
        word = 0
        left = 1
        for n in range(1, 16):
            word <<= 1
            left <<= 1
            for symbol, length in enumerate(lengths):
                if length == n:
                    self.words[n, word] = symbol
                    word += 1
                    left -= 1
            if left < 0:
                raise NotDeflateError("over-subscribed code")
        # zlib takes an incomplete code where it has one word of one bit, or none.
        if left > 0 and not (may_be_incomplete and self.longest <= 1):
            raise NotDeflateError("incomplete code")

    def read(self, bits: Bits) -> Iterator[None]:
        word = 0
        for n in range(1, max(self.longest, 1) + 1):
            yield from bits.need(1)
            word = word << 1 | bits.take(1)
            if (n, word) in self.words:
                self.symbol = self.words[n, word]
                return
        raise NotDeflateError("no word of the code")


class Bits:
    """Bits of the bytes so far (RFC 1951 section 3.1.1); `need` yields until there are enough."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.at = 0  # in bits

    def need(self, n: int) -> Iterator[None]:
        while self.at + n > 8 * len(self.data):
            yield

    def take(self, n: int) -> int:
        value = 0
        for i in range(n):
            value |= (self.data[self.at >> 3] >> (self.at & 7) & 1) << i
            self.at += 1
        return value


# What zlib makes of a code for lengths that has no word: each bit is a length of 0. It refuses the block later.
NO_CODE = Code([1, 1], may_be_incomplete=False)
NO_CODE.words = {(1, 0): 0, (1, 1): 0}

FIXED = (
    Code([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, may_be_incomplete=False),
    Code([5] * 32, may_be_incomplete=False),
)


class Inflate:
    """The peer's compression context; `out` is what the message in progress stands for so far."""

    def __init__(self, resets: bool) -> None:
        self.resets = resets
        self.window = bytearray()
        self.out = bytearray()
        self._begin()

    def _begin(self) -> None:
        self.bits = Bits()
        self.in_block = False
        self.ended = False
        self._steps = self._stream()

    def feed(self, data: bytes, limit: int) -> bool:
        """Inflate until `data` is used up, or more than `limit` bytes came out (False).

        Raises:
            NotDeflateError: it is none.
        """
        self.bits.data += data
        for _ in self._steps:
            if len(self.out) > limit:
                return False
            # One step is a byte of output, or a wait for more input.
            if self._waiting:
                break
        return True

    def end_message(self) -> bool:
        """The message is over. Returns whether it ended where a block does."""
        whole = not self.in_block
        self.out = bytearray()
        if self.resets:
            self.window = bytearray()
            self._begin()
        return whole

    def _emit(self, byte: int) -> None:
        self.out.append(byte)
        self.window.append(byte)
        if len(self.window) > 2 * WINDOW:
            del self.window[:-WINDOW]

    def _need(self, n: int) -> Iterator[None]:
        for _ in self.bits.need(n):
            self._waiting = True
            yield
        self._waiting = False

    def _stream(self) -> Iterator[None]:
        """Streams one after the other: a sender may end its stream with a message (RFC 7692 section 7.2.3.4)."""
        bits = self.bits
        while True:
            self._waiting = False
            yield from self._need(1)
            self.in_block = True
            last = bits.take(1)
            yield from self._need(2)
            kind = bits.take(2)
            if kind == 0:
                bits.at = (bits.at + 7) // 8 * 8
                yield from self._need(32)
                n, complement = bits.take(16), bits.take(16)
                if n != complement ^ 0xFFFF:
                    raise NotDeflateError("stored block of two lengths")
                for _ in range(n):
                    yield from self._need(8)
                    self._emit(bits.take(8))
                    yield
            elif kind == 3:
                raise NotDeflateError("block of no kind")
            else:
                if kind == 1:
                    codes = FIXED
                else:
                    yield from self._dynamic()
                    codes = self.codes
                yield from self._block(*codes)
            self.in_block = False
            # Forget what was read.
            del bits.data[: bits.at >> 3]
            bits.at &= 7
            if last:
                bits.at = (bits.at + 7) // 8 * 8

    def _symbol(self, code: Code) -> Iterator[None]:
        for _ in code.read(self.bits):
            self._waiting = True
            yield
        self._waiting = False

    def _block(self, literals: Code, distances: Code) -> Iterator[None]:
        bits = self.bits
        while True:
            yield from self._symbol(literals)
            symbol = literals.symbol
            if symbol == 256:
                return
            if symbol < 256:
                self._emit(symbol)
                yield
                continue
            if symbol > 285:
                raise NotDeflateError("no length")
            base, extra = LENGTHS[symbol - 257]
            yield from self._need(extra)
            length = base + bits.take(extra)
            yield from self._symbol(distances)
            if distances.symbol > 29:
                raise NotDeflateError("no distance")
            base, extra = DISTANCES[distances.symbol]
            yield from self._need(extra)
            distance = base + bits.take(extra)
            if distance > min(len(self.window), WINDOW):
                raise NotDeflateError("distance too far back")
            for _ in range(length):
                self._emit(self.window[-distance])
                yield

    def _dynamic(self) -> Iterator[None]:
        """Codes of a block that brings its own (RFC 1951 section 3.2.7)."""
        bits = self.bits
        yield from self._need(14)
        n_literals, n_distances, n_lengths = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
        if n_literals > 286 or n_distances > 30:
            raise NotDeflateError("too many symbols")
        lengths = [0] * 19
        for i in range(n_lengths):
            yield from self._need(3)
            lengths[ORDER[i]] = bits.take(3)
        code = Code(lengths, may_be_incomplete=False) if any(lengths) else NO_CODE
        lengths = []
        while len(lengths) < n_literals + n_distances:
            yield from self._symbol(code)
            symbol = code.symbol
            if symbol < 16:
                lengths.append(symbol)
                continue
            if symbol == 16 and not lengths:
                raise NotDeflateError("nothing to repeat")
            extra, least = {16: (2, 3), 17: (3, 3), 18: (7, 11)}[symbol]
            yield from self._need(extra)
            times = least + bits.take(extra)
            lengths += [lengths[-1] if symbol == 16 else 0] * times
            if len(lengths) > n_literals + n_distances:
                raise NotDeflateError("too many lengths")
        if lengths[256] == 0:
            raise NotDeflateError("no end of block")
        self.codes = (
            Code(lengths[:n_literals], may_be_incomplete=True),
            Code(lengths[n_literals:], may_be_incomplete=True),
        )
