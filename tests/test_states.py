"""The states of a connection and of a stream: what the documentation draws is what the code allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlfast.websocket._reconnect import MOVES, Reconnector, State
from rlfast.websocket._settings import Settings

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src" / "rlfast" / "_core" / "frame_handler.pyx"


def drawn(number: int) -> set[tuple[str, str]]:
    """The moves of one of the two diagrams."""
    diagrams = re.findall(
        r"```mermaid\n(.*?)```", (ROOT / "docs" / "design.md").read_text("utf-8"), re.DOTALL
    )
    return set(re.findall(r"^    (\w+) --> (\w+):", diagrams[number], re.MULTILINE))


def test_the_moves_of_a_stream_are_drawn() -> None:
    assert drawn(1) == {(one.name, other.name) for one, others in MOVES.items() for other in others}


def test_the_moves_of_a_connection_are_drawn() -> None:
    found = {
        (one, other)
        for one, others in re.findall(r"^MOVES\[<int>(\w+)\] = (.*)$", CORE.read_text("utf-8"), re.MULTILINE)
        for other in re.findall(r"1 << <int>(\w+)", others)
    }
    assert len(found) == 8
    assert drawn(0) == found


def test_a_move_that_is_not_drawn_is_refused() -> None:
    from rlfast._core.queue import BlockQueue

    reconnector = Reconnector(Settings("ws://localhost/"), BlockQueue(1 << 10, 1 << 20, 1))
    with pytest.raises(AssertionError, match=r"State.GIVEN_UP cannot follow State.NEW"):
        reconnector._move(State.GIVEN_UP)
    assert reconnector.state is State.NEW
