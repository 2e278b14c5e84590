"""What the tests of message mode share, with a type and without."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rlfast._core.messages import MessageReader
from rlfast._core.queue import BlockQueue
from rlfast.decode._messages import MessageDecoder
from rlfast.errors import UsageError


def reader_of(type_: Any, payloads: list[bytes]) -> MessageReader:
    queue = BlockQueue(1 << 16, 1 << 30, 0)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    decoding = MessageDecoder(type_)
    return MessageReader(queue, decoding.decode, decoding.recover, UsageError, decoding.make_compiled)


def read_disturbed(reader: MessageReader, disturb: Callable[[], None] = lambda: None) -> list[Any]:
    """All messages, read while finalizers run whenever a container is made, and read messages, too."""
    outcomes: list[Any] = []

    class Finalized:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            disturb()
            try:
                outcomes.append(reader.take_nowait(1))
            except UsageError as error:
                outcomes.append(error)

    thresholds = gc.get_threshold()
    got: list[Any] = []
    gc.set_threshold(1)
    try:
        while part := reader.take_nowait(1):
            got += part
            Finalized()
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    return got + [value for outcome in outcomes if isinstance(outcome, list) for value in outcome]


def in_threads(work: Callable[[], None], count: int = 4) -> None:
    """Run `work` in some threads, which take turns as often as the interpreter lets them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def watch_msgspec(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What msgspec is asked to decode from now on."""
    seen: list[bytes] = []
    original = MessageDecoder.__init__

    def init(self: MessageDecoder, type_: Any) -> None:
        original(self, type_)
        decode = self.decode

        def watched(payload: Any) -> Any:
            seen.append(bytes(payload))
            return decode(payload)

        self.decode = watched

    monkeypatch.setattr(MessageDecoder, "__init__", init)
    return seen
