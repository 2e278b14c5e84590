"""Going on where the stream was: cursors, what comes twice, and which gaps are filled."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsserver import Handler, Peer, frame, serve, until

import rlfast
from rlfast import Backoff, ConfigError, ConnectionOptions, Gap, HandshakeRejectedError, Resume
from rlfast._core.block import Block
from rlfast.schema._decoding import Decoding
from rlfast.websocket import _resume
from rlfast.websocket._resume import Finder, Mark, Marker, Overlap, with_parameter, without_parameter
from rlfast.websocket._stream_names import default_stream_name

AT_ONCE = Backoff(initial=0.001, cap=0.002)


# -- cursors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pointer", "payload", "text", "is_number"),
    [
        ("/t", b'{"x":[1,{}],"t":17}', "17", True),
        ("/t", b' { "t" : -1.5e3 } ', "-1.5e3", True),
        ("/t", b'{"t":"17"}', "17", True),
        ("/t", b'{"t":"1.7"}', "1.7", False),
        ("/t", b'{"t":123456789012345678901234567890}', "123456789012345678901234567890", True),
        ("/t", '{"t":"a é/ü&"}'.encode(), "a é/ü&", False),
        ("/a/b", b'{"a":{"b":1}}', "1", True),
        ("/a/1/b", b'{"a":[{},{"b":"x"}]}', "x", False),
        ("/1", b'["x",5]', "5", True),
        ("/1", b'{"1":5}', "5", True),
        ("/metadata/resource~1Version", b'{"metadata":{"resource/Version":"8"}}', "8", True),
        ("/\xe9", b'{"\\u00e9":8}', "8", True),
    ],
)
def test_a_cursor_is_found(pointer: str, payload: bytes, text: str, is_number: bool) -> None:
    find = Finder(pointer)
    value = find(payload)
    assert value is not None
    assert (value.text, value.key is not None) == (text, is_number)
    assert find.text in payload


@pytest.mark.parametrize(
    "payload",
    [
        *(b"{}", b"", b"[]", b"17", b"{", b'{"t":}', b'{"t":null}', b'{"t":true}', b'{"t":[1]}', b'{"t":{}}'),
        *(b'{"t":""}', b'{"t":"%s"}' % (5000 * b"x"), b'{"x":{"t":1}}', b"[" * 100_000, b'{"t":1', b"\xff"),
    ],
)
def test_a_message_without_one(payload: bytes) -> None:
    assert Finder("/t")(payload) is None


def test_what_the_decoding_repairs_has_a_cursor() -> None:
    payload = b'{"x":NaN,"t":1}'
    assert Finder("/t")(payload) is None
    assert Finder("/t", Decoding(None, nan="null"))(payload) == ("1", 1)


@pytest.mark.parametrize(
    ("url", "with_it", "without"),
    [
        ("ws://h/p", "ws://h/p?cursor=a%2Fb%20%C3%A9%26", "ws://h/p"),
        ("ws://h/p?", "ws://h/p?cursor=a%2Fb%20%C3%A9%26", "ws://h/p?"),
        ("ws://h/p?x=1&x=%2F+", "ws://h/p?x=1&x=%2F+&cursor=a%2Fb%20%C3%A9%26", "ws://h/p?x=1&x=%2F+"),
        (
            "ws://h/p?cursor=7&x&cursors=1",
            "ws://h/p?x&cursors=1&cursor=a%2Fb%20%C3%A9%26",
            "ws://h/p?x&cursors=1",
        ),
        ("ws://h/p?%63ursor=7", "ws://h/p?cursor=a%2Fb%20%C3%A9%26", "ws://h/p"),
    ],
)
def test_the_url_with_a_cursor(url: str, with_it: str, without: str) -> None:
    assert with_parameter(url, "cursor", "a/b é&") == with_it
    assert without_parameter(url, "cursor") == without


WRONG = [("", "/t"), ("cursor", ""), ("cursor", "t"), ("cursor", "/~")]


@pytest.mark.parametrize(("parameter", "value"), WRONG)
def test_a_cursor_that_cannot_be(parameter: str, value: str) -> None:
    with pytest.raises(ConfigError):
        Resume(parameter, value)


def test_the_name_of_a_stream_does_not_depend_on_where_it_begins() -> None:
    names = {
        rlfast.connect(f"ws://h/p?a=1{more}", resume=Resume("from_version", "/v")).connection.stream
        for more in ("", "&from_version=7", "&from_version=8")
    }
    assert names == {default_stream_name("ws://h/p?a=1")}


# -- what comes twice -----------------------------------------------------------------------------------


def _block(payloads: list[bytes], first_seq: int) -> Block:
    block = Block(100_000)
    block.fill(payloads, first_seq, {})
    return block


def _shuffled(values: list[int], swaps: set[int]) -> list[int]:
    """Values of which some stand two places too late."""
    values = sorted(values)
    for at in sorted(swaps):
        if 6 * at + 2 < len(values):
            values.insert(6 * at + 2, values.pop(6 * at))
    return values


VALUES = st.builds(
    _shuffled, st.lists(st.integers(1000, 1030), min_size=1, max_size=60), st.sets(st.integers(0, 10))
)
STEPS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["connection", "run", "batch"])), max_size=12)


@given(
    values=VALUES,
    ids=st.lists(st.integers(0, 2), min_size=60, max_size=60),
    steps=STEPS,
    form=st.sampled_from([int, str, lambda value: f"t{value}", lambda value: value + 0.5]),
    back=st.integers(0, 3),
    acks=st.integers(0, 3),
)
def test_every_message_is_taken_once(
    values: list[int],
    ids: list[int],
    steps: list[tuple[int, str]],
    form: Any,
    back: int,
    acks: int,
) -> None:
    """A server goes on from the first message whose cursor is not before ours, or a little before.

    The slow model of what is dropped: the messages that were received, as often as they were.
    """
    cursors = [form(value) for value in values]
    sent = [json.dumps({"t": cursor, "id": id_}).encode() for cursor, id_ in zip(cursors, ids, strict=False)]
    find = Finder("/t")
    received: list[bytes] = []
    marker = Marker(find)
    seq = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_resume, "OLDER", 16)
        for count, then in steps:
            mark = marker.mark()
            at = 0
            if mark is not None:
                texts = [str(cursor) for cursor in cursors]
                if mark.largest is None:
                    at = texts.index(mark.value)
                else:
                    at = next(i for i, cursor in enumerate(cursors) if float(cursor) >= float(mark.value))
                at = max(0, at - back)
                overlap = Overlap(mark)
                left = Counter(received)
            new: list[bytes] = []
            over = mark is None
            for payload in sent[at:]:
                if len(new) == count:
                    break
                value = find(payload)
                assert value is not None
                if not over:
                    drops = overlap.drops(value, payload)
                    assert drops == (left[payload] > 0)
                    left[payload] -= drops
                    if drops:
                        continue
                    over = overlap.is_over
                new.append(payload)
            for payloads in (new, acks * [b'{"ack":1}']):
                marker.recent.add(_block(payloads, seq), 0, len(payloads))
                seq += len(payloads)
            received += new
            assert received == sent[: len(received)]
            if then == "batch":
                marker.settle()
            elif then == "run" and (mark := marker.mark()) is not None:
                marker = Marker(find, msgspec.json.decode(msgspec.json.encode(mark), type=Mark))


@given(count=st.integers(0, 160), cut=st.integers(0, 160), has_base=st.booleans())
def test_the_mark_of_a_cut_is_that_of_a_stream_that_ended_there(count: int, cut: int, has_base: bool) -> None:
    payloads = [event(100 + n // 3, n) if n % 5 else b'{"n":%d}' % n for n in range(count)]
    base = Mark("/t", "100", "100", seen=b"12345678") if has_base else None
    marker, short = Marker(Finder("/t"), base), Marker(Finder("/t"), base)
    marker.keep_all()
    marker.recent.add(_block(payloads, 0), 0, len(payloads))
    stop = min(cut, len(payloads))
    short.recent.add(_block(payloads[:stop], 0), 0, stop)
    assert marker.mark(stop - 1) == short.mark()


def test_a_burst_of_equal_cursors_is_remembered_whole() -> None:
    payloads = [b'{"t":5,"n":%d}' % n for n in range(2000)]
    marker = Marker(Finder("/t"))
    marker.recent.add(_block(payloads, 0), 0, len(payloads))
    mark = marker.mark()
    assert mark is not None
    overlap = Overlap(mark)
    find = Finder("/t")
    for payload in reversed(payloads):
        assert overlap.drops(find(payload), payload)  # type: ignore[arg-type]
    assert overlap.is_exact


def test_a_burst_of_large_messages_is_remembered_too() -> None:
    find = Finder("/t")
    marker = Marker(find)
    payloads = [b'{"t":%d,"n":%d,"x":"%s"}' % (n // 50, n, 30_000 * b"x") for n in range(300)]
    for n, payload in enumerate(payloads):
        block = Block(100_000)
        block.fill([payload], n, {})
        marker.recent.add(block, 0, 1)
        if n % 50 in (0, 20, 49):
            mark = marker.mark()
            assert mark is not None
            overlap = Overlap(mark)
            known = payloads[n - n % 50 : n + 1]
            assert all(overlap.drops(find(payload), payload) for payload in known)  # type: ignore[arg-type]
            assert not any(overlap.drops(find(payload), payload) for payload in known)  # type: ignore[arg-type]


def test_messages_without_a_cursor_push_no_cursor_out() -> None:
    find = Finder("/t")
    marker = Marker(find)
    for first in range(0, 20_000, 1000):
        payloads = [b'{"t":1}' if not first + n else b'{"t":null,"n":%d}' % n for n in range(1000)]
        marker.recent.add(_block(payloads, first), 0, len(payloads))
    mark = marker.mark()
    assert mark is not None
    assert Overlap(mark).drops(find(b'{"t":1}'), b'{"t":1}')  # type: ignore[arg-type]


def test_a_server_that_counts_anew_is_believed() -> None:
    find = Finder("/t")
    marker = Marker(find)
    payloads = [b'{"t":%d}' % n for n in range(1000, 2000)]
    marker.recent.add(_block(payloads, 0), 0, len(payloads))
    mark = marker.mark()
    assert mark is not None
    assert mark.floor is not None
    rewound, anew = Overlap(mark), Overlap(mark)
    assert all(rewound.drops(find(payload), payload) for payload in payloads)  # type: ignore[arg-type]
    for payload in (b'{"t":%d}' % n for n in range(1000)):
        assert not anew.drops(find(payload), payload)  # type: ignore[arg-type]
    assert anew.is_anew
    assert not anew.reached


# -- connections ----------------------------------------------------------------------------------------


def event(time: int, n: int) -> bytes:
    return b'{"t":%d,"n":%d}' % (time, n)


def sends(*payloads: bytes) -> Handler:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, payloads))
        await peer.close()

    return handler


async def quiet(peer: Peer) -> None:
    await peer.wait_closed()


def cursors(server: Any) -> list[str | None]:
    queries = [parse_qs(urlsplit(peer.path).query) for peer in server.requests]
    return [query["cursor"][0] if "cursor" in query else None for query in queries]


async def read(ws: Any, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        message = await ws.next_message()
        if "n" in message:
            found.append(message["n"])
    return found


def fillings(gaps: tuple[Gap, ...]) -> list[tuple[str | None, str | None, bool | None]]:
    return [(gap.from_, gap.to, gap.filled) for gap in gaps]


@pytest.mark.parametrize(
    ("inclusive", "second", "filled"),
    [
        (None, [event(2, 2), event(3, 3)], True),
        (None, [event(3, 3)], True),
        (True, [event(2, 2), event(3, 3)], True),
        (True, [event(3, 3)], False),
        (False, [event(3, 3)], True),
        (False, [event(2, 2), event(3, 3)], True),
    ],
)
async def test_a_gap_is_filled_as_the_server_says(
    inclusive: bool | None, second: list[bytes], filled: bool
) -> None:
    handlers = sends(b'{"ack":1}', event(1, 1), event(2, 2)), sends(b'{"ack":1}', *second), quiet
    async with serve(*handlers) as server:
        resume = Resume("cursor", "/t", inclusive)
        async with rlfast.connect(server.url + "?a=b", resume=resume, backoff=AT_ONCE) as ws:
            assert await read(ws, 3) == [1, 2, 3]
            await until(lambda: len(server.requests) == 3 and ws.connected)
            assert ws.stats.duplicate_messages == len(second) - 1
            assert fillings(ws.gaps) == [("2", "3", filled), ("3", None, None)]
            assert ws.gaps[1].undecided
    assert cursors(server) == [None, "2", "3"]
    assert server.requests[1].path.endswith("?a=b&cursor=2")


async def test_a_server_that_was_inclusive_once_must_be_so_again() -> None:
    lost = [sends(event(1, 1)), sends(event(1, 1), event(2, 2)), sends(event(5, 5)), quiet]
    async with serve(*lost) as server:
        async with rlfast.connect(server.url, resume=Resume("cursor", "/t"), backoff=AT_ONCE) as ws:
            assert await read(ws, 3) == [1, 2, 5]
            assert fillings(ws.gaps)[:2] == [("1", "2", True), ("2", "5", False)]


async def test_gaps_with_no_event_between_them_are_decided_together() -> None:
    empty = [sends(), sends(b'{"ack":1}', event(1, 1))]
    handlers = [sends(event(1, 1)), *empty, sends(event(1, 1), event(2, 2)), quiet]
    async with serve(*handlers) as server:
        resume = Resume("cursor", "/t", True)
        async with rlfast.connect(server.url, resume=resume, backoff=AT_ONCE) as ws:
            assert await read(ws, 2) == [1, 2]
            assert fillings(ws.gaps)[:3] == 3 * [("1", "2", True)]
    assert cursors(server)[:4] == [None, "1", "1", "1"]


async def test_without_an_event_there_is_no_cursor() -> None:
    async with serve(sends(b'{"ack":1}'), sends(event(1, 1)), quiet) as server:
        url, resume = server.url + "?cursor=0", Resume("cursor", "/t")
        async with rlfast.connect(url, resume=resume, backoff=AT_ONCE) as ws:
            assert await read(ws, 1) == [1]
            assert fillings(ws.gaps)[0] == (None, None, None)
    # The user's own is for a stream that has none yet.
    assert cursors(server)[:2] == ["0", "0"]


async def test_batches_go_on_too() -> None:
    many = [event(n // 3, n) for n in range(3000)]
    async with serve(sends(*many[:2000]), sends(*many[1998:]), quiet) as server:
        resume = Resume("cursor", "/t", True)
        async with rlfast.connect(server.url, resume=resume, backoff=AT_ONCE) as ws:
            found: list[int] = []
            seqs: list[int] = []
            async for batch in ws.batches():
                found += [json.loads(text)["n"] for text in batch["message"]["json"]]
                seqs += batch["message"]["seq"].tolist()
                if len(found) >= 3000:
                    break
    assert found == seqs == list(range(3000))


async def test_a_message_may_say_that_the_cursor_is_gone() -> None:
    error = b'{"type":"ERROR","object":{"code":410}}'
    handlers = [sends(event(1, 1)), sends(error), sends(event(5, 5)), sends(event(6, 6)), quiet]
    async with serve(*handlers) as server:
        resume = Resume("cursor", "/t", gone="/object/code=410")
        async with rlfast.connect(server.url, resume=resume, backoff=AT_ONCE) as ws:
            assert await read(ws, 3) == [1, 5, 6]
            assert fillings(ws.gaps)[:3] == [("1", "5", False), ("1", "5", False), ("5", "6", True)]
    assert cursors(server)[:4] == [None, "1", None, "5"]


@pytest.mark.parametrize("status", [410, 400])
async def test_a_cursor_that_is_gone_is_given_up(status: int) -> None:
    async def gone(peer: Peer) -> None:
        if "cursor=1" in peer.path:
            await peer.write(b"HTTP/1.1 %d Gone\r\nContent-Length: 0\r\n\r\n" % status)
            return
        await peer.accept()
        await peer.write(frame(event(1, 1) if len(server.requests) == 1 else event(9, 9)))
        await peer.close()

    async with serve(gone, accept=False) as server:
        async with rlfast.connect(server.url, resume=Resume("cursor", "/t"), backoff=AT_ONCE) as ws:
            assert await read(ws, 2) == [1, 9]
            assert fillings(ws.gaps)[0] == ("1", "9", False)
    assert cursors(server)[:3] == [None, "1", None]


async def test_410_without_a_cursor_is_an_error() -> None:
    async def gone(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")

    async with serve(gone, accept=False) as server:
        with pytest.raises(HandshakeRejectedError, match="410"):
            await rlfast.connect(server.url, resume=Resume("cursor", "/t"))
    assert len(server.requests) == 1


async def test_a_message_that_cannot_be_received_is_not_asked_for_for_ever() -> None:
    large = b'{"t":2,"n":2,"x":"%s"}' % (2000 * b"x")

    async def handler(peer: Peer) -> None:
        if "cursor" in peer.path:
            await peer.write(frame(event(1, 1)), frame(large))
            await peer.hang()
        elif len(server.requests) == 1:
            await peer.write(frame(event(1, 1)))
            await peer.close()
        else:
            await peer.write(frame(event(3, 3)))
            await peer.wait_closed()

    async with serve(handler) as server:
        options = ConnectionOptions(max_message_size=1000)
        resume = Resume("cursor", "/t")
        async with rlfast.connect(server.url, resume=resume, backoff=AT_ONCE, options=options) as ws:
            found: list[int] = []
            while len(found) < 2:
                try:
                    found += await read(ws, 1)
                except rlfast.MessageTooBigError:
                    continue
            assert found == [1, 3]
            assert [gap.filled for gap in ws.gaps] == 3 * [False]
    # It was received whole, as far as its cursor goes.
    assert cursors(server) == [None, "1", "2", None]


async def test_random_hang_ups_lose_nothing() -> None:
    source = random.Random(3)
    history = [event(n // 2, n) for n in range(300)]

    async def handler(peer: Peer) -> None:
        cursor = parse_qs(urlsplit(peer.path).query).get("cursor")
        at = 0 if cursor is None else 2 * int(cursor[0])
        # In pieces that end anywhere.
        data = b"".join(map(frame, history[at : at + source.randrange(40)]))
        while data:
            size = source.randrange(1, 400)
            await peer.write(data[:size])
            data = data[size:]
        (peer.reset if source.random() < 0.5 else peer.writer.close)()

    async with serve(handler) as server:
        async with rlfast.connect(server.url, resume=Resume("cursor", "/t", True), backoff=AT_ONCE) as ws:
            assert await read(ws, 300) == list(range(300))
            assert all(gap.filled is not False for gap in ws.gaps)
