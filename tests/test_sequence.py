"""Gaps that the numbers in the messages show, on a connection."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import msgspec
import pytest
from streams import FakeTiming
from wsserver import CONTINUATION, TEXT, Peer, close_frame, frame, serve, until

import rlfast
from rlfast import Backoff, ConfigError, Gap, Sequence


class Trade(msgspec.Struct):
    id: int
    price: float = 0.0


class Message(msgspec.Struct):
    sequence_num: int
    events: list[Trade]


def payload(number: Any, **more: Any) -> bytes:
    return json.dumps({"n": number, **more}).encode()


def short(gaps: Any) -> list[tuple[Any, ...]]:
    return [(gap.epoch, gap.last_seq, gap.from_, gap.to, gap.key) for gap in gaps]


def connection(*messages: bytes, code: int | None = None) -> Any:
    """A handler that sends messages, each read by itself, and hangs up with `code`."""

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, messages))
        if code is not None:
            await peer.write(close_frame(code))
        await peer.wait_closed()

    return handler


@pytest.mark.parametrize("by_batch", [False, True])
async def test_what_is_on_record(by_batch: bool) -> None:
    messages = [
        payload(1, s="a"),
        payload(7, s="b"),
        b'{"heartbeat":true}',
        payload(2, s="a"),
        payload(9, s="b"),
        b"no JSON",
        payload(1, s="a"),
        payload(1.5, s="a"),
    ]
    told: list[Gap] = []
    async with serve(connection(*messages)) as server:
        sequence = Sequence("/n", by="/s")
        async with rlfast.connect(server.url, sequence=sequence, on_gap=told.append) as ws:
            if by_batch:
                async for batch in ws.batches(max_rows=len(messages)):
                    assert batch.num_rows == len(messages)
                    break
            else:
                for _ in messages:
                    try:
                        await ws.next_message()
                    except rlfast.DecodeError:
                        assert ws.stats.decode_errors == 1
            assert short(ws.sequence_gaps) == [(1, 3, "7", "9", "b"), (1, 5, "2", "1", "a")]
            await until(lambda: len(told) == 2)
            assert ws.gaps == ()
    assert tuple(told) == ws.sequence_gaps
    for gap in told:
        assert gap.reason == "sequence_gap"
        assert gap.is_sequence_gap
        assert gap.reconnected_at is not None
        assert gap.disconnected_at <= gap.reconnected_at
    assert told[0].describe() == "sequence_gap, 7 to 9 of b"
    stats = ws.stats
    assert (stats.checked_numbers, stats.unchecked_numbers) == (5, 1)
    assert (stats.sequence_gaps, stats.skipped_numbers) == (2, 1)


async def test_a_message_in_fragments_has_its_number() -> None:
    async def handler(peer: Peer) -> None:
        whole = payload(4)
        await peer.write(
            frame(payload(1)),
            frame(whole[:3], TEXT, fin=False),
            frame(whole[3:], CONTINUATION),
            frame(payload(5)),
        )
        await peer.wait_closed()

    async with serve(handler) as server, rlfast.connect(server.url, sequence=Sequence("/n")) as ws:
        assert [await ws.next_message() for _ in range(3)] == [{"n": 1}, {"n": 4}, {"n": 5}]
        assert short(ws.sequence_gaps) == [(1, 0, "1", "4", None)]


async def test_the_number_of_an_envelope_and_those_of_its_events() -> None:
    messages = [
        msgspec.json.encode(Message(sequence_num, [Trade(i) for i in ids]))
        for sequence_num, ids in ((0, [1, 2]), (1, []), (3, [3, 5]))
    ]
    for sequence, expected in (
        (Sequence("/sequence_num"), [(1, 1, "1", "3", None)]),
        (Sequence("/events/*/id"), [(1, 1, "3", "5", None)]),
    ):
        async with serve(connection(*messages)) as server:
            async with rlfast.connect(server.url, type=Message, events_at="/events", sequence=sequence) as ws:
                async for batch in ws.batches(max_rows=3):
                    assert len(batch["Trade"]) == 4
                    break
                assert short(ws.sequence_gaps) == expected


async def test_messages_that_name_the_one_before() -> None:
    numbers = (-1, 7), (7, 9), (9, 9), (9, 12), (15, 16), (16, 20)
    messages = [b'{"prev":%d,"seq":%d}' % pair for pair in numbers]
    sequence = Sequence("/prev", last="/seq", step=0)
    async with serve(connection(*messages)) as server, rlfast.connect(server.url, sequence=sequence) as ws:
        for _ in messages:
            await ws.next_message()
        assert short(ws.sequence_gaps) == [(1, 3, "12", "15", None)]
        # How many are missing it does not say.
        assert (ws.stats.sequence_gaps, ws.stats.skipped_numbers) == (1, 0)


@pytest.mark.parametrize(
    ("per_connection", "second", "expected"),
    [
        (False, 3, []),
        (False, 5, [(2, 1, "2", "5", None)]),
        (False, 1, [(2, 1, "2", "1", None)]),
        (True, 1, []),
        (True, 5, []),
    ],
)
async def test_over_a_reconnect(per_connection: bool, second: int, expected: list[Any]) -> None:
    first = connection(payload(1), payload(2), code=1012)
    async with serve(first, connection(payload(second))) as server:
        async with rlfast.connect(
            server.url, sequence=Sequence("/n", per_connection=per_connection), timing=FakeTiming().timing
        ) as ws:
            assert [(await ws.next_message())["n"] for _ in range(3)] == [1, 2, second]
            assert short(ws.sequence_gaps) == expected
            # That of the connection ended as if there were no other.
            (gap,) = ws.gaps
            assert gap.reason == "closed_by_peer"
            assert gap.reconnected_at is not None


async def test_a_callback_may_be_async_may_raise_and_may_close(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str | None] = []

    async def on_gap(gap: Gap) -> None:
        told.append(gap.to)
        if gap.to == "3":
            raise ValueError("mine")
        await connecting.connection.close()

    async with serve(connection(payload(1), payload(3), payload(5))) as server:
        connecting = rlfast.connect(server.url, sequence=Sequence("/n"), on_gap=on_gap)
        ws = await connecting
        with caplog.at_level(logging.ERROR, "rlfast"):
            received = [message async for message in ws]
        await ws.close()
    assert told == ["3", "5"]
    assert [message["n"] for message in received] == [1, 3, 5]
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["on_gap callback failed"]


async def test_of_a_flood_the_record_has_so_many_and_says_so() -> None:
    messages = [payload(7)] * 15_000
    async with serve(connection(*messages, code=1000)) as server:
        async with rlfast.connect(server.url, sequence=Sequence("/n"), backoff=None) as ws:
            assert len(await asyncio.wait_for(all_of(ws), 30)) == 15_000
    *listed, more = ws.sequence_gaps
    assert len(listed) == 10_000
    assert {gap.reason for gap in listed} == {"sequence_gap"}
    assert (more.reason, more.last_seq, more.from_) == ("sequence_gap: more", 10_000, None)
    assert more.is_sequence_gap
    assert ws.stats.sequence_gaps == 14_999


async def all_of(ws: rlfast.WebSocketConnection[Any]) -> list[Any]:
    return [message async for message in ws]


async def test_names_that_are_no_unicode() -> None:
    messages = [b'{"s":"\\ud800\\u001b","n":%d}' % n for n in (1, 3)]
    async with serve(connection(*messages)) as server:
        async with rlfast.connect(
            server.url,
            sequence=Sequence("/n", by="/s"),
            surrogates="replace",
            backoff=Backoff(max_attempts=1),
        ) as ws:
            await ws.next_messages()
            await until(lambda: ws.sequence_gaps)
            (gap,) = ws.sequence_gaps
    assert gap.describe().isprintable()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"number": "n"}, "begins with a slash"),
        ({"number": "/n", "by": "/~2"}, "is ~0"),
        ({"number": "/n" * 33}, "number must lead through 32 names at most"),
        ({"number": "/n", "by": "/*/s"}, "by is in each element of an array, and the number is not"),
        ({"number": "/n", "last": "/*"}, "last is in each element of an array, and the number is not"),
        ({"number": "/a/*/n", "last": "/n"}, "last must be in the same element"),
        ({"number": "/a/*/n", "by": "/b/*/s"}, "by must be in the same element .* or in none"),
        ({"number": "/a/*/b/*/n"}, "not of arrays in arrays"),
        ({"number": "/n", "step": 0}, "step=0 needs last"),
    ],
)  # fmt: skip
def test_places_that_cannot_be(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Sequence(**arguments)
