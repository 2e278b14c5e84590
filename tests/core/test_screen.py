"""What is found among the messages, and taken out, however the bytes are cut into frames and reads.

They go through picows and the frame loop as the fuzzer drives them.
"""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import pytest
from capture.crashing import journal_messages
from capture.test_journal import Keeper
from fuzz import frame_seeds as seeds
from fuzz.frames import HEAD, Execution
from fuzz.rfc6455 import BINARY, CONTINUATION, PING, TEXT
from hypothesis import given, settings
from hypothesis import strategies as st

from rlfast._core.queue import BlockQueue
from rlfast._core.screen import KeepAliveScreen

TEXTS = [b"pong", b"+", b'{"type":"ka"}']
ASKS = [(b'"ping"', False), (b"drop", True), ("é?".encode(), False), (b"g", True)]
SPACE = b" \t\n\v\f\r"

Asked = list[tuple[int, bytes]]


def judge(
    payload: bytes, texts: list[bytes] | None, asks: list[tuple[bytes, bool]]
) -> tuple[bool, int | None]:
    """Whether a message is kept, and by whom it is answered."""
    if texts is not None and payload.strip(SPACE) in (b"", *texts):
        return False, None
    for which, (text, drops) in enumerate(asks):
        if text in payload[:256]:
            return not drops, which
    return True, None


class Screened(Execution):
    """An execution with a screen; what the judge of frames says goes through `judge`."""

    def __init__(self, data: bytes, texts: list[bytes] | None, out: Path | None = None) -> None:
        self.texts = texts
        self.out = out
        self.asked: Asked = []
        super().__init__(data)

    def _connect(self) -> None:
        super()._connect()
        self.screen = self.queue.screen = KeepAliveScreen(
            self.texts, ASKS, lambda which, payload: self.asked.append((which, payload))
        )
        if self.out is not None:
            self.keeper = Keeper(self.out)
            self.queue.attach(self.keeper.journal.writer)

    def _compare(self, what: str, got: object, expected: Any) -> None:
        if what == "messages":
            kept, asked = [], []
            is_text = self.frame_handler.error != (1007, "text message is not UTF-8")
            for left, (payload, rejected) in zip(reversed(range(len(expected))), expected, strict=True):
                stays, which = judge(payload, self.texts, ASKS)
                # What fails the connection is kept, whatever it looks like.
                if rejected or (left == 0 and not is_text):
                    stays, which = True, None
                if stays:
                    kept.append((payload, rejected))
                if which is not None:
                    asked.append((which, payload))
            assert self.asked == asked
            assert self.screen.ignored == len(expected) - len(kept)
            expected = kept
        super()._compare(what, got, expected)


PAYLOADS = st.one_of(
    st.sampled_from(
        [b"pong", b" pong\r\n", b"pong pong", b"", b" ", b"\n\n", b"+", b"-+", b"drop", b"{}", "é?".encode()]
    ),
    st.integers(0, 10**12).map(lambda n: b'{"ping":%d}' % n),
    st.builds(
        lambda n, text: b"x" * n + text,
        st.sampled_from([*range(20), *range(240, 260), 1000, 70_000]),
        st.sampled_from([b"drop", b'"ping"', b"pong", "é?".encode(), b""]),
    ),
    st.text(max_size=30).map(str.encode),
)
FORMS = st.sampled_from(
    ["text", "text", "text", "binary", "fragments", "pings between", "compressed", "both"]
)
SIZES = st.integers(0, 164)


def stream_of(messages: list[tuple[bytes, str]], deflate: bool) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    stream = b""
    for payload, form in messages:
        rsv = 0
        if deflate and form in ("compressed", "both"):
            payload = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
            rsv = 4
        if form in ("fragments", "pings between", "both"):
            half = len(payload) // 2
            stream += seeds.frame(payload[:half], TEXT, fin=False, rsv=rsv)
            stream += seeds.frame(b"p", PING) if form == "pings between" else b""
            stream += seeds.frame(payload[half:], CONTINUATION)
        else:
            stream += seeds.frame(payload, BINARY if form == "binary" else TEXT, rsv=rsv)
    return stream


@given(
    flags=st.integers(0, 255),
    seed=st.integers(0, 255),
    sizes=SIZES,
    texts=st.sampled_from([None, [], TEXTS]),
    messages=st.lists(st.tuples(PAYLOADS, FORMS), max_size=25),
    end=st.sampled_from([b"", b"pong", seeds.frame(b"drop\xff"), seeds.frame(b"drop \xc3", fin=False)]),
)
@settings(deadline=None, max_examples=300)
def test_messages_are_screened_as_one_by_one(
    flags: int,
    seed: int,
    sizes: int,
    texts: list[bytes] | None,
    messages: list[tuple[bytes, str]],
    end: bytes,
) -> None:
    flags &= ~seeds.OWN_ANSWER & ~seeds.RESETS
    head = bytes([flags, seed, sizes]).ljust(HEAD, b"\0")
    stream = stream_of(messages, bool(flags & seeds.DEFLATE))
    # Two of the first byte are a repetition to the fuzzer; text holds none.
    Screened(head + stream + end, texts)


@pytest.mark.parametrize("split", seeds.SPLITS.values(), ids=list(seeds.SPLITS))
def test_a_journal_gets_what_is_kept_and_no_number_is_left_out(split: int, tmp_path: Path) -> None:
    draw = random.Random(split)
    payloads = [
        draw.choice([b"pong", b'{"ping":%d}' % n, b"drop", b"%d" % n, b"", b"y" * draw.randrange(300)])
        for n in range(500)
    ]
    forms = draw.choices(["text", "binary", "fragments", "compressed"], k=len(payloads))
    # A queue of small blocks, of which many are filled in one read.
    head = seeds.settings(split | seeds.DEFLATE, seed=3, queue=1)
    done = Screened(head + stream_of(list(zip(payloads, forms, strict=True)), True), TEXTS, tmp_path)
    done.keeper.journal.close(delete=False)
    found = journal_messages(tmp_path)
    kept = [payload for payload in payloads if judge(payload, TEXTS, ASKS)[0]]
    assert list(found) == list(range(len(kept)))
    assert list(found.values()) == [payload for payload, _ in done.got] == kept
    assert 100 < len(kept) < 400


def test_screens_are_asked_one_after_the_other() -> None:
    queue = BlockQueue(1 << 16, 1 << 20, 0)
    asked: list[Asked] = [[], []]
    queue.screen = KeepAliveScreen([b"first"], [(b"a", False)], lambda *call: asked[0].append(call))
    queue.screen.next = KeepAliveScreen(
        [b"second"], [(b"b", True), (b"a", False)], lambda *call: asked[1].append(call)
    )
    for payload in (b"first", b"second", b"a", b"ab", b"c"):
        queue.feed(payload)
    assert asked == [[], []], "while a read goes on, nobody is called"
    queue.end_of_read()
    assert asked == [[(0, b"a"), (0, b"ab")], [(1, b"a"), (0, b"ab")]]
    block = queue.take_block()
    assert block is not None
    assert [block.payload(i) for i in range(block.count)] == [b"a", b"c"]
    assert queue.next_seq == 2


def test_a_flood_of_one_read_is_answered_at_its_end_only() -> None:
    """A peer must not fill our memory with what it wants to have answered."""
    asked: Asked = []
    queue = BlockQueue(1 << 20, 1 << 30, 0)
    queue.screen = KeepAliveScreen(None, [(b"ping", True)], lambda *call: asked.append(call))
    for n in range(200):
        queue.feed(b"ping %d" % n + b" " * 20_000)
    queue.end_of_read()
    assert 1 <= len(asked) <= 53
    assert asked[-1][1].startswith(b"ping 199 ")
    assert queue.screen.ignored == 200


@pytest.mark.parametrize("text", [b"a", b'"ping"', b"zz", b"\xc3\xa9", b"x" * 256, b"\x00\x01"])
def test_a_text_is_found_wherever_it_begins_and_ends_in_the_window(text: bytes) -> None:
    for room in range(len(text), 260):
        for at in {0, 1, room - len(text), max(0, room - len(text) - 1)}:
            payload = (b" " * at + text).ljust(room, b"-")
            asked: Asked = []
            queue = BlockQueue(1 << 16, 1 << 20, 0)
            queue.screen = KeepAliveScreen(None, [(text, False)], lambda *call, to=asked: to.append(call))
            queue.feed(payload)
            queue.end_of_read()
            assert bool(asked) == (text in payload[:256]), (text, at, room)


def test_an_empty_text_is_no_text() -> None:
    with pytest.raises(ValueError, match="in every message"):
        KeepAliveScreen(None, [(b"", False)], print)
