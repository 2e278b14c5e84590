"""Message mode's compiled decoder on types with others inside, against msgspec."""

from __future__ import annotations

import datetime
import gc
import os
import random
import sys
from typing import Any

import msgspec
import pytest
from equality import check_structs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_types import Level, Types

from rlfast._core.structs import StructDecoder
from rlfast.schema._slots import struct_decoder, struct_plan

EXAMPLES = int(os.environ.get("RLFAST_HYPOTHESIS_EXAMPLES", "150"))


def payloads_of(make: Any, rng: random.Random) -> list[bytes]:
    """Payloads that fit, and that almost do."""
    good = [make(rng).encode() for _ in range(12)]
    return good + [damaged(payload, rng) for payload in good for _ in range(4)]


def damaged(payload: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(payload) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        return payload[:at]
    if kind == 1:
        return payload[:at] + payload[at + 1 :]
    if kind == 2:
        odd = rng.choice([b"}", b"]", b",", b'"', b":", b"0", b"\\", b"\xff", b"null", b" "])
        return payload[:at] + odd + payload[at:]
    if kind == 3:
        parts = payload.split(b",")
        i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[i] = parts[j]
        return b",".join(parts)
    return payload[:at] + bytes([rng.randrange(256)]) + payload[at + 1 :]


TAKEN = {"payloads": 0, "taken": 0, "types": 0, "planned": 0}


@given(seed=st.integers(0, 2**48))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_types(seed: int) -> None:
    rng = random.Random(seed)
    types = Types(rng)
    try:
        type_, make = rng.choice([types.struct, types.struct, types.union, types.list, types.any])(3)
        msgspec.json.Decoder(type_)
    except (TypeError, ValueError):
        return  # a union that msgspec does not take, or a tag field named as another
    TAKEN["types"] += 1
    TAKEN["planned"] += struct_plan(type_) is not None
    payloads = payloads_of(make, rng)
    TAKEN["payloads"] += 12
    TAKEN["taken"] += min(12, check_structs(type_, payloads[:12]))
    check_structs(type_, payloads)


# -- one type after the other ----------------------------------------------------------------------------


class Point(msgspec.Struct):
    x: int
    y: float = 0.5


class Line(msgspec.Struct, tag="line", array_like=True):
    points: list[Point]
    name: str = "line"


class Dot(msgspec.Struct, tag="dot", array_like=True):
    at: tuple[int, int]


class Hooked(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError("must not be negative")
        self.n += 1


class Deep(msgspec.Struct):
    odd: datetime.timedelta
    points: list[Point] = []
    hooked: Hooked | None = None
    by_name: dict[str, Point] = {}
    raw: msgspec.Raw = msgspec.Raw()
    mixed: int | str | None = None
    plain: Any = None
    tree: Tree | None = None


class Tree(msgspec.Struct):
    name: str
    inside: list[Tree] = []


def decoder_of(type_: Any) -> StructDecoder:
    decoder = struct_decoder(type_)
    assert decoder is not None
    return decoder


@pytest.mark.parametrize(
    "payload",
    [
        b'["line",[{"x":1},{"y":2,"x":3}]]',
        b' [ "line" , [ ] , "n" , {"extra":[1]} ] ',
        b'["dot",[1,2]]',
    ],
)
def test_messages_that_are_arrays(payload: bytes) -> None:
    assert check_structs(Line | Dot, [payload]) == 1
    twice = b"[" + payload + b"," + payload + b"]"
    assert check_structs(list[Line | Dot], [twice, b"[]"]) == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b'["line"]',
        b'["line",]',
        b'["dot",[1]]',
        b'["dot",[1,2,3]]',
        b'["circle",1]',
        b"{}",
        b'["dot",[1,2]',
    ],
)
def test_arrays_that_are_left_to_msgspec(payload: bytes) -> None:
    assert decoder_of(Line | Dot).read(payload) is None


def test_messages_that_are_no_structs() -> None:
    assert check_structs(list[Point], [b"[]", b' [{"x":1}] ', b'[{"x":1},{"x":2,"y":3}]']) == 3
    assert check_structs(dict[str, list[Point]], [b"{}", b'{"a":[],"b":[{"x":1}],"a":[{"x":2}]}']) == 2
    assert check_structs(tuple[int, str], [b'[1,"a"]']) == 1
    assert check_structs(Point | None, [b'{"x":1}', b"null"]) == 1


def test_one_unusual_field_is_decoded_alone() -> None:
    payloads = [
        b'{"odd":"PT1S"}',
        b'{"odd":"PT1S","raw":[1, {"a":"]"}],"mixed":"x","plain":{"a":[null,1.5,{}]}}',
        b'{"odd":"PT1S","points":[{"x":1}],"by_name":{"a":{"x":2},"a":{"x":3}},"mixed":null}',
        b'{"odd":"PT1S","hooked":{"n":0},"plain":12345678901234567890,"tree":null}',
        b'{"odd":"PT1S","tree":{"name":"a","inside":[{"name":"b"}]},"plain":[]}',
    ]
    assert check_structs(Deep, payloads) == len(payloads) - 1


def test_raw_json_outlives_its_message() -> None:
    payload = b'{"odd":"PT1S","raw":[1,"a"]}'
    value = decoder_of(Deep).read(payload)
    del payload
    gc.collect()
    assert bytes(value.raw) == b'[1,"a"]'


@pytest.mark.parametrize(
    "payload", [b'{"odd":"1 hour"}', b'{"odd":"PT1S","hooked":{"n":-1}}', b'{"odd":"PT1S","mixed":[]}']
)
def test_what_a_type_refuses_is_left_to_msgspec(payload: bytes) -> None:
    assert decoder_of(Deep).read(payload) is None
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(payload, type=Deep)


def test_errors_that_are_none_of_the_message() -> None:
    class Interrupted(msgspec.Struct):
        error: str

        def __post_init__(self) -> None:
            raise {"memory": MemoryError, "interrupt": KeyboardInterrupt, "key": KeyError}[self.error]

    decoder = decoder_of(list[Interrupted])
    with pytest.raises(MemoryError):
        decoder.read(b'[{"error":"memory"}]')
    with pytest.raises(KeyboardInterrupt):
        decoder.read(b'[{"error":"interrupt"}]')
    assert decoder.read(b'[{"error":"key"}]') is None


def test_a_decoder_that_is_busy_leaves_all_to_msgspec() -> None:
    inside: list[Any] = []

    class Nosy(msgspec.Struct):
        n: int

        def __post_init__(self) -> None:
            inside.append(decoder.read(b'[{"n":2}]'))

    decoder = decoder_of(list[Nosy])
    assert [nosy.n for nosy in decoder.read(b'[{"n":0},{"n":1}]')] == [0, 1]
    assert inside == [None, None]


def test_an_event_with_very_many_values() -> None:
    for n in (0, 1, 255, 256, 257, 5000, 200_000):
        payload = b'{"odd":"PT1S","points":[' + b",".join([b'{"x":1}'] * (n // 4)) + b"]}"
        assert check_structs(Deep, [payload]) == 1
        assert check_structs(list[list[str]], [b"[" + b",".join([b'["a","b"]'] * (n // 3)) + b"]"]) == 1
    too_many = b"[" + b",".join([b"1"] * (1 << 18)) + b"]"
    assert decoder_of(list[int]).read(too_many) is None


def test_a_type_of_very_many_parts() -> None:
    type_: Any = Point
    for i in range(14):
        type_ = msgspec.defstruct(f"Wide{i}", [("a", type_ | None, None), ("b", type_ | None, None)])
    assert check_structs(type_, [b"{}", b'{"a":{"b":{"a":{}}},"b":null}']) == 2


def test_nothing_leaks() -> None:
    decoder, judge = decoder_of(list[Deep]), msgspec.json.Decoder(list[Deep])
    one = (
        b'{"odd":"PT1S","points":[{"x":1234567},{"x":1}],"hooked":{"n":1234567},'
        b'"by_name":{"a key of its own":{"x":1}},"raw":"some text",'
        b'"mixed":"a text that is longer than those that are kept, so that each of them is new",'
        b'"plain":{"a":[1,{"b":"c"}]},"tree":{"name":"t"}'
    )
    good = b"[" + one + b"}," + one + b"}]"
    # Each fails when most of it is made.
    bad = [b"[" + one + b"}," + one + end + b"]" for end in (b',"odd":"?"}', b"}")]
    bad += [good.replace(b'"n":1234567}', b'"n":-1}'), good[:-1], good.replace(b'"PT1S"', b'"PT"')]
    last = good.rindex(b'"PT1S"')
    bad.append(good[:last] + b'"a day"' + good[last + 6 :])
    shared = [Deep, Point, Hooked, decoder, judge, Level.LOW]

    def work() -> None:
        assert decoder.read(good) == judge.decode(good)
        for payload in bad:
            decoder.read(payload)

    for _ in range(20):
        work()
    gc.collect()
    before = sys.getallocatedblocks(), [sys.getrefcount(value) for value in shared]
    for _ in range(300):
        work()
    gc.collect()
    after = sys.getallocatedblocks(), [sys.getrefcount(value) for value in shared]
    assert after[0] - before[0] < 100
    assert after[1] == before[1]


def test_every_allocation_may_fail() -> None:
    testcapi = pytest.importorskip("_testcapi")
    decoder = decoder_of(Deep | None)
    payload = (
        b'{"odd":"PT1S","points":[{"x":1234567}],"hooked":{"n":1},"by_name":{"a key of its own":{"x":1}},'
        b'"raw":"text","mixed":"a text that is longer than those that are kept, so that each of them is new",'
        b'"plain":{"a":[1,{"b":"c"}]}}'
    )
    expected = decoder.read(payload)
    for n in range(200):
        value = None
        testcapi.set_nomemory(n, n + 1)
        try:
            value = decoder.read(payload)
        except MemoryError:
            pass
        finally:
            testcapi.remove_mem_hooks()
        assert value is None or value == expected
    assert decoder.read(payload) == expected
