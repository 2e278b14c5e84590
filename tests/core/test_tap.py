"""A message is in the journal before anything else is done with it, however the bytes are cut into reads.

They go through picows and the frame loop as the fuzzer drives them. The journal is on disk, and read by the
reader that shares no code with ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from capture.crashing import journal_messages
from capture.test_journal import Keeper
from fuzz import frame_seeds as seeds
from fuzz.frames import Execution
from fuzz.rfc6455 import CONTINUATION, PING, TEXT

from rlfast._core.waiter import Waiter


class Journaled(Execution):
    """An execution whose queue has a journal. A task waits for a message whenever a read begins."""

    def __init__(self, data: bytes, out: Path, cut: int | None = None) -> None:
        self._out = out
        self._cut = cut
        self.woken = 0
        self._seen = 0
        super().__init__(data)
        self._keeper.journal.close(delete=False)

    def _connect(self) -> None:
        super()._connect()
        self._keeper = Keeper(self._out)
        self.queue.attach(self._keeper.journal.writer)
        self._wait()

    def _answer(self, data: bytes) -> tuple[bytes, int]:
        data, head = super()._answer(data)
        if self._cut is not None:
            self.first = head + self._cut
        return data, head

    def _wait(self) -> None:
        waiter = Waiter(self.loop)  # type: ignore[arg-type]
        assert self.queue.set_waiter(waiter)
        waiter.add_done_callback(self._wake)

    def _wake(self, _: object) -> None:
        self.woken += 1
        self._check_journal()

    def _check_bounds(self, queued: int, arrived: Any) -> None:
        super()._check_bounds(queued, arrived)
        self._check_journal()
        if self.queue.set_waiter(waiter := Waiter(self.loop)):  # type: ignore[arg-type]
            waiter.add_done_callback(self._wake)

    def _check_journal(self) -> None:
        if self.queue.messages != self._seen:
            self._seen = self.queue.messages
            assert list(journal_messages(self._out)) == list(range(self._seen))


def journal_of(data: bytes, out: Path, cut: int | None = None) -> list[bytes]:
    """The payloads in the journal, which are those that were received."""
    done = Journaled(data, out, cut)
    found = list(journal_messages(out).values())
    assert found == [payload for payload, _ in done.got]
    assert done.woken or not found
    return found


@pytest.mark.parametrize("split", seeds.SPLITS.values(), ids=list(seeds.SPLITS))
@pytest.mark.parametrize("name", seeds.streams())
def test_whatever_ends_a_read(name: str, split: int, tmp_path: Path) -> None:
    journal_of(seeds.settings(split, seed=2) + seeds.streams()[name], tmp_path)


@pytest.mark.parametrize("name", seeds.seeds())
def test_the_seeds_of_the_fuzzer(name: str, tmp_path: Path) -> None:
    """With compression, queues of little room, answers that are refused, calls in between."""
    journal_of(seeds.seeds()[name], tmp_path)


def test_every_cut_of_a_stream(tmp_path: Path) -> None:
    stream = (
        seeds.frame(b"first")
        + seeds.frame(b"", PING)
        + seeds.frame(b"sec", TEXT, fin=False)
        + seeds.frame(b"between", PING)
        + seeds.frame(b"ond", CONTINUATION)
        + seeds.frame(b"third" * 30)
        + seeds.close_frame(1000)
    )
    for cut in range(len(stream) + 1):
        found = journal_of(seeds.settings() + stream, tmp_path / str(cut), cut)
        assert found == [b"first", b"second", b"third" * 30]


@pytest.mark.parametrize("cut", [0, 3, 40, 1000])
def test_a_message_that_is_too_big_is_in_the_journal_when_that_is_known(cut: int, tmp_path: Path) -> None:
    head = seeds.frame(b"", n=201_000)
    (rest,) = journal_of(seeds.settings(seed=1) + head + b"x" * cut, tmp_path)
    assert rest == b"x" * cut
