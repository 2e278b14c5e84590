"""Several JSON documents in a message (``framing``): as rows, as messages, in captures and after a crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import polars as pl
import pyarrow as pa
import pytest
import test_nested
from capture.test_recovery import leave
from cli.helpers import start
from core.oracle import plain_values
from equality import GENERAL, check_equal
from hypothesis import given
from hypothesis import strategies as st
from nested_types import Node, OptionalNode, Source, events, payloads, roots
from test_envelopes import envelopes, rows
from test_nested import SETTINGS
from wsserver import BINARY, Peer, frame, serve, until

import rlfast
from rlfast._core.plan import KERNELS
from rlfast.capture import capture, next_seq, open_dataset, recover
from rlfast.capture._type_names import name_decoding, name_type, resolve_decoding
from rlfast.decode._batch import EventBatch
from rlfast.errors import CaptureError, ConfigError
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope import plan_of
from rlfast.schema._framing import SEPARATORS, Framing, documents

FRAMINGS = get_args(Framing)


def decoded(decoding: Decoding, raws: list[bytes], kernel: str | None = "auto") -> tuple[EventBatch, int]:
    return test_nested.decoded(decoding, raws, kernel, other=True)


class Trade(msgspec.Struct):
    p: float
    s: str = ""


TRADES = [
    b'{"p":1}\n{"p":2,"s":"x"}\r\n\n',
    b'{"p":3}',
    b" \n",
    b'\t{"p":4} \n{"p":"?"}\n{"q":1}\n{"p":5,"new":[1]}\npong\n',
    b"",
    b'{"p":6}\n{"p":',
]


def framed(raw: bytes, framing: Framing) -> bytes:
    """A message of lines in another framing."""
    if framing == "lines":
        return raw
    parts = raw.split(b"\n")
    if framing == "json-seq":
        return b"".join(b"\x1e" + part + b"\n" for part in parts)
    return b"".join(part + b"\x1e" for part in parts)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kernel", [GENERAL, *KERNELS])
def test_each_document_is_a_row(kernel: str | None, framing: Framing) -> None:
    raws = [framed(raw, framing) for raw in TRADES]
    batch, fast = decoded(Decoding(Trade, framing=framing), raws, kernel)
    assert fast == (0 if kernel is GENERAL else 2)
    found = rows(batch)
    assert found["Trade"] == [
        {"seq": 0, "item": 0, "p": 1.0, "s": "", "_extra": None},
        {"seq": 0, "item": 1, "p": 2.0, "s": "x", "_extra": None},
        {"seq": 1, "item": 0, "p": 3.0, "s": "", "_extra": None},
        {"seq": 3, "item": 0, "p": 4.0, "s": "", "_extra": None},
        {"seq": 3, "item": 3, "p": 5.0, "s": "", "_extra": '{"new":[1]}'},
        {"seq": 5, "item": 0, "p": 6.0, "s": "", "_extra": None},
    ]
    assert [(row["seq"], row["item"], row["reason"], json.loads(row["json"])) for row in found["_other"]] == [
        (2, None, "no document", raws[2].decode()),
        (3, 2, "no field 'p'", {"q": 1}),
        (3, 4, "a word", "pong"),
        (4, None, "no document", raws[4].decode()),
    ]
    assert [(row["seq"], row["item"], row["reason"], row["raw"]) for row in found[""]] == [
        (3, 1, "schema_mismatch", b'{"p":"?"}'),
        (5, 1, "malformed_json", b'{"p":'),
    ]


@pytest.mark.parametrize("kernel", [GENERAL, *KERNELS])
def test_without_a_type_each_is_a_text(kernel: str | None) -> None:
    batch, fast = decoded(Decoding(framing="lines"), TRADES, kernel)
    assert fast == (0 if kernel is GENERAL else 2)
    found = rows(batch)
    assert [(row["seq"], row["item"], row["json"]) for row in found["message"]] == [
        (0, 0, '{"p":1}'),
        (0, 1, '{"p":2,"s":"x"}'),
        (1, 0, '{"p":3}'),
        (3, 0, '{"p":4}'),
        (3, 1, '{"p":"?"}'),
        (3, 2, '{"q":1}'),
        (3, 3, '{"p":5,"new":[1]}'),
        (5, 0, '{"p":6}'),
    ]
    assert [(row["seq"], row["item"], row["reason"]) for row in found[""]] == [
        (2, None, "malformed_json"),
        (3, 4, "malformed_json"),
        (4, None, "malformed_json"),
        (5, 1, "malformed_json"),
    ]


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="framing must be one of lines, json-seq, record-separator or None"):
        Decoding(framing="csv")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="leave out one of the two"):
        plan_of(Decoding(list[Trade], framing="lines"))
    inside = msgspec.defstruct("Around", [("data", list[Trade])])
    with pytest.raises(ConfigError, match="leave out one of the two"):
        plan_of(Decoding(inside, events_at="/data", framing="lines"))


def test_a_field_may_be_called_as_our_column() -> None:
    type_ = msgspec.defstruct("Order", [("item", str)])
    batch, _ = decoded(Decoding(type_, framing="lines"), [b'{"item":"a"}\n{"item":"b"}'])
    assert batch["Order"]["rlfast_item"].tolist() == [0, 1]
    assert list(batch["Order"]["item"]) == ["a", "b"]


# -- random ones ---------------------------------------------------------------------------------------------


def root_of(source: Source) -> tuple[Node | None, Decoding]:
    """What a document is: any type, an event in an envelope, any JSON."""
    form = source.pick(["event", "event", "any", "envelope", "untyped"])
    if form == "envelope":
        event: Node = events(source, 2)
        root, _, names = envelopes(source, OptionalNode(event) if source.flag() else event)
        return root, Decoding(root.annotation, events_at=names)
    if form == "untyped":
        return events(source, 2), Decoding()
    node = events(source, 2) if form == "event" else roots(source, 2)
    return node, Decoding(node.annotation)


def messages(source: Source, root: Any, framing: Framing) -> list[bytes]:
    separator = SEPARATORS[framing]
    found = []
    for _ in range(source.integer(1, 8)):
        parts = [payloads(source, root).replace(separator, b" ") for _ in range(source.integer(0, 5))]
        blanks = [source.pick([b"", b"", b" ", b"\r", separator]) for _ in range(len(parts) + 1)]
        message = blanks[0] + separator.join(a + b for a, b in zip(parts, blanks[1:], strict=True))
        found.append(message + source.pick([b"", separator, separator + b"\n"]))
    return found


@given(seed=st.integers(0, 2**64 - 1))
@SETTINGS
def test_every_kernel_equals_the_general_path(seed: int) -> None:
    source = Source(seed)
    framing = source.pick(FRAMINGS)
    root, decoding = root_of(source)
    decoding = Decoding(decoding.type, decoding.events_at, framing)
    cuts = [source.integer(0, 5) for _ in range(source.integer(0, 4))]
    check_equal(decoding, messages(source, root, framing), cuts, source.pick([1, 300, 1 << 16]))


def rows_by_place(batch: EventBatch, place: Callable[[int, int | None], Any]) -> dict[str, dict[Any, Any]]:
    """The rows of each table, by where their document is, without what is ours."""
    found: dict[str, dict[Any, Any]] = {}
    for name, table in (*batch.items(), ("", batch.dead_letters)):
        record_batch = pa.record_batch(table.with_plain_text())
        columns = {
            name: plain_values(column)
            for name, column in zip(record_batch.schema.names, record_batch.columns, strict=True)
        }
        own = table.own_names
        items = [None] * table.num_rows if own.item is None else columns.pop(own.item)
        places = [place(seq, item) for seq, item in zip(columns.pop(own.seq), items, strict=True)]
        del columns[own.received_at]
        for i, where in enumerate(places):
            found.setdefault(name, {})[where] = {name: column[i] for name, column in columns.items()}
    return found


@given(seed=st.integers(0, 2**64 - 1))
@SETTINGS
def test_a_document_is_what_a_message_of_its_own_is(seed: int) -> None:
    source = Source(seed)
    framing = source.pick(FRAMINGS)
    root, decoding = root_of(source)
    raws = [raw for raw in messages(source, root, framing) if documents(raw, framing)]
    if not raws:
        return
    places = [(seq, item) for seq, raw in enumerate(raws) for item in range(len(documents(raw, framing)))]
    alone, _ = decoded(decoding, [document for raw in raws for document in documents(raw, framing)])
    expected = rows_by_place(alone, lambda seq, item: places[seq])
    together, _ = decoded(Decoding(decoding.type, decoding.events_at, framing), raws)
    assert rows_by_place(together, lambda seq, item: (seq, item)) == expected


# -- message by message --------------------------------------------------------------------------------------


def sends(*payloads: bytes) -> Callable[[Peer], Any]:
    async def handler(peer: Peer) -> None:
        await peer.write(*(frame(payload, BINARY) for payload in payloads))
        await peer.close()

    return handler


@pytest.mark.parametrize("type_", [None, Trade])
async def test_message_mode_gives_one_after_the_other(type_: Any) -> None:
    got: list[Any] = []
    async with (
        serve(sends(*TRADES)) as server,
        rlfast.connect(server.url, type=type_, framing="lines", backoff=None) as ws,
    ):
        while True:
            try:
                got.append(msgspec.to_builtins(await anext(ws)))
            except rlfast.DecodeError as error:
                got.append((error.seq, error.raw))
            except StopAsyncIteration:
                break
        assert ws.stats.queued_bytes == 0
    values = [{"p": 1}, {"p": 2, "s": "x"}, {"p": 3}, {"p": 4}, {"p": "?"}, {"q": 1}, {"p": 5, "new": [1]}]
    if type_ is None:
        assert got == [*values, (3, b"pong"), {"p": 6}, (5, b'{"p":')]
    else:
        trades = [{"p": float(p), "s": "x" if p == 2 else ""} for p in range(1, 7)]
        bad = [(3, b'{"p":"?"}'), (3, b'{"q":1}')]
        assert got == [*trades[:4], *bad, trades[4], (3, b"pong"), trades[5], (5, b'{"p":')]


async def test_several_at_once_end_in_front_of_a_bad_one() -> None:
    async with (
        serve(sends(b"1\n2\n3\n", b"4\n?\n5")) as server,
        rlfast.connect(server.url, framing="lines", backoff=None) as ws,
    ):
        assert await ws.next_messages(2) == [1, 2]
        await until(lambda: ws.closed)
        assert await ws.next_messages() == [3, 4]
        with pytest.raises(rlfast.DecodeError, match="message 1: "):
            await ws.next_messages()
        assert await ws.next_messages() == [5]
        assert await ws.next_messages() == []


async def test_a_wait_that_is_cancelled_loses_none() -> None:
    more = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1\n2"))
        await more.wait()
        await peer.write(frame(b"3\n4"))
        await peer.close()

    async with (
        serve(handler) as server,
        rlfast.connect(server.url, framing="lines", backoff=None) as ws,
    ):
        assert [await ws.next_message(), await ws.next_message()] == [1, 2]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.next_message(), 0.01)
        more.set()
        assert [message async for message in ws] == [3, 4]


async def test_what_is_left_of_a_message_comes_in_batches() -> None:
    async with (
        serve(sends(b"0\n1", b"1\n2\n3\n4", b"5\n6")) as server,
        rlfast.connect(server.url, framing="lines", backoff=None) as ws,
    ):
        for expected in (0, 1, 1, 2):
            assert await ws.next_message() == expected
        await until(lambda: ws.closed)
        assert ws.stats.queued_bytes == 3 + 3 + 2 * 24
        texts = [text async for batch in ws.batches() for text in batch["message"]["json"]]
        assert texts == ["3", "4", "5", "6"]
        assert ws.stats.queued_bytes == 0


# -- captures ------------------------------------------------------------------------------------------------


async def test_a_capture_is_read_by_others(tmp_path: Path) -> None:
    async with serve(sends(*TRADES)) as server:
        connecting = rlfast.connect(server.url, type=Trade, framing="lines", backoff=None, stream="s")
        summary = await capture(connecting, tmp_path)
    assert (summary.events, summary.dead_letters, summary.last_seq) == (6, 2, 5)
    dataset = open_dataset(tmp_path)
    places = [(0, 0), (0, 1), (1, 0), (3, 0), (3, 3), (5, 0)]
    table = dataset.scan_polars("Trade").sort("seq", "item").collect()
    assert table.select("seq", "item").rows() == places
    assert table["p"].to_list() == [1, 2, 3, 4, 5, 6]
    assert isinstance(table, pl.DataFrame)
    query = 'select seq, item, p from "Trade" order by seq, item'
    assert dataset.duckdb().execute(query).fetchall() == [
        (*place, p) for place, p in zip(places, [1, 2, 3, 4, 5, 6], strict=True)
    ]


class Loose(msgspec.Struct):
    p: str


async def test_dead_letters_keep_their_place_when_they_are_decoded_again(tmp_path: Path) -> None:
    async with serve(sends(*TRADES)) as server:
        await capture(
            rlfast.connect(server.url, type=Trade, framing="lines", backoff=None, stream="s"), tmp_path
        )
    dataset = open_dataset(tmp_path)
    with pytest.raises(CaptureError, match="or, where they are documents of messages, the framing be named"):
        dataset.redrive(Loose)
    report = dataset.redrive(Loose, framing="lines")
    assert (report.events, report.left) == ({"Loose": 1}, {"other": 4, "malformed_json": 1})
    (row,) = dataset.to_arrow("Loose").to_pylist()
    assert (row["seq"], row["item"], row["p"]) == (3, 1, "?")


async def test_what_was_one_dead_letter_becomes_rows(tmp_path: Path) -> None:
    """A capture that did not know of the framing."""
    async with serve(sends(TRADES[0], TRADES[1])) as server:
        await capture(rlfast.connect(server.url, type=Trade, backoff=None, stream="s"), tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.redrive(Trade, framing="lines").events == {"Trade": 2}
    table = dataset.to_arrow("Trade").sort_by("p")
    assert table.select(["seq", "item", "p"]).to_pylist() == [
        {"seq": 0, "item": 0, "p": 1.0},
        {"seq": 0, "item": 1, "p": 2.0},
        {"seq": 1, "item": None, "p": 3.0},
    ]


@pytest.mark.parametrize("type_", [None, Trade])
def test_a_log_knows_its_framing(tmp_path: Path, type_: Any) -> None:
    decoding = Decoding(type_, framing="lines")
    assert resolve_decoding(name_type(type_), name_decoding(decoding)) == decoding
    leave(tmp_path, TRADES, type=name_type(type_), decoding=name_decoding(decoding))
    (found,) = recover(tmp_path).streams
    assert (found.messages, found.dead_letters) == (6, 4 if type_ is None else 2)
    table = open_dataset(tmp_path).to_arrow("message" if type_ is None else "Trade")
    assert table.sort_by([("seq", "ascending"), ("item", "ascending")])["item"].to_pylist()[:3] == [0, 1, 0]


async def test_a_capture_that_is_killed(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, TRADES))
        await peer.hang()

    out = tmp_path / "out"
    async with serve(handler) as server:
        process = await start("capture", server.url, "--framing", "lines", "--stream", "s", "--out", out)
        await until(lambda: out.exists() and next_seq(out, "s") == len(TRADES))
        process.kill()
        await process.communicate()
    (found,) = recover(out).streams
    assert (found.messages, found.dead_letters) == (6, 4)
    table = open_dataset(out).to_arrow("message").sort_by([("seq", "ascending"), ("item", "ascending")])
    assert table["json"].to_pylist()[:3] == ['{"p":1}', '{"p":2,"s":"x"}', '{"p":3}']


# -- the command line ----------------------------------------------------------------------------------------


async def test_types_are_inferred_from_documents(tmp_path: Path) -> None:
    async with serve(sends(b'{"e":"b","n":1}\x1e{"e":"a"}\x1e', b'{"e":"b","n":2}\x1epong\x1e')) as server:
        process = await start("infer", server.url, "--framing", "record-separator")
        out, err = await process.communicate()
    assert err.decode().splitlines()[-2:] == [
        "3 of 4 messages fit; 1 is another message",
        f"next: rlfast capture {server.url} --framing record-separator --types my_types:Event",
    ]
    path = tmp_path / "messages"
    path.write_bytes(b'{"e":"b","n":1}\x1e{"e":"a"}\x1e\n{"e":"b","n":2}\x1epong\x1e\n')
    process = await start("infer", path, "--framing", "json-seq")
    same, _ = await process.communicate()
    assert same.decode().partition('"""\n')[2] == out.decode().partition('"""\n')[2]
