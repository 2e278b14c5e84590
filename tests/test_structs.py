"""Message mode's compiled decoder: what it takes, what it leaves to msgspec, and who owns what."""

from __future__ import annotations

import abc
import datetime
import enum
import gc
import json
import sys
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest
from benchmarks import _workload
from equality import check_structs
from message_mode import in_threads, read_disturbed, reader_of, watch_msgspec
from streams import sender
from wsserver import serve

import rlfast
from rlfast._core.messages import MessageReader
from rlfast._core.shapes import slots_of
from rlfast.errors import UsageError
from rlfast.reasoning_layer._events import AgentEvent, Heartbeat, KbChange
from rlfast.schema._slots import struct_decoder, struct_plan

T = TypeVar("T")


def read(type_: Any, payload: bytes) -> Any:
    decoder = struct_decoder(type_)
    assert decoder is not None
    return decoder.read(payload)


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Order(msgspec.Struct, rename="camel"):
    order_id: int
    price: float
    note: str = "none"
    tags: list[str] = []
    side: Literal["buy", "sell"] | None = None
    level: Level = Level.LOW


# -- what it takes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["base", "alphabetical", "json_dumps", "escapes"])
def test_the_platforms_events_are_taken(variant: str) -> None:
    payloads = _workload.payloads(variant, 3000)
    assert check_structs(AgentEvent, payloads) >= 0.99 * len(payloads)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"orderId":1,"price":2}',
        b' { "price" : 2.5 , "orderId" : -7 } ',
        '{"orderId":1,"price":1e3,"note":"é\\n\\u0041\\ud83d\\ude00","tags":["a","é","\\"",""]}'.encode(),
        b'{"orderId":1,"price":2,"side":"buy","level":"high"}',
        b'{"orderId":1,"price":2,"side":null}',
        b'{"orderId":1,"price":2,"later":{"a":[1,{"b":"}"}]},"tags":[]}',
        b'{"orderId":1,"price":2,"note":"","tags":["x"]}',
    ],
)
def test_taken_as_msgspec_would(payload: bytes) -> None:
    assert check_structs(Order, [payload]) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"1",
        b"{}",
        b'{"orderId":1}',
        b'{"orderId":"1","price":2}',
        b'{"orderId":1,"orderId":2,"price":2}',
        b'{"orderId":1,"price":2,"side":"hold"}',
        b'{"orderId":1,"price":2,"level":"middle"}',
        b'{"orderId":null,"price":2}',
        b'{"orderId":1,"price":2,"note":null}',
        b'{"orderId":1,"price":2}}',
        b'{"orderId":1,"price":2',
        b'{"orderId":9223372036854775808,"price":2}',
        b'{"orderId":1,"price":2,"tags":["a",1]}',
        b'{"orderId":1,"price":2,"tags":[' + b'"",' * (1 << 18) + b'""]}',
    ],
)
def test_left_to_msgspec(payload: bytes) -> None:
    assert read(Order, payload) is None


def test_unknown_fields_where_they_are_forbidden() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        a: int

    assert read(Strict, b'{"a":1}') == Strict(1)
    assert read(Strict, b'{"a":1,"b":2}') is None


def test_the_order_of_keys_is_learned_and_changes_nothing() -> None:
    fields = {"orderId": 1, "price": 2.5, "note": "n", "side": "sell"}
    for names in (["orderId", "price", "note", "side"], ["side", "note", "price", "orderId"]) * 3:
        payload = json.dumps({name: fields[name] for name in names}).encode()
        assert check_structs(Order, [payload]) == 1
        assert read(Order, payload) == Order(1, 2.5, note="n", side="sell")


# -- which types ------------------------------------------------------------------------------------------


def test_types_that_only_msgspec_decodes() -> None:
    class Boxed(msgspec.Struct, Generic[T]):
        value: T | None
        raw: msgspec.Raw

    for type_ in (
        int,
        dict,
        list,
        Any,
        datetime.datetime,
        type("Other", (), {}),
        Boxed[int],
        int | list[str],
    ):
        assert struct_plan(type_) is None, type_


def test_one_struct_of_a_union_may_be_left_to_msgspec() -> None:
    class Plain(msgspec.Struct, tag="plain"):
        a: int

    class Odd(msgspec.Struct, Generic[T], tag="odd"):
        a: T
        b: Annotated[float, msgspec.Meta(multiple_of=2)] = 2

    decoder = struct_decoder(Plain | Odd[int])
    assert decoder is not None
    assert decoder.read(b'{"type":"plain","a":1}') == Plain(1)
    assert decoder.read(b'{"a":1,"type":"plain"}') == Plain(1)
    assert decoder.read(b'{"type":"odd","a":1}') is None
    assert decoder.read(b'{"type":"other","a":1}') is None
    assert decoder.read(b'{"a":1}') is None


def test_names_that_columns_cannot_have() -> None:
    class Numbered(msgspec.Struct):
        seq: int
        stream: str

    assert read(Numbered, b'{"seq":1,"stream":"s"}') == Numbered(1, "s")


def test_attributes_must_be_slots_of_a_type_that_can_be_made() -> None:
    class Abstract(msgspec.Struct, metaclass=type("Meta", (msgspec.StructMeta, abc.ABCMeta), {})):  # type: ignore[misc]
        a: int

        @abc.abstractmethod
        def method(self) -> None: ...

    class Plain:
        a = 1

    assert slots_of(Order, ["order_id", "tags"])
    assert not slots_of(Abstract, ["a"])
    assert not slots_of(Plain, ["a"])
    assert not slots_of(Order, ["missing"])


def test_inherited_fields_and_all_kinds_of_struct() -> None:
    class Base(msgspec.Struct, frozen=True):
        a: int

    class Derived(Base, frozen=True, kw_only=True, weakref=True, dict=True, cache_hash=True, order=True):
        b: str = "b"

    value = read(Derived, b'{"b":"x","a":1}')
    assert value == Derived(a=1, b="x")
    assert hash(value) == hash(Derived(a=1, b="x"))
    assert check_structs(Derived, [b'{"a":1}', b'{"a":2,"b":"y"}']) == 2


def test_a_decoder_is_made_once_for_a_type() -> None:
    assert struct_decoder(Order) is struct_decoder(Order)
    assert struct_decoder(Order) is not struct_decoder(KbChange)
    # Not a type that can be kept.
    unhashable = Annotated[Order, []]
    assert struct_decoder(unhashable) is not struct_decoder(unhashable)


# -- who owns what ----------------------------------------------------------------------------------------


def test_defaults_are_shared_if_nobody_can_change_them() -> None:
    first, second = (read(Order, b'{"orderId":1,"price":2}') for _ in range(2))
    assert first.tags == second.tags == []
    assert first.tags is not second.tags
    assert first.note == "none"
    assert first.level is Level.LOW


def test_objects_are_freed_with_their_struct() -> None:
    payload = (
        b'{"orderId":123456789,"price":2.5,"note":"a text","tags":["b","c d"],"side":"buy","level":"high"}'
    )
    decoder = struct_decoder(Order)
    assert decoder is not None
    side = decoder.read(payload).side
    for kept in (side, Level.HIGH, None, Order):
        before = sys.getrefcount(kept)
        values = [decoder.read(payload) for _ in range(100)]
        del values
        assert abs(sys.getrefcount(kept) - before) < 10
    gc.collect()
    blocks = sys.getallocatedblocks()
    for _ in range(10_000):
        decoder.read(payload)
        decoder.read(b'{"orderId":1,"price":2,"note":"\\u00e9')
    assert sys.getallocatedblocks() - blocks < 1000


def test_the_collector_knows_structs_that_may_be_in_a_cycle() -> None:
    class Text(str):
        """One that can refer to something."""

    class Holder(msgspec.Struct):
        a: int
        text: str = Text("default")
        level: Level | None = None

    class Other(msgspec.Struct):
        a: int
        text: str = "default"

    assert (
        check_structs(Holder, [b'{"a":1}', b'{"a":1,"text":"t"}', b'{"a":1,"text":"t","level":"low"}']) == 3
    )
    assert gc.is_tracked(read(Holder, b'{"a":1}'))
    assert not gc.is_tracked(read(Holder, b'{"a":1,"text":"t"}'))
    assert not gc.is_tracked(read(Other, b'{"a":1}'))
    assert gc.is_tracked(read(Order, b'{"orderId":1,"price":2}'))


class Grown(msgspec.Struct):
    a: int
    parts: Any = None

    def __post_init__(self) -> None:
        self.parts = [self]


def test_the_collector_knows_structs_that_became_part_of_a_cycle() -> None:
    assert gc.is_tracked(read(Grown, b'{"a":1}'))
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Grown)]


def test_texts_of_every_size() -> None:
    payloads = [b'{"orderId":1,"price":2,"note":"%s"}' % (b"abcdefgh" * 12)[:size] for size in range(97)]
    assert check_structs(Order, payloads) == len(payloads)


def test_threads_that_share_a_decoder() -> None:
    payloads = _workload.payloads("base", 300)
    expected = [msgspec.json.decode(payload, type=AgentEvent) for payload in payloads]
    wrong: list[Any] = []
    decoder = struct_decoder(AgentEvent)
    assert decoder is not None

    def work() -> None:
        for _ in range(30):
            for payload, event in zip(payloads, expected, strict=True):
                value = decoder.read(payload)
                if value is not None and value != event:
                    wrong.append((value, event))

    in_threads(work)
    assert wrong == []


def test_the_garbage_collector_cannot_take_a_message_while_one_is_decoded() -> None:
    """A finalizer runs whenever an object that the collector knows is made: in the middle of a struct."""
    payload = b'{"orderId":1,"price":2,"tags":["some text","more text"]}'
    got = read_disturbed(reader_of(Order, [payload] * 2000))
    assert got == [Order(1, 2.0, tags=["some text", "more text"])] * 2000


def test_a_hook_cannot_take_a_message() -> None:
    readers: list[MessageReader] = []

    class Hook(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            readers[0].take_nowait(1)

    readers.append(reader_of(Hook, [b'{"a":1}', b'{"a":2}']))
    with pytest.raises(UsageError, match="asked for by what the decoding of another one called"):
        readers[0].take_nowait(1)


# -- with a connection ------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What msgspec is asked to decode."""
    return watch_msgspec(monkeypatch)


async def test_messages_of_a_connection(calls: list[bytes]) -> None:
    usual = '{"type":"heartbeat","timestamp":"now"}'
    odd = '{"type":"heartbeat","timestamp":"now","timestamp":"then"}'
    unknown = '{"type":"unheard","x":1}'
    async with (
        serve(sender(usual, odd, unknown, usual)) as server,
        rlfast.connect(server.url, type=AgentEvent, backoff=None) as ws,
    ):
        assert await ws.next_message() == Heartbeat(timestamp="now")
        assert await ws.next_message() == Heartbeat(timestamp="then")
        value = await ws.next_message()
        assert isinstance(value, rlfast.UnknownEvent)
        assert await ws.next_messages() == [Heartbeat(timestamp="now")]
    assert calls == [odd.encode(), unknown.encode()]
