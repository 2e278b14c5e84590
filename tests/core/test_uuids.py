from __future__ import annotations

import uuid

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlfast._core.uuids import UUID_CHARS, write_uuid_text


@given(st.lists(st.uuids(), max_size=20), st.integers(0, 3))
def test_the_text_is_that_of_the_standard_library(ids: list[uuid.UUID], more: int) -> None:
    raw = b"".join(id_.bytes for id_ in ids) + bytes(16 * more)
    offsets = pa.allocate_buffer(4 * len(ids) + 4)
    text = pa.allocate_buffer(UUID_CHARS * len(ids))
    write_uuid_text(raw, len(ids), offsets, text)
    array = pa.StringArray.from_buffers(len(ids), offsets, text)
    array.validate(full=True)
    assert array.to_pylist() == [str(id_) for id_ in ids]


@pytest.mark.parametrize(
    ("raw", "count", "offsets", "text"),
    [(31, 2, 12, 72), (32, 2, 11, 72), (32, 2, 12, 71), (0, 0, 3, 0), (32, -1, 12, 72)],
)
def test_buffers_that_are_too_small_are_refused(raw: int, count: int, offsets: int, text: int) -> None:
    ends, characters = bytearray(offsets), bytearray(text)
    with pytest.raises(ValueError, match=f"a buffer is too small for {count} UUIDs"):
        write_uuid_text(bytes(raw), count, ends, characters)
    assert not any(ends)
    assert not any(characters)


def test_a_buffer_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(BufferError):
        write_uuid_text(bytes(16), 1, bytes(8), bytearray(36))
