"""The end of a stream is told from a message, a JSON null among them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from streams import sender
from wsserver import serve, until

import rlfast

NULLS = ["null", "1", "null", '{"a": null}', "null"]
VALUES = [None, 1, None, {"a": None}, None]


@pytest.fixture(params=["open", "closed"])
async def stream_with_nulls(request: pytest.FixtureRequest) -> AsyncIterator[rlfast.WebSocketConnection[Any]]:
    """Open, or closed with all of its messages unread."""
    async with serve(sender(*NULLS)) as server, rlfast.connect(server.url, backoff=None) as ws:
        if request.param == "closed":
            await until(lambda: ws.closed)
        yield ws


async def test_async_for_goes_on_behind_a_null(stream_with_nulls: rlfast.WebSocketConnection[Any]) -> None:
    assert [message async for message in stream_with_nulls] == VALUES


async def test_anext_tells_a_null_from_the_end(stream_with_nulls: rlfast.WebSocketConnection[Any]) -> None:
    end = object()
    assert [await anext(stream_with_nulls) for _ in VALUES] == VALUES
    assert await anext(stream_with_nulls, end) is end
    with pytest.raises(StopAsyncIteration):
        await anext(stream_with_nulls)


@pytest.mark.parametrize("most", [1, 2, 1024])
async def test_an_empty_list_is_the_end_and_a_null_is_not(
    stream_with_nulls: rlfast.WebSocketConnection[Any], most: int
) -> None:
    received = []
    while messages := await stream_with_nulls.next_messages(most):
        received += messages
    assert received == VALUES
    assert await stream_with_nulls.next_messages(most) == []


async def test_next_message_gives_every_null(stream_with_nulls: rlfast.WebSocketConnection[Any]) -> None:
    assert [await stream_with_nulls.next_message() for _ in [*VALUES, "the end"]] == [*VALUES, None]
    assert stream_with_nulls.closed


def test_the_idiom_that_ends_at_a_null_is_shown_nowhere() -> None:
    root = Path(__file__).parent.parent
    shown = [
        *(root / "src" / "rlfast").rglob("*.py*"),
        *(root / "docs").glob("*.md"),
        *(root / "benchmarks").rglob("*.py"),
        root / "README.md",
    ]
    texts = [path.read_text("utf-8") for path in shown if path.suffix in (".py", ".pyi", ".pyx", ".md")]
    assert len(texts) > 50
    assert not [text for text in texts if re.search(r"next_message\(\)\)? is not None", text)]


def test_next_message_has_its_documentation_at_run_time() -> None:
    text = rlfast.WebSocketConnection.next_message.__doc__
    assert text is not None
    assert "JSON null is None" in text
    assert "DecodeError" in text
