"""Message mode without a type: plain values from the compiled decoder, and from msgspec what it leaves."""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import uuid
from typing import Any

import msgspec
import pytest
from benchmarks import _workload
from equality import check_value, check_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from message_mode import in_threads, read_disturbed, reader_of, watch_msgspec
from sample_events import EVENTS, PAYLOADS
from streams import sender
from test_decoder_equality import RAW_NUMBERS, RAW_TEXTS
from test_json_edges import BAD_UTF8, GOOD_UTF8, LENGTHS, VALUES, positions
from wsserver import serve

import rlfast
from rlfast._core.plan import KERNELS
from rlfast._core.values import ValueDecoder
from rlfast.decode._messages import MessageDecoder, value_decoder

EXAMPLES = int(os.environ.get("RLFAST_HYPOTHESIS_EXAMPLES", "150"))

# -- what it takes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", _workload.VARIANTS)
def test_the_platforms_events_are_taken(variant: str) -> None:
    payloads = _workload.payloads(variant, 3000)
    assert check_values(payloads) == len(payloads)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b" [ ] ",
        b'\r\n\t{ "a" : [ 1 , -2.5e+10 , true , false , null , "x\\n" , { "b" : [ ] } ] }\n',
        b'{"a":1,"a":2,"b":3,"a":{"c":4}}',
        b'{"\\u0061":1,"a":2,"\\u00e9":3,"\xc3\xa9":4,"":5}',
        b"[0,-0,-0.0,9223372036854775807,-9223372036854775808,1e22,0.1]",
        b'["","a","\xc3\xa9","\\ud83d\\ude00","\\u0000","0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"]',
        b'{"a":{"b":{"c":{}}},"d":[[[]],[{}]]}',
        b"[" * 32 + b"]" * 32,
        b"[" + b"0," * 30_000 + b"0]",
        b'["' + b"x" * 2_000_000 + b'\\n"]',
    ],
)
def test_taken_as_msgspec_would(payload: bytes) -> None:
    assert check_values([payload, payload]) == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"null",
        b"1",
        b'"a"',
        b"[9223372036854775808]",
        b"[1e400]",
        b'["\\ud800"]',
        b"[" * 33 + b"]" * 33,
        b"[" * 5000 + b"]" * 5000,
        b"[" + b"0," * 70_000 + b"0]",
        b"[1]]",
        b"{}{}",
        b"[}",
        b'{"a":1}]',
    ],
)
def test_left_to_msgspec(payload: bytes) -> None:
    assert check_values([payload]) == 0


def test_keys_are_learned_and_forgotten() -> None:
    """More of them than are kept, again and again, and one that is too long; between the same usual ones."""
    source = random.Random(1)
    usual = {"type": "t", "id": 1, "x" * 70: [{"id": 2, "value": None}]}
    payloads = []
    for _ in range(3000):
        keys = [f"{source.randrange(10**6)}" for _ in range(source.randrange(12))]
        payloads += [json.dumps(usual).encode(), json.dumps(dict.fromkeys(keys, keys)).encode()]
    assert check_values(payloads) == len(payloads)


def test_members_in_any_order() -> None:
    source = random.Random(2)
    payloads = []
    for _ in range(300):
        for event in EVENTS:
            items = list({**event, "inner": {"type": 1, "other": [{"type": 2}, {"other": 3}]}}.items())
            source.shuffle(items)
            payloads.append(json.dumps(dict(items), separators=(",", ":")).encode())
    assert check_values(payloads) == len(payloads)


def test_short_texts_of_every_length() -> None:
    source = random.Random(3)
    texts = ["".join(source.choices('abé\\"\n', k=source.randrange(20))) for _ in range(5000)]
    payloads = [json.dumps(texts[i : i + 20], ensure_ascii=i % 40 == 0).encode() for i in range(0, 5000, 20)]
    payloads += [json.dumps([text]).encode() for text in texts]
    assert check_values(payloads * 2) == 2 * len(payloads)


# -- the edges of JSON -----------------------------------------------------------------------------------


def test_every_value_everywhere() -> None:
    forms = (b"%s", b"[%s]", b'{"a":%s}', b'{"a":[1,%s],"b":2}', b"{%s:1}", b'["a" , %s , {"b" : %s }]')
    check_values([form % ((value,) * form.count(b"%s")) for form in forms for value in VALUES])


def test_bytes_at_every_position_of_a_text_and_of_a_key() -> None:
    odd: list[bytes] = [*BAD_UTF8, *(text.encode() for text in GOOD_UTF8)]
    odd += b'" \\ \\" \\\\ \\n \\u00e9 \\ud83d\\ude00 \\ud83d \0 \x1f'.split(b" ")
    forms = (b'["%s"]', b'{"%s":"a"}', b'{"b":"a text that takes more than a vector","a":"%s","c":1}')
    for length in LENGTHS:
        texts = [head + mark + tail for head, tail in positions(length) for mark in odd]
        check_values([form % text for form in forms for text in texts])


def test_truncated_and_continued_at_every_byte() -> None:
    spaced = [json.dumps(event, indent=1).encode() for event in EVENTS]
    whole = [*PAYLOADS, *spaced, b'{"a":[{"b":{}},[],{"c":["d",1.5e3,null,true,false]}],"e":"\\u00e9"}']
    check_values([payload[:end] for payload in whole for end in range(len(payload))])
    check_values([payload + bytes([c]) for payload in whole for c in range(256)])
    check_values([bytes([c]) + payload for payload in whole for c in range(256)])
    marks = b'\0 "\\,:{}[]0-aZ\x80\xff'
    check_values([p[:i] + bytes([c]) + p[i + 1 :] for p in whole for i in range(len(p)) for c in marks])


def test_digits_by_the_number() -> None:
    digits = b"12345678901234567890" * 2
    numbers = [sign + digits[:length] for length in range(1, 30) for sign in (b"", b"-")]
    numbers += [
        whole + b"." + digits[:length] + exponent
        for length in range(1, 30)
        for whole in (b"0", b"7", b"-12345678")
        for exponent in (b"", b"e5", b"E-7", b"e+300", b"e-320")
    ]
    forms = (b"[%s]", b"[%s ]", b'{"a":%s,"b":"a text behind it, so that eight bytes can be read at once"}')
    check_values([form % number for form in forms for number in numbers])


# -- anything --------------------------------------------------------------------------------------------

SPACES = st.sampled_from(["", "", "", " ", "\n", " \t\r\n"])
TEXTS = st.one_of(
    st.sampled_from(["type", "a", "b", "id", "", "é", "k" * 29, "k" * 70]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
).flatmap(lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False)]))
SCALARS = st.one_of(
    TEXTS,
    st.sampled_from([*RAW_NUMBERS, *RAW_TEXTS, "null", "true", "false", "nul", "True", ""]),
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(lambda number: json.dumps(number)),
)


def spaced(mark: str) -> st.SearchStrategy[str]:
    return st.tuples(SPACES, SPACES).map(lambda around: mark.join(around))


@st.composite
def containers(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=5))
    opening, closing = "[", "]"
    if draw(st.booleans()):
        opening, closing = "{", "}"
        # Few keys, so that some occur twice.
        items = [draw(TEXTS) + draw(spaced(":")) + item for item in items]
    return draw(spaced(opening)) + draw(spaced(",")).join(items) + draw(spaced(closing))


JSON_TEXTS = containers(st.recursive(SCALARS, containers, max_leaves=12))
DAMAGE = st.sampled_from([b"", b'"', b"\xff", b"\\", b"}", b"]", b"\0", b"{", b"[", b",", b":", b"0"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    raw = draw(JSON_TEXTS).encode("utf-8", "surrogatepass")
    damage = draw(st.integers(0, 9))
    at = draw(st.integers(0, len(raw)))
    if damage == 0:
        return raw[:at]
    if damage == 1:
        return raw[:at] + draw(DAMAGE) + raw[at + draw(st.integers(0, 1)) :]
    return raw


@given(st.lists(messages(), min_size=1, max_size=8))
@settings(deadline=None, max_examples=4 * EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
def test_every_kernel_equals_msgspec_for_any_messages(raws: list[bytes]) -> None:
    # Twice, because the second time the keys are known.
    check_values(raws + raws)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@settings(deadline=None, max_examples=EXAMPLES)
def test_what_python_writes(value: Any) -> None:
    check_values([json.dumps([value]).encode("utf-8", "surrogatepass"), json.dumps({"a": value}).encode()])


# -- who owns what ----------------------------------------------------------------------------------------

MIXED = (
    b'{"type":"kb_change","id":"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11","n":[123456789,2.5,{"b":null,"c":[[],{}]}],'
    b'"a":"some text that is long","a":{"\\u00e9":"\xc3\xa9","x":[true,false,"\\n",["y"]]},"%d":{"%d":[1]}}'
)


def test_objects_are_freed_with_their_values() -> None:
    decoder = ValueDecoder()
    numbers = iter(range(100_000))
    # Until all that is kept is kept: a few keys, and short texts.
    for _ in range(3000):
        decoder.read(MIXED % (next(numbers), next(numbers)))
    gc.collect()
    counts = [sys.getrefcount(kept) for kept in (None, True, False)]
    blocks = sys.getallocatedblocks()
    for _ in range(10_000):
        payload = MIXED % (next(numbers), next(numbers))
        assert decoder.read(payload) is not None
        for bad in (payload[:-1], payload[:-9], payload + b"}", payload.replace(b"2.5", b"2e999")):
            assert decoder.read(bad) is None
    assert abs(sys.getallocatedblocks() - blocks) < 2500  # keys that are forgotten and learned
    for kept, before in zip((None, True, False), counts, strict=True):
        assert abs(sys.getrefcount(kept) - before) < 100
    del decoder
    gc.collect()
    assert sys.getallocatedblocks() < blocks + 1500  # short texts


def test_a_decoder_frees_what_it_has_learned() -> None:
    key = "a_key_that_is_nowhere_else"
    name = next(iter(ValueDecoder().read(b'{"a_key_that_is_nowhere_else":1}')))
    assert name == key
    assert sys.getrefcount(name) == 2
    decoder = ValueDecoder()
    name = next(iter(decoder.read(b'{"a_key_that_is_nowhere_else":1}')))
    assert sys.getrefcount(name) == 3
    decoder.forget_order()
    assert sys.getrefcount(name) == 2


def test_without_memory() -> None:
    """An allocation that fails, whichever it is, is a MemoryError and nothing else."""
    testcapi = pytest.importorskip("_testcapi")
    read = ValueDecoder().read
    payload = MIXED % (1, 2)
    expected = msgspec.json.decode(payload)
    failures = 0
    for known in (False, True):
        for nth in range(1, 200):
            if not known:
                read = ValueDecoder().read
            value = error = None
            testcapi.set_nomemory(nth, nth + 1)
            try:
                value = read(payload)
            except MemoryError as raised:
                error = raised
            testcapi.remove_mem_hooks()
            if error is None:
                check_value(value, expected, payload)
            else:
                failures += 1
                check_value(read(payload), expected, payload)
    assert failures > 30


def test_threads_that_share_a_decoder() -> None:
    payloads = [*_workload.payloads("base", 300), *(MIXED % (i, i) for i in range(100))]
    expected = [msgspec.json.decode(payload) for payload in payloads]
    wrong: list[Any] = []
    read = ValueDecoder().read

    def work() -> None:
        for _ in range(20):
            for payload, event in zip(payloads, expected, strict=True):
                value = read(payload)
                if value is not None and value != event:
                    wrong.append((value, event))

    in_threads(work)
    assert wrong == []


def test_the_garbage_collector_cannot_disturb_a_message_that_is_decoded() -> None:
    """A finalizer runs whenever a container is made: in the middle of a value."""
    payload = b'{"a":[{"b":[1,2,{"c":[]}]},["some text",[]]],"d":{}}'
    read: list[Any] = []

    def disturb() -> None:
        value_decoder().forget_order()
        read.append(value_decoder().read(b'{"z":[1]}'))

    got = read_disturbed(reader_of(None, [payload] * 2000), disturb)
    expected = msgspec.json.decode(payload)
    assert got == [expected] * 2000
    # None: it is at work.
    assert all(value in ({"z": [1]}, None) for value in read)
    assert {"z": [1]} in read


def test_a_decoder_for_all_connections() -> None:
    assert value_decoder() is value_decoder()
    assert MessageDecoder(None).make_compiled() is value_decoder()
    for kernel in KERNELS:
        assert ValueDecoder(kernel).read(b'{"a":1}') == {"a": 1}
    with pytest.raises(ValueError, match="no decoder kernel 'none'"):
        ValueDecoder("none")


# -- with a connection ------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What msgspec is asked to decode."""
    return watch_msgspec(monkeypatch)


async def test_messages_of_a_connection(calls: list[bytes]) -> None:
    usual = json.dumps({"type": "t", "id": str(uuid.UUID(int=7)), "list": [1, 2.5, None]})
    async with (
        serve(sender(usual, "null", "1e999", "[1", '"text"', usual, usual)) as server,
        rlfast.connect(server.url, backoff=None) as ws,
    ):
        expected = json.loads(usual)
        assert await ws.next_message() == expected
        assert await ws.next_message() is None
        for reason in ("schema_mismatch", "malformed_json"):
            with pytest.raises(rlfast.DecodeError) as caught:
                await ws.next_message()
            assert caught.value.reason == reason
        assert await ws.next_messages() == ["text", expected, expected]
    assert calls == [b"null", b"1e999", b"[1", b'"text"']
