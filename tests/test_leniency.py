"""What `connect` lets be otherwise than msgspec has it: inexact types, hooks, and text that is no JSON."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pytest
from equality import check_equal, check_structs
from hypothesis import given, settings
from hypothesis import strategies as st
from nested_types import Source, payloads, roots
from test_envelopes import decoded
from test_nested import SETTINGS
from websockets.asyncio.server import ServerConnection, serve

import rlfast
from rlfast._core.plan import KERNELS
from rlfast.capture import capture, open_dataset, redrive
from rlfast.decode._messages import MessageDecoder
from rlfast.errors import ConfigError
from rlfast.schema._decoding import Decoding
from rlfast.schema._repairs import repaired


class Reading(msgspec.Struct):
    id: int
    value: float | None = None
    ok: bool = True
    at: datetime | None = None
    text: str = ""


def columns(decoding: Decoding, *raws: bytes, kernel: str | None = "auto") -> dict[str, list[Any]]:
    batch, _ = decoded(decoding, list(raws), kernel)
    letters: Any = batch.dead_letters["error"].tolist()
    if not batch:
        return {"": letters}
    [table] = batch.values()
    found = pa.record_batch(table.with_plain_text()).to_pydict()
    return {**{name: found[name] for name in table.column_names[3:]}, "": letters}


def both(decoding: Decoding, raw: bytes) -> Any:
    """A message as a value, which columns of every kernel hold, too; or what is wrong with it."""
    try:
        value = MessageDecoder(decoding).decode(raw)
    except msgspec.DecodeError as error:
        value = str(error)
    for kernel in (None, *KERNELS):
        held = columns(decoding, raw, kernel=kernel)
        if isinstance(value, str):
            assert held == {"": [value]}
        else:
            assert held.pop("") == []
            held.pop("_extra")
            assert {name: [item] for name, item in msgspec.structs.asdict(value).items()} == held
    return value


def test_a_type_that_msgspec_does_not_take_is_refused() -> None:
    for type_ in (Annotated[int, msgspec.Meta(ge=2**64)], dict[str, int] | dict[str, str], 3):
        with pytest.raises(ConfigError, match="type must be a type that msgspec can decode"):
            Decoding(type_)


# -- strict=False --------------------------------------------------------------------------------------------


def test_values_of_other_types_are_taken_where_that_is_wanted() -> None:
    raw = b'{"id":"42","value":"1.5","ok":"false","at":1600000000}'
    time = datetime(2020, 9, 13, 12, 26, 40, tzinfo=timezone.utc)
    assert both(Decoding(Reading, strict=False), raw) == Reading(42, 1.5, False, time)
    assert both(Decoding(Reading), raw) == "Expected `int`, got `str` - at `$.id`"
    assert both(Decoding(Reading, strict=False), b'{"id":7,"value":"null","new":1}') == Reading(7)
    assert "Expected `int`" in both(Decoding(Reading, strict=False), b'{"id":"x"}')


@given(seed=st.integers(0, 2**64 - 1))
@SETTINGS
def test_every_kernel_equals_the_general_path_without_strictness(seed: int) -> None:
    source = Source(seed)
    root = roots(source)
    raws = [payloads(source, root) for _ in range(source.integer(1, 12))]
    check_equal(Decoding(root.annotation, strict=False), raws)


# -- dec_hook ------------------------------------------------------------------------------------------------


class Point:
    """What msgspec does not know."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __repr__(self) -> str:
        return f"Point({self.x}, {self.y})"

    __hash__ = None  # type: ignore[assignment]


class Place(msgspec.Struct):
    name: str
    at: Point
    others: list[Point] = []


def to_point(type_: type, value: Any) -> Any:
    if type_ is not Point:
        raise NotImplementedError
    x, y = value
    if x < 0:
        raise ValueError("a point is not left of the origin")
    return Point(x, y)


def test_a_hook_makes_what_msgspec_does_not_know() -> None:
    decoding = Decoding(Place, dec_hook=to_point)
    raw = b'{"name":"a","at":[1,2],"others":[[3, 4]]}'
    assert MessageDecoder(decoding).decode(raw) == Place("a", Point(1, 2), [Point(3, 4)])
    assert check_structs(decoding, [raw]) == 1
    for kernel in (None, *KERNELS):
        held = columns(decoding, raw, b'{"name":"b","at":[-1,2]}', kernel=kernel)
        assert held["at"] == ["[1,2]"]
        assert held["others"] == [["[3, 4]"]]
        assert held[""] == ["a point is not left of the origin - at `$.at`"]
    assert "at `$.at`" in columns(Decoding(Place), raw)[""][0]


# -- nan, surrogates -----------------------------------------------------------------------------------------


def test_nan_is_null_where_that_is_wanted() -> None:
    for number in (b"NaN", b"Infinity", b"-Infinity"):
        raw = b'{"id":1,"value":' + number + b',"text":"NaN, \\"-Infinity"}'
        expected = Reading(1, None, text='NaN, "-Infinity')
        assert both(Decoding(Reading, nan="null"), raw) == expected
        assert "malformed" in both(Decoding(Reading), raw)
        assert "malformed" in both(Decoding(Reading, surrogates="replace"), raw)
        held = columns(Decoding(None, nan="null"), raw)
        assert held["json"] == ['{"id":1,"value":null,"text":"NaN, \\"-Infinity"}']
    assert "Expected `int`, got `null`" in both(Decoding(Reading, nan="null"), b'{"id":NaN}')
    assert MessageDecoder(Decoding(None, nan="null")).decode(b"[NaN,1]") == [None, 1]
    [letter] = columns(Decoding(Reading, nan="null"), b'{"id":NaN1}')[""]
    assert "malformed" in letter


def test_half_of_a_surrogate_pair_is_replaced_where_that_is_wanted() -> None:
    raw = rb'{"id":1,"text":"a\ud83d \uDE00b \ud83d\ude00 \\ud83d \ud83dA"}'
    expected = Reading(1, text="a� �b \U0001f600 \\ud83d �A")
    assert both(Decoding(Reading, surrogates="replace"), raw) == expected
    for decoding in (Decoding(Reading), Decoding(Reading, nan="null")):
        assert isinstance(both(decoding, raw), str)
    two = Decoding(list[Reading], surrogates="replace", nan="null")
    held = columns(two, rb'[{"id":1,"text":"\udc00"},{"id":2,"value":NaN,"new":"\udc00"}]')
    assert (held["text"], held["value"]) == (["�", ""], [None, None])
    assert held["_extra"] == [None, '{"new":"\\ufffd"}']


@given(st.recursive(st.none() | st.floats() | st.text(), lambda inside: st.lists(inside), max_leaves=8))
@settings(deadline=None)
def test_python_servers_and_browsers_are_understood(value: Any) -> None:
    """What Python's json module writes, with each half of a pair that it escapes."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(plain, value))
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return (
            value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if isinstance(value, str)
            else value
        )

    raw = json.dumps(value).encode()
    decode = MessageDecoder(Decoding(None, nan="null", surrogates="replace")).decode
    assert decode(raw) == plain(value)


def test_repairing_takes_as_long_as_the_text_is() -> None:
    # An end that never comes: were each quote looked at to the end, this would take hours.
    text = b'"' + b'\\"' * 4_000_000
    assert repaired(text, nan=True, surrogates=True) == text


# -- over a connection ---------------------------------------------------------------------------------------


async def test_a_capture_is_lenient_and_dead_letters_are_decoded_again(tmp_path: Path) -> None:
    async def feed(websocket: ServerConnection) -> None:
        await websocket.send('{"id":"1","value":NaN,"text":"\\ud83d"}')
        await websocket.send('{"id":2,"value":1.5}')

    async with serve(feed, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        arguments: Any = {"nan": "null", "surrogates": "replace", "strict": False}
        async with rlfast.connect(url, type=Reading, backoff=None, **arguments) as ws:
            assert [await ws.next_message()] == [Reading(1, text="�")]
        strict = await capture(rlfast.connect(url, type=Reading, backoff=None), tmp_path / "strict")
        lenient = await capture(
            rlfast.connect(url, type=Reading, backoff=None, **arguments), tmp_path / "lenient"
        )
    assert (strict.dead_letters, lenient.dead_letters) == (1, 0)
    for report in (redrive(tmp_path / "strict", Reading), redrive(tmp_path / "strict", Reading, nan="null")):
        assert report.events == {}
    report = redrive(tmp_path / "strict", Reading, **arguments)
    assert report.events == {"Reading": 1}
    for out in ("strict", "lenient"):
        table = open_dataset(tmp_path / out).to_arrow("Reading").sort_by("seq")
        assert table["id"].to_pylist() == [1, 2]
        assert table["text"].to_pylist() == ["�", ""]
        assert table["value"].to_pylist() == [None, 1.5]
