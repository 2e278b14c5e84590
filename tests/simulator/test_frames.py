from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlfast.errors import ConfigError
from rlfast.simulator._frames import SLICE_BYTES, FrameSequence, text_frame


def parse(stream: bytes) -> list[bytes]:
    payloads, position = [], 0
    while position < len(stream):
        first, size = stream[position], stream[position + 1]
        assert first == 0x81
        position += 2
        if size == 126:
            (size,) = struct.unpack_from("!H", stream, position)
            position += 2
        elif size == 127:
            (size,) = struct.unpack_from("!Q", stream, position)
            position += 8
        payloads.append(stream[position : position + size])
        assert len(payloads[-1]) == size
        position += size
    return payloads


@pytest.mark.parametrize(("size", "header"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_header_is_as_short_as_can_be(size: int, header: int) -> None:
    frame = text_frame(b"x" * size)
    assert len(frame) == header + size
    assert parse(frame) == [b"x" * size]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.lists(st.integers(1, 9), max_size=30))
def test_any_walk_gives_the_pool_again_and_again(pool: list[bytes], limits: list[int]) -> None:
    sequence = FrameSequence(pool)
    position, received = 0, []
    for limit in limits:
        view, count = sequence.take(position, limit)
        assert 1 <= count <= limit
        payloads = parse(bytes(view))
        assert len(payloads) == count
        received += payloads
        position += count
    assert received == list(itertools.islice(itertools.cycle(pool), position))


def test_a_slice_is_large_even_if_the_pool_is_small() -> None:
    view, count = FrameSequence([b"a" * 98]).take(0, None)
    assert SLICE_BYTES - 100 < len(view) <= SLICE_BYTES
    assert count == len(view) // 100


def test_a_frame_larger_than_a_slice_is_sent_whole() -> None:
    big = b"b" * (SLICE_BYTES + 1)
    view, count = FrameSequence([big, b"small"]).take(0, None)
    assert count == 1
    assert parse(bytes(view)) == [big]


def test_slices_end_at_the_end_of_the_pool() -> None:
    pool = [f"{number:06d}".encode() * 20 for number in range(10_000)]
    sequence = FrameSequence(pool)
    position, received = 0, []
    while position < 2 * len(pool):
        view, count = sequence.take(position, None)
        assert len(view) <= SLICE_BYTES
        received += parse(bytes(view))
        position += count
    assert received[: 2 * len(pool)] == pool * 2


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(ConfigError):
        FrameSequence([])
