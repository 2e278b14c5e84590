"""The last messages of a queue, against a list of all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlfast._core.block import Block
from rlfast._core.queue import BlockQueue
from rlfast._core.recent import CallScreen, RecentMessages

PAYLOADS = st.sampled_from([b'{"t":1}', b"{}", b't"', b"", b"t", b"xt" * 9, b"y" * 30])
READS = st.lists(st.lists(PAYLOADS, max_size=9))
TEXTS = st.sampled_from([b"", b"t", b"t1", b"xtx"])


@given(reads=READS, text=TEXTS, messages=st.integers(1, 6), size=st.integers(1, 60))
def test_it_keeps_the_last_messages(reads: list[list[bytes]], text: bytes, messages: int, size: int) -> None:
    recent = RecentMessages(text, messages, size)
    forgotten: list[int] = []
    recent.on_trim = forgotten.append
    queue = BlockQueue(40, 10_000, 5_000)
    queue.watchers = (recent,)
    wanted: list[tuple[int, bytes]] = []
    for read in reads:
        first = queue.next_seq
        for payload in read:
            queue.feed(payload)
        queue.end_of_read()
        wanted += [(first + i, payload) for i, payload in enumerate(read) if text in payload]
        found = [(recent.seq(i), recent.payload(i)) for i in range(len(recent))]
        assert found == wanted[len(wanted) - len(found) :]
        # As many as wanted, or as large; never more than twice that, but for the last one.
        assert len(found) <= 2 * messages
        assert len(found) <= 2 or sum(len(payload) for _, payload in found[:-1]) <= 2 * size
        missing = len(found) < len(wanted)
        if missing:
            at_least = wanted[-1:]
            for entry in reversed(wanted[:-1]):
                if len(at_least) == messages or sum(len(payload) for _, payload in (entry, *at_least)) > size:
                    break
                at_least.insert(0, entry)
            assert found[len(found) - len(at_least) :] == at_least
        assert sum(forgotten) == len(wanted) - len(found)


@given(payloads=st.lists(st.binary(max_size=20), max_size=30), cut=st.integers(0, 30))
def test_one_that_does_not_trim_has_all_until_it_is_told_to(payloads: list[bytes], cut: int) -> None:
    block = Block(1000)
    block.fill(payloads, 7, {})
    recent = RecentMessages(b"", 3, 10)
    recent.trims = False
    start = min(cut, len(payloads))
    recent.add(block, start, len(payloads))
    assert [recent.payload(i) for i in range(len(recent))] == payloads[start:]
    assert [recent.seq(i) for i in range(len(recent))] == list(range(7 + start, 7 + len(payloads)))
    recent.trim()
    kept = [recent.payload(i) for i in range(len(recent))]
    assert kept == payloads[len(payloads) - len(kept) :]
    assert len(kept) <= 3
    assert bool(kept) == (start < len(payloads))


def test_screens_ask_the_other_one_first_and_may_take_themselves_out() -> None:
    asked: list[tuple[str, bytes]] = []
    queue = BlockQueue(100, 1000, 500)

    def ping(payload: bytes) -> bool:
        asked.append(("ping", payload))
        return payload != b"ping"

    def once(payload: bytes) -> bool:
        asked.append(("once", payload))
        queue.remove_screen(screen)
        return False

    screen = CallScreen(once)
    queue.append_screen(CallScreen(ping))
    queue.append_screen(screen)
    for payload in (b"ping", b"twice", b"new", b"ping"):
        queue.feed(payload)
    queue.end_of_read()
    block = queue.take_block()
    assert block is not None
    assert [block.payload(i) for i in range(len(block))] == [b"new"]
    asked_first = [("ping", b"ping"), ("ping", b"twice"), ("once", b"twice")]
    assert asked == [*asked_first, ("ping", b"new"), ("ping", b"ping")]
