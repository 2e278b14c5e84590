"""Events inside of envelopes (``events_at``): the compiled decoder, the general path and msgspec agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pytest
import test_nested
from core.oracle import plain_values
from equality import GENERAL, check_equal
from hypothesis import given
from hypothesis import strategies as st
from nested_types import (
    FieldNode,
    ListNode,
    Node,
    OptionalNode,
    Source,
    StructNode,
    events,
    list_of,
    nodes,
    payloads,
    pointer,
)
from test_nested import SETTINGS
from websockets.asyncio.server import ServerConnection, serve

import rlfast
from rlfast._core.plan import KERNELS
from rlfast.capture import capture, open_dataset, recover
from rlfast.decode._batch import EventBatch
from rlfast.errors import ConfigError, UnsupportedFieldError
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope import plan_of


def decoded(decoding: Any, raws: list[bytes], kernel: str | None = "auto") -> tuple[EventBatch, int]:
    """The batch, with messages of other kinds, and how many the compiled decoder took."""
    return test_nested.decoded(decoding, raws, kernel, other=True)


def rows(batch: EventBatch) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, without what is the same in all tests; "" stands for the dead letters."""
    found = {}
    for name, table in (*batch.items(), ("", batch.dead_letters)):
        rows = pa.record_batch(table.with_plain_text()).to_pylist()
        found[name] = [{k: v for k, v in row.items() if k not in ("epoch", "received_at")} for row in rows]
    return found


class Trade(msgspec.Struct, tag_field="e", tag="trade"):
    s: str
    p: float


class Depth(msgspec.Struct, tag_field="e", tag="depth"):
    s: str
    b: list[list[str]]


class Combined(msgspec.Struct):
    stream: str
    data: Trade | Depth
    s: int | None = None


TRADE = b'{"stream":"a@t","data":{"e":"trade","s":"X","p":1.5}}'
COMBINED = [
    TRADE,
    b' { "data" : { "s" : "X" , "b" : [["1","2"]] , "new" : 3 , "e" : "depth" } , '
    b'"x/y":[1], "stream" : "b" , "s" : 9 } ',
    b'{"result":null,"id":1}',
    b'{"stream":"c","data":{"e":"new"}}',
    b'{"stream":"c","data":{"e":"trade","s":"X","p":"?"}}',
    b'{"stream":1,"data":{"e":"trade","s":"X","p":1.5}}',
    b"pong",
]


@pytest.mark.parametrize("kernel", [GENERAL, *KERNELS])
def test_the_fields_of_an_envelope_come_before_those_of_its_event(kernel: str | None) -> None:
    batch, fast = decoded(Decoding(Combined, events_at="/data"), COMBINED, kernel)
    assert fast == (0 if kernel is GENERAL else 2)
    found = rows(batch)
    # The table's own column "stream" is only in files.
    assert found["trade"] == [
        {"seq": 0, "stream": "a@t", "envelope_s": None, "s": "X", "p": 1.5, "_extra": None}
    ]
    extra = '{"/data/new":3,"x/y":[1]}'
    assert found["depth"] == [
        {"seq": 1, "stream": "b", "envelope_s": 9, "s": "X", "b": [["1", "2"]], "_extra": extra}
    ]
    assert [(row["seq"], row["reason"]) for row in found["_other"]] == [
        (2, "no field 'stream'"),
        (3, "unknown e 'new'"),
        (6, "a word"),
    ]
    assert [(row["seq"], row["error"]) for row in found[""]] == [
        (4, "Expected `float`, got `str` - at `$.data.p`"),
        (5, "Expected `str`, got `int` - at `$.stream`"),
    ]


class Tick(msgspec.Struct):
    p: float


class Ticks(msgspec.Struct, tag_field="type", tag="ticks"):
    data: list[Tick]
    t: int = 0


class Status(msgspec.Struct, tag_field="type", tag="status"):
    text: str


TICKS = [
    b'{"type":"ticks","data":[{"p":1},{"p":2,"new":true}],"t":5}',
    b'{"t":6,"data":[{"p":1},{"p":"?"},{"p":3}],"sent":"now","type":"ticks"}',
    b'{"type":"ticks","data":[]}',
    b'{"type":"status","text":"up","data":[1,2]}',
    b'{"type":"ticks","data":[{"p":1}],"t":"?"}',
    b'{"type":"ticks","data":5}',
    b'{"type":"ping"}',
]


@pytest.mark.parametrize("kernel", [GENERAL, *KERNELS])
def test_an_array_inside_of_an_envelope_becomes_rows(kernel: str | None) -> None:
    batch, fast = decoded(Decoding(Ticks | Status, events_at="/data"), TICKS, kernel)
    assert fast == (0 if kernel is GENERAL else 2)
    found = rows(batch)
    assert found["ticks"] == [
        {"seq": 0, "item": 0, "t": 5, "p": 1.0, "_extra": None},
        {"seq": 0, "item": 1, "t": 5, "p": 2.0, "_extra": '{"/data/1/new":true}'},
        {"seq": 1, "item": 0, "t": 6, "p": 1.0, "_extra": '{"sent":"now"}'},
        {"seq": 1, "item": 2, "t": 6, "p": 3.0, "_extra": '{"sent":"now"}'},
    ]
    assert found["status"] == [{"seq": 3, "item": 0, "text": "up", "_extra": '{"data":[1,2]}'}]
    assert [(row["seq"], row["item"]) for row in found["_other"]] == [(2, None), (6, None)]
    assert [(row["seq"], row["item"]) for row in found[""]] == [(1, 1), (4, 0), (5, None)]
    # The message with this event alone, so that it can be decoded again.
    assert json.loads(found[""][0]["raw"]) == {
        "t": 6,
        "data": [{"p": "?"}],
        "sent": "now",
        "type": "ticks",
    }


class Inner(msgspec.Struct):
    data: Trade | Depth
    at: int


class Outer(msgspec.Struct):
    ref: str
    payload: Inner | None = None
    two: Annotated[list[Tick], msgspec.Meta(min_length=2)] = []


class Relay(msgspec.Struct, array_like=True):
    verb: str
    subscription: str
    event: Tick


@pytest.mark.parametrize("kernel", [GENERAL, *KERNELS])
def test_an_event_may_be_deeper_and_in_an_array(kernel: str | None) -> None:
    raws = [
        b'{"ref":"r","payload":{"at":3,"data":{"e":"trade","s":"X","p":1,"k":0},"w":2}}',
        b'{"ref":"r","payload":null}',
        b'{"ref":"r"}',
    ]
    found = rows(decoded(Decoding(Outer, events_at="/payload/data"), raws, kernel)[0])
    extra = '{"/payload/data/k":0,"/payload/w":2}'
    assert found["trade"] == [{"seq": 0, "ref": "r", "two": [], "at": 3, "s": "X", "p": 1.0, "_extra": extra}]
    assert [row["reason"] for row in found["_other"]] == ["there is no event at /payload/data"] * 2
    raws = [b'["EVENT","s",{"p":1}]', b'["EOSE","s"]']
    found = rows(decoded(Decoding(Relay, events_at="/2"), raws, kernel)[0])
    assert found["Tick"] == [{"seq": 0, "verb": "EVENT", "subscription": "s", "p": 1.0, "_extra": None}]
    assert [row["json"] for row in found["_other"]] == ['["EOSE","s"]']


@pytest.mark.parametrize("kernel", [GENERAL, *KERNELS])
def test_the_type_may_be_that_of_the_event(kernel: str | None) -> None:
    batch, fast = decoded(Decoding(Trade | Depth, events_at="/data"), COMBINED, kernel)
    assert fast == (0 if kernel is GENERAL else 3)
    found = rows(batch)
    assert [(row["seq"], row["_extra"]) for row in found["trade"]] == [
        (0, '{"stream":"a@t"}'),
        (5, '{"stream":1}'),
    ]
    assert [(row["seq"], row["reason"]) for row in found["_other"]] == [
        (2, "no field 'data'"),
        (3, "unknown e 'new'"),
        (6, "a word"),
    ]


def test_what_cannot_work_is_refused() -> None:
    for pointer_, error, text in (
        ("data", ConfigError, "begins with a slash"),
        ("/a~2", ConfigError, "~0"),
        ("/payload/nothing", ConfigError, "no field 'nothing'"),
        ("/ref", UnsupportedFieldError, "needs a struct"),
        ("/two", UnsupportedFieldError, "min_length"),
    ):
        with pytest.raises(error, match=text):
            plan_of(Decoding(Outer, events_at=pointer_))
    with pytest.raises(ConfigError, match="needs a type"):
        Decoding(None, events_at="/data")
    with pytest.raises(UnsupportedFieldError):
        plan_of(Decoding(int | str, events_at="/data"))


# -- random ones ---------------------------------------------------------------------------------------------


def envelopes(source: Source, event: Node) -> tuple[StructNode, tuple[int, ...], str]:
    """An envelope around an event, where in it that is, and the pointer to it."""
    at: list[int] = []
    names = ""
    for _ in range(source.pick([1, 1, 1, 2])):
        fields = [
            FieldNode(f"x{i}", f"{'xy'[len(at)]}{i}", nodes(source, 2)) for i in range(source.integer(0, 3))
        ]
        place = source.integer(0, len(fields))
        name = source.pick(["data", "a/b", "é", "m~", "k" * 40])
        fields.insert(place, FieldNode("inside", name, event))
        at.insert(0, place)
        names = f"/{pointer(name)}{names}"
        annotation = msgspec.defstruct(
            "Envelope",
            [(field.attribute, field.node.annotation) for field in fields],
            rename={field.attribute: field.name for field in fields},
            forbid_unknown_fields=source.one_in(6),
        )
        event = StructNode(annotation, fields)
    assert isinstance(event, StructNode)
    return event, tuple(at), names


@given(seed=st.integers(0, 2**64 - 1))
@SETTINGS
def test_every_kernel_equals_the_general_path(seed: int) -> None:
    source = Source(seed)
    event: Node = events(source, 2)
    form = source.pick(["plain", "list", "list", "optional"])
    inside = (
        ListNode(event, list_of, 0, 4)
        if form == "list"
        else OptionalNode(event)
        if form == "optional"
        else event
    )
    root, _, names = envelopes(source, inside)
    raws = [payloads(source, root) for _ in range(source.integer(1, 12))]
    cuts = [source.integer(0, 5) for _ in range(source.integer(0, 4))]
    check_equal(Decoding(root.annotation, events_at=names), raws, cuts, source.pick([1, 300, 1 << 16]))
    # Of the event's type alone, the envelope's fields are unknown.
    check_equal(Decoding(inside.annotation, events_at=names), raws) if form == "list" else None


@given(seed=st.integers(0, 2**64 - 1))
@SETTINGS
def test_an_event_is_that_of_a_message_of_its_own(seed: int) -> None:
    """Columns of the event are as without an envelope; those of the envelope as msgspec decodes them."""
    source = Source(seed)
    event = events(source, 2)
    root, at, names = envelopes(source, event)
    raws = [payloads(source, root) for _ in range(source.integer(1, 12))]
    batch, _ = decoded(Decoding(root.annotation, events_at=names), raws)
    judge = msgspec.json.Decoder(root.annotation)
    plan = plan_of(Decoding(root.annotation, events_at=names))
    letters = set(batch.dead_letters["seq"].tolist())
    for table in batch.values():
        if table.name == "_other":
            continue
        record_batch = pa.record_batch(table.with_plain_text())
        columns = [plain_values(column) for column in record_batch.columns]
        for i, seq in enumerate(columns[0]):
            assert seq not in letters
            value = judge.decode(raws[seq])
            raw = msgspec.Raw(raws[seq])
            held = iter([column[i] for column in columns[3:-1]])
            node = root
            for place in at:
                fields = [field for j, field in enumerate(node.fields) if j != place]
                for field in fields:
                    inner = getattr(value, field.attribute)
                    column = next(held)
                    assert inner is None or field.node.agrees(inner, column), (raws[seq], field.name)
                value = value.inside
                raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[node.fields[place].name]
                inside: Any = node.fields[place].node
                node = inside
            if plan.event.is_remade or plan.event.has_made_defaults:
                continue  # made of an object, whose JSON may be another one of the same value
            alone, _ = decoded(event.annotation, [bytes(raw)], GENERAL)
            [other] = (pa.record_batch(t.with_plain_text()) for t in alone.values())
            assert list(held) == [plain_values(column)[0] for column in other.columns[3:-1]]


# -- over a connection ---------------------------------------------------------------------------------------


async def test_an_envelope_is_captured_and_recovered_and_read_as_messages(tmp_path: Path) -> None:
    async def feed(websocket: ServerConnection) -> None:
        for raw in (*COMBINED, *COMBINED):
            await websocket.send(raw.decode())

    async with serve(feed, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        summary = await capture(
            rlfast.connect(url, type=Combined, events_at="/data", backoff=None), tmp_path / "events"
        )
        async with rlfast.connect(url, type=Combined, events_at="/data", backoff=None) as ws:
            assert await ws.next_message() == Combined("a@t", Trade("X", 1.5))
        async with rlfast.connect(url, type=Trade | Depth, events_at="/data", backoff=None) as ws:
            assert await ws.next_message() == Trade("X", 1.5)
            assert await ws.next_message() == Depth("X", [["1", "2"]])
            assert await ws.next_message() == rlfast.UnknownEvent(None, COMBINED[2])
            assert await ws.next_message() == rlfast.UnknownEvent("new", COMBINED[3])
    assert (summary.events, summary.dead_letters) == (4, 4)
    assert recover(tmp_path / "events").nothing_to_do
    table = open_dataset(tmp_path / "events").to_arrow("trade")
    assert table.column_names == [
        "seq", "epoch", "received_at", "rlfast_stream", "stream", "envelope_s", "s", "p", "_extra",
    ]  # fmt: skip
    assert table["stream"].to_pylist() == ["a@t", "a@t"]
