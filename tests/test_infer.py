"""Samples of messages to types: what becomes what, and that every message that is claimed decodes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.infer_samples import LATER, SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from rlfast.schema._infer import Inferred, infer_types
from rlfast.schema._infer_look import message_type
from rlfast.schema._infer_tree import claiming


def infer(*messages: Any) -> Inferred:
    found = infer_types([m if isinstance(m, bytes) else msgspec.json.encode(m) for m in messages])
    assert found is not None
    return found


def load(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "inferred"}
    exec(compile(source, "inferred", "exec", dont_inherit=True), names)
    return names


def fields(found: Inferred, name: str = "Message") -> dict[str, str]:
    """The annotations of a class as they are written."""
    body = found.source.partition(f"class {name}(")[2].partition("\n\n\n")[0]
    lines = [line.strip().partition("  #")[0] for line in body.splitlines()[1:]]
    return dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))


def column(*values: Any, name: str = "x") -> str:
    """The type of a field with these values, one in each message."""
    return fields(infer(*({"fixed": True, name: value} for value in values)))[name]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("x", [1, 2], "int"),
        ("x", [1, 2.5], "float"),
        ("price", [1, 2], "float"),
        ("price", list(range(30)), "int"),
        ("x", [1, "a"], "int | str"),
        ("x", [True, None], "bool | None"),
        ("x", [None, None], "Any"),
        ("x", [2**63], "UInt64"),
        ("x", [2**64], "Any"),
        ("x", [-(2**63) - 1], "Any"),
        ("x", [2**63, -1], "Any"),
        ("x", ["a", 1, [1], {"a": 1}], "int | str | XItem | list[int]"),
        ("price", ["16550.12000000", "1"], "Decimal"),
        ("price", ["12", 1], "Decimal"),
        ("x", ["1.5", 1], "Decimal"),
        ("rate", ["1.5e-7", "1"], "FloatText"),
        ("version", ["5.3"], "str"),
        ("jsonrpc", ["2.0"], "str"),
        ("x", ["0" * 9, "1.5"], "str"),
        ("trade_id", ["000000000"], "str"),
        ("trade_id", ["130639474"], "str"),
        ("trade_id", [str(10**8 + i) for i in range(30)], "IntText"),
        ("trade_id", [f"0{i}" for i in range(30)], "str"),
        ("x", [str(2**63)] * 30, "str"),
        ("x", ["6c5d5c2e-1a2b-4c3d-8e4f-123456789abc"], "UUIDStr"),
        ("x", ["6c5d5c2e-1a2b-4c3d-8e4f-123456789abc", ""], "str"),
        ("x", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123456789+01:00"], "datetime"),
        ("x", ["2024-01-01T00:00:00Z", "2023-06-23 20:31:56.12 +0000 UTC m=+9"], "str"),
        ("x", ["2024-01-01"], "date"),
        ("x", ["2024-13-01"], "str"),
        ("E", [1672515782136], "EpochMillis"),
        ("ts", ["1597026383085"], "EpochMillis"),
        ("time_us", [1725911162329308], "EpochMicros"),
        ("createdAt", [1700000000], "EpochSeconds"),
        ("not_before", [1509908649.0], "EpochSeconds"),
        ("seen", [1509912803.959279], "float"),
        ("sentTime", [1700000000123456789], "EpochNanos"),
        ("t", [12345], "int"),
        ("t", [1609123456, 1609123457, 1609123460], "int"),
        ("t", [1672515780, 1672515840], "EpochSeconds"),
        ("seq", [1409752997, 1409753013], "int"),
        ("last_update_id", [1672515782136], "int"),
        ("moment", [1672515782136 + i for i in range(30)], "EpochMillis"),
        ("moment", [1672515782136], "int"),
        ("expires", [0, 1672515782], "int"),
        ("side", ["buy", "sell"] * 40, 'Literal["buy", "sell"]'),
        ("side", ["buy", "sell"], "str"),
        ("symbol", ["BTCUSDT", "ETHUSDT"] * 100, "CategoryStr"),
        ("x", [[], [1]], "list[int]"),
        ("x", [[]], "list[Any]"),
        ("x", [[["16550.10", "10"]], [["1", "2.5"], ["3", "4"]]], "list[list[Decimal]]"),
        ("x", [[1, "a"], [2, "b"]], "XItem"),
        ("x", [[1, "a"], ["b"]], "list[int | str]"),
        ("x", [{}], "dict[str, Any]"),
        ("labels", [{"app": "web", "app.kubernetes.io/name": "w"}], "dict[str, str]"),
        ("x", [{f"k{i % 11}": i} for i in range(30)], "dict[str, int]"),
        ("x", [{f"k{i}": [i, "a", {}][i % 3]} for i in range(40)], "dict[str, Any]"),
        ("x", [{"$type": "a.b", "text": "t"}, {"$type": "a.c", "n": 1}], "dict[str, Any]"),
    ],
)
def test_values_become_types(name: str, values: list[Any], expected: str) -> None:
    assert column(*values, name=name) == expected


def test_a_field_tells_the_kinds_of_messages_apart() -> None:
    found = infer({"e": "trade", "p": 1.5}, {"e": "quote", "b": 1, "a": 2}, {"id": 1, "result": None})
    assert 'class Trade(Struct, tag_field="e", tag="trade"):' in found.source
    assert found.source.endswith("\nEvent = Trade | Quote\n")
    assert (found.fitting, found.kinds) == (2, {"Trade": 1, "Quote": 1})
    assert found.other == {"object with id, result": 1}


def test_any_name_will_do_with_enough_evidence() -> None:
    kinds: list[dict[str, Any]] = [{"user": "u"}, {"page": "/"}, {"amount": "1.50", "user": "u"}]
    found = infer(*({"n": i, "what": f"w{i % 3}", **kinds[i % 3]} for i in range(60)))
    assert found.source.endswith("\nEvent = W0Message | W1Message | W2Message\n")
    assert 'tag_field="what"' in found.source


def test_a_symbol_or_an_optional_field_makes_no_kinds() -> None:
    draw = random.Random(1)
    messages = [
        {"s": draw.choice(["BTC", "ETH", "SOL"]), "p": draw.random(), **draw.choice([{}, {"note": "n"}])}
        for _ in range(200)
    ]
    assert infer(*messages).source.endswith("\nEvent = Message\n")


def test_integers_are_tags_too() -> None:
    found = infer({"op": 10, "d": {"interval": 1}}, {"op": 1, "d": None}, {"op": 10, "d": {"interval": 2}})
    assert 'class Op10(Struct, tag_field="op", tag=10):' in found.source


def test_kinds_inside_an_envelope_and_in_lists() -> None:
    found = infer(
        {"stream": "a@trade", "data": {"e": "trade", "p": "1.5", "q": "2.5"}},
        {"stream": "a@depth", "data": {"e": "depth", "b": [["1.5", "2"]], "a": []}},
    )
    assert fields(found)["data"] == "MessageData"
    assert "\nMessageData = Trade | Depth\n" in found.source
    found = infer([{"T": "t", "p": 1.5}, {"T": "q", "bp": 1.5, "ap": 2.5}], [{"T": "t", "p": 2.5}])
    assert found.source.endswith("\nEvent = list[TMessage | QMessage]\n")
    found = infer({"content": [{"type": "text", "text": "a"}, {"type": "audio", "id": 1}]}, {"content": []})
    assert fields(found)["content"] == "list[MessageContent]"


def test_an_object_without_the_tag_inside_of_a_message_leaves_no_union() -> None:
    """There it could not be another message."""
    found = infer(
        {"data": {"e": "trade", "p": "1.5"}}, {"data": {"e": "book", "b": 1}}, {"data": {"u": 1, "b": 2}}
    )
    assert fields(found) == {"data": "Data"}
    assert found.fitting == 3


def test_messages_that_are_arrays() -> None:
    found = infer(
        {"event": "info"},
        [19111, [[401597393, 1574694475039, 0.005, 7244.9], [401597394, 1574694475040, -1, 7244]]],
        [19111, "te", [401597395, 1574694478808, 0.005, 7245.3]],
        [19111, "hb"],
    )
    assert fields(found) == {"item_0": "int", "item_1": "str | list[Item1]", "item_2": "Item1 | None = None"}
    assert list(fields(found, "Item1").values()) == ["int", "int", "float", "float"]
    assert found.other == {"object with event": 1}
    found = infer(["EVENT", "s", {"kind": 1}], ["EOSE", "s"], ["EVENT", "s", {"kind": 2}])
    assert 'class Eose(Struct, array_like=True, tag_field="kind", tag="EOSE"):' in found.source


def test_without_a_tag_the_fields_tell_what_another_message_is() -> None:
    found = infer(
        {"ping": 1492420473027},
        {"ch": "a", "ts": 1572362902027, "tick": {"bids": [[3.5, 1]]}},
        {"ch": "b", "ts": 1572362902028, "tick": {"data": []}},
        b"pong",
        "pong",
        7,
        None,
        {},
        [],
    )
    assert set(fields(found)) == {"ch", "ts", "tick"}
    assert found.fitting == 2
    assert found.other == {
        "object with ping": 1,
        "not JSON": 1,
        "text pong": 1,
        "int": 1,
        "null": 1,
        "empty object": 1,
        "empty array": 1,
    }


def test_names_that_python_or_msgspec_would_not_take() -> None:
    message = {
        "as": 1,
        "a-b": 2,
        "a_b": 3,
        "$x": 4,
        "__d": 5,
        "ﬁ": 6,
        "date": "2024-01-01",
        "int": 7,
        "Data": {"é": 1, "Any": None},
        "field": 8,
        "événement": 9,
    }
    found = infer(message)
    value = msgspec.json.decode(msgspec.json.encode(message), type=load(found.source)["Event"])
    assert (value.as_, value.a_b, value.a_b_2, value.x, value.d, value.date_, value.int_) == (
        *(1, 2, 3, 4, 5),
        value.date_,
        7,
    )
    assert msgspec.json.decode(msgspec.json.encode(value)) == message


def test_what_comes_from_the_stream_is_never_code() -> None:
    evil = 'x"\'\\\n"""\nimport os\n#'
    messages = [
        {"type": "a", evil: evil, "side": evil, "e\n": {"a": 1}},
        {"type": "b", "status": "ok\rx = 1"},
        {"type": "b", "status": "no"},
        {evil: 1},
        evil,
    ]
    found = infer(*messages, *({"type": "c", "side": side} for side in ("buy\nx", "sell") * 40))
    assert "import os" not in found.source.replace("?import os", "").replace(r"\nimport os", "")
    assert found.misfits == []
    load(found.source)


def test_notes_say_where_the_sample_was_not_enough() -> None:
    found = infer({"a": 1, "side": "buy"}, {"a": 2, "side": "buy", "b": None})
    assert '    side: str  # only "buy" in 2 values\n' in found.source
    assert "    b: Any = None  # in 1 of 2; only null in 1 value\n" in found.source
    assert "# Seen 2 times.\nclass Message(Struct):" in found.source


def test_equal_structs_are_one() -> None:
    cert = {"cn": "a", "serial": "x1", "days": 3, "issuer": "b"}
    found = infer({"leaf": cert, "chain": [cert, cert]})
    assert fields(found) == {"leaf": "Leaf", "chain": "list[Leaf]"}


def test_no_message_is_an_object() -> None:
    assert infer_types([b"pong", b"1", b"[]"]) is None
    assert infer_types([]) is None


@pytest.mark.parametrize("feed", SAMPLES)
def test_every_message_of_a_feed_fits_or_is_another(feed: str) -> None:
    found = infer(*SAMPLES[feed])
    assert found.misfits == []
    assert found.fitting + sum(found.other.values()) == len(SAMPLES[feed])
    assert infer(*SAMPLES[feed]).source == found.source


@pytest.mark.parametrize("feed", SAMPLES)
def test_kinds_that_come_in_turns_are_found_in_a_large_sample(feed: str) -> None:
    """Only some of the messages are looked at for the field that tells them apart."""
    few, many = infer(*SAMPLES[feed]), infer(*(SAMPLES[feed] * 1000))
    assert many.misfits == []
    assert many.fitting >= few.fitting * 1000
    assert len(many.kinds) >= len(few.kinds)


def test_one_object_of_many_without_a_tag() -> None:
    kinds: list[dict[str, Any]] = [{"type": "text", "text": "a"}, {"type": "image", "url": "u"}]
    messages = [{"part": kinds[i % 2]} for i in range(9000)]
    for odd in ({"text": "a"}, {"type": None, "text": "a"}, {"type": 1, "text": "a"}, {"type": "a b c"}):
        found = infer(*messages, {"part": odd})
        assert (found.fitting, found.misfits) == (9001, [])
    assert fields(infer(*messages))["part"] == "MessagePart"


@pytest.mark.parametrize("feed", LATER)
def test_types_of_one_sample_fit_what_comes_later(feed: str) -> None:
    draw = random.Random(7)
    messages = [msgspec.json.encode(LATER[feed](draw, i)) for i in range(600)]
    found = infer(*messages[:300])
    root = message_type([msgspec.json.decode(m) for m in messages[:300]])
    assert root is not None
    decoder = msgspec.json.Decoder(load(found.source)["Event"])
    claimed = [m for m in messages[300:] if claiming(root, msgspec.json.decode(m)) is not None]
    assert len(claimed) > 250
    for message in claimed:
        decoder.decode(message)


def test_the_modules_are_formatted_sorted_and_typed(tmp_path: Path) -> None:
    for feed in SAMPLES:
        (tmp_path / f"types_{feed}.py").write_text(infer(*SAMPLES[feed]).source)
    long = {"type": "x" * 40, "side": "s", f"an_attribute_with_a_long_name_{'y' * 25}": 1, "class": {"a": 1}}
    wide = [{**long, "side": f"{'s' * 30} {i % 4}", "q" * 50: 1 if i % 2 else "a"} for i in range(80)]
    (tmp_path / "types_wide.py").write_text(
        infer(
            *wide, {**long, "type": "y" * 40, "b": {"as": 1}}, {"type": "z", "as": None}, {"type": "z"}
        ).source
    )

    def tool(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    tool("ruff", "format", "--isolated", "--diff", ".")
    tool("ruff", "check", "--isolated", "--select", "F,I,UP", "--target-version", "py310", ".")
    tool("mypy", "--strict", "--python-version", "3.10", "--cache-dir", str(tmp_path / "cache"), ".")


# -- any messages ------------------------------------------------------------------------------------------

TEXTS = (
    st.sampled_from(["", "a", "b", "trade", "1", "-0", "007", "1.5", "1e400", "9" * 30, "2024-01-01", "None"])
    | st.sampled_from(["2024-01-01T00:00:00Z", "6c5d5c2e-1a2b-4c3d-8e4f-123456789abc", "1597026383085"])
    | st.sampled_from(['{"a":1}', "q\"'\\\n", "é", "😀"])
    | st.text(max_size=4)
)
NUMBERS = (
    st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30, 10**400])
    | st.sampled_from([1700000000, 1597026383085, 0.5, 1e300, 1e-300])
    | st.integers(-5, 5)
)
KEYS = (
    st.sampled_from(["type", "e", "T", "id", "ts", "price", "data", "0", "$type", "event"])
    | st.sampled_from(["as", "class", "None", "__x", "_x", "a-b", "a b", "", "x\ny", "é", "ﬁ"])
    | st.sampled_from(["date", "datetime", "int", "Any", "Event", "Message", "Decimal", "field", "self"])
    | st.text(max_size=3)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(OBJECTS | VALUES, min_size=1, max_size=30))
def test_whatever_the_messages_are_they_decode_or_are_others(messages: list[Any]) -> None:
    payloads = [json.dumps(message).encode() for message in messages]
    found = infer_types(payloads)
    if found is None:
        return
    assert found.misfits == []
    assert found.fitting + sum(found.other.values()) == len(payloads)
    decoder = msgspec.json.Decoder(load(found.source)["Event"])
    decoded = 0
    for payload in payloads:
        try:
            decoder.decode(payload)
            decoded += 1
        except msgspec.DecodeError:
            pass
    assert decoded >= found.fitting
