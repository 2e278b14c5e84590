"""The frame loop against RFC 6455, without a network: what its fuzzer does, with the ordinary build.

`fuzz/frames.py` drives picows and the frame loop with the bytes of a server, in reads of any size, and holds
what came of it equal to what the judge in `fuzz/rfc6455.py` says.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from fuzz import frame_seeds as seeds
from fuzz.frames import HEAD, FindingError, execute
from fuzz.inflate import Inflate, NotDeflateError
from fuzz.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, may_become_utf8
from hypothesis import given, settings
from hypothesis import strategies as st

CORPUS = sorted((Path(seeds.__file__).parent / "corpus_frames").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_seeds_and_findings_of_the_fuzzer(path: Path) -> None:
    execute(path.read_bytes())


def test_the_seeds_are_those_of_the_script() -> None:
    stored = {path.name: path.read_bytes() for path in CORPUS}
    assert seeds.seeds().items() <= stored.items()


PAYLOADS = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=12),
    st.sampled_from([b"", b"\xc3", b"\xa9", b"\xe2\x82", b"\xac", b"\xf0\x9f", b"\x98\x80", b"x" * 126]),
)
GOOD = st.one_of(
    st.builds(seeds.frame, PAYLOADS, st.sampled_from([TEXT, BINARY])),
    st.builds(seeds.frame, PAYLOADS, st.sampled_from([PING, PONG])),
    st.lists(PAYLOADS, min_size=2, max_size=5).map(
        lambda parts: b"".join(
            seeds.frame(part, CONTINUATION if i else TEXT, fin=i == len(parts) - 1)
            + (seeds.frame(b"p", PING) if len(part) % 3 == 0 else b"")
            for i, part in enumerate(parts)
        )
    ),
)
ANY = st.one_of(
    GOOD,
    st.builds(
        seeds.frame,
        PAYLOADS,
        st.integers(0, 15),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 4, 2]),
        n=st.none() | st.integers(0, 70_000),
    ),
    st.builds(seeds.close_frame, st.integers(990, 1020) | st.integers(0, 65535), PAYLOADS),
    st.just(seeds.frame(b"", CLOSE)),
    st.binary(max_size=8),
)
SETTINGS = st.builds(
    lambda flags, seed, sizes, calls: bytes([flags & ~seeds.OWN_ANSWER, seed, sizes, *calls]),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 164),
    st.lists(st.integers(0, 255) | st.just(0), min_size=3, max_size=3),
)


@given(head=SETTINGS, frames=st.lists(GOOD, max_size=12), end=st.lists(ANY, max_size=4))
@settings(deadline=None, max_examples=300)
def test_any_server_in_reads_of_any_size(head: bytes, frames: list[bytes], end: list[bytes]) -> None:
    execute(head.ljust(HEAD, b"\0") + b"".join(frames) + b"".join(end))


@given(head=SETTINGS, answer=st.sampled_from(sorted(seeds.answers())), cut=st.integers(0, 200), junk=PAYLOADS)
@settings(deadline=None, max_examples=100)
def test_any_answer_to_the_upgrade(head: bytes, answer: str, cut: int, junk: bytes) -> None:
    data = seeds.answers()[answer]
    execute(bytes([head[0] | seeds.OWN_ANSWER]) + head[1:HEAD] + data[:cut] + junk + data[cut:])


# -- runs of whole messages --------------------------------------------------------------------------------

SIZES = [*range(70), *range(120, 135), 191, 192, 193, 255, 256, 257, 1000, 65535, 65536, 70_000]


@pytest.mark.parametrize("queue", [0, 1, 2])
def test_messages_of_every_size_are_copied_exactly(queue: int) -> None:
    payloads = [bytes(33 + (i * 7 + n) % 90 for i in range(n)) for n in SIZES]
    stream = b"".join(seeds.frame(payload, 1 + n % 2) for n, payload in enumerate(payloads))
    done = execute(seeds.settings(seed=1, message=200_000, queue=queue) + stream)
    assert [payload for payload, _ in done.got] == payloads


@pytest.mark.parametrize("n", [*range(1, 20), 31, 32, 33, 63, 64, 65, 80, 127, 128, 129, 200])
def test_a_byte_that_is_no_utf8_is_found_wherever_it_stands(n: int) -> None:
    for at in range(n):
        bad = b"a" * at + b"\xc0" + b"b" * (n - at - 1)
        done = execute(seeds.settings(seed=1) + seeds.frame(bad) + seeds.frame(b"1"))
        assert done.frame_handler.error == (1007, "text message is not UTF-8")
        assert done.got == [(bad, False)]


@pytest.mark.parametrize("n", [2, 3, 4, 15, 16, 17, 63, 64, 65, 130])
def test_utf8_and_binary_messages_are_taken_wherever_the_bytes_stand(n: int) -> None:
    payloads = []
    stream = b""
    for at in range(n - 1):
        text = b"a" * at + "é".encode() + b"b" * (n - at - 2)
        payloads += [text, b"a" * at + b"\xff" + b"b" * (n - at - 1)]
        stream += seeds.frame(text) + seeds.frame(payloads[-1], BINARY)
    done = execute(seeds.settings(seed=1) + stream)
    assert [payload for payload, _ in done.got] == payloads
    assert done.frame_handler.assembler.binary_messages == n - 1


# -- the judge itself --------------------------------------------------------------------------------------


def test_the_judge_objects() -> None:
    """A judge that says yes to everything would be of no use."""
    from fuzz import frames as module

    class Deaf(module.Receiver):
        def read(self, data: bytes) -> None:
            super().read(data.replace(b"2", b"3"))

    original = module.Receiver
    module.Receiver = Deaf  # type: ignore[misc]
    try:
        with pytest.raises(FindingError, match="messages: "):
            execute(seeds.settings() + seeds.frame(b"2"))
    finally:
        module.Receiver = original  # type: ignore[misc]


@given(
    texts=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    level=st.integers(0, 9),
    strategy=st.sampled_from([0, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY]),
    cut=st.integers(0, 300),
)
@settings(deadline=None, max_examples=100)
def test_the_judge_inflates_what_zlib_deflates(
    texts: list[bytes], level: int, strategy: int, cut: int
) -> None:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    inflate = Inflate(resets=False)
    for text in texts:
        data = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert inflate.feed(data[:cut], 1 << 20)
        assert inflate.feed(data[cut:], 1 << 20)
        assert inflate.out == text
        assert inflate.end_message()


@given(text=st.binary(min_size=1, max_size=60), flips=st.lists(st.integers(0, 239), min_size=1, max_size=3))
@settings(deadline=None, max_examples=200)
def test_the_judge_refuses_what_zlib_refuses(text: bytes, flips: list[int]) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bytearray(compressor.compress(text * 4) + compressor.flush(zlib.Z_SYNC_FLUSH))
    for flip in flips:
        data[flip // 8 % len(data)] ^= 1 << flip % 8
    decompressor = zlib.decompressobj(-15)
    try:
        expected = decompressor.decompress(bytes(data))
    except zlib.error:
        expected = None
    inflate = Inflate(resets=False)
    try:
        inflate.feed(bytes(data), 1 << 20)
        got = bytes(inflate.out)
    except NotDeflateError:
        got = None
    # zlib's object stops at the end of a stream, and ours begins the next one.
    assert decompressor.eof or got == expected


def test_what_may_become_utf8() -> None:
    assert all(may_become_utf8(data) for data in (b"", b"a", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"))
    assert not any(may_become_utf8(data) for data in (b"\xff", b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xc3x"))
