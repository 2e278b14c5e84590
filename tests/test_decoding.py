from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from sample_events import EVENTS, PAYLOADS, UUID_A, UUID_B, assemble, letters, rows

from rlfast._core.decode import BlockDecoder
from rlfast._core.queue import BlockQueue
from rlfast._core.tables import TableBuilder
from rlfast.decode._assembler import BatchAssembler, own_columns
from rlfast.decode._dead_letters import classify, rejected
from rlfast.decode._messages import MessageDecoder, UnknownEvent
from rlfast.errors import DecodeError, MessageTooBigError
from rlfast.reasoning_layer._events import AgentEvent, CycleComplete, KbChange, OversightAlert
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._names import OwnNames
from rlfast.schema._tags import Tagging

HEARTBEAT = b'{"type":"heartbeat","timestamp":"t"}'
DEEP = b"[" * 50_000 + b"]" * 50_000  # Python 3.13 follows some 10,000 levels, others a thousand

BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "malformed_json"),
    "whitespace only": (b" \t\r\n", "malformed_json"),
    "no JSON": (b"hello", "malformed_json"),
    "truncated": (HEARTBEAT[:-1], "malformed_json"),
    "trailing comma": (b'{"type":"heartbeat","timestamp":"t",}', "malformed_json"),
    "two values": (HEARTBEAT + HEARTBEAT, "malformed_json"),
    "byte order mark": (b"\xef\xbb\xbf" + HEARTBEAT, "malformed_json"),
    "NUL after": (HEARTBEAT + b"\0", "malformed_json"),
    "NUL inside a text": (b'{"type":"heartbeat","timestamp":"a\0b"}', "malformed_json"),
    "NaN": (b'{"type":"attention_shift","priority":NaN,"to":"%s"}' % UUID_B.encode(), "malformed_json"),
    "leading zero": (
        b'{"type":"attention_shift","priority":01,"to":"%s"}' % UUID_B.encode(),
        "malformed_json",
    ),
    "lone surrogate": (b'{"type":"heartbeat","timestamp":"\\ud800"}', "malformed_json"),
    "reversed surrogates": (b'{"type":"heartbeat","timestamp":"\\udc00\\ud800"}', "malformed_json"),
    "bad escape": (b'{"type":"heartbeat","timestamp":"\\x41"}', "malformed_json"),
    "bad unicode escape in an unknown field": (HEARTBEAT[:-1] + b',"x":"\\uZZZZ"}', "malformed_json"),
    "invalid UTF-8 in a field": (b'{"type":"heartbeat","timestamp":"\xff"}', "invalid_utf8"),
    "invalid UTF-8 in an unknown field": (HEARTBEAT[:-1] + b',"x":"\xc3"}', "invalid_utf8"),
    "invalid UTF-8 in an unknown key": (HEARTBEAT[:-1] + b',"\xc3":1}', "invalid_utf8"),
    "invalid UTF-8 outside of texts": (b"[\xff]", "invalid_utf8"),
    "encoded surrogate": (b'{"type":"heartbeat","timestamp":"\xed\xa0\x80"}', "invalid_utf8"),
    "overlong UTF-8": (b'{"type":"heartbeat","timestamp":"\xc0\xaf"}', "invalid_utf8"),
    "too deep": (DEEP, "too_deep"),
    "too deep in an unknown field": (HEARTBEAT[:-1] + b',"x":' + DEEP + b"}", "too_deep"),
    "too deep in a field": (b'{"type":"heartbeat","timestamp":' + DEEP + b"}", "too_deep"),
    "unknown type": (b'{"type":"reboot","when":"now"}', "unknown_type"),
    "empty type": (b'{"type":""}', "unknown_type"),
    "no type": (b'{"timestamp":"t"}', "schema_mismatch"),
    "null type": (b'{"type":null}', "schema_mismatch"),
    "type is a number": (b'{"type":5}', "schema_mismatch"),
    "type is an object": (b'{"type":{}}', "schema_mismatch"),
    "array": (b"[1,2]", "schema_mismatch"),
    "text": (b'"heartbeat"', "schema_mismatch"),
    "null": (b"null", "schema_mismatch"),
    "missing field": (b'{"type":"heartbeat"}', "schema_mismatch"),
    "mistyped field": (b'{"type":"heartbeat","timestamp":5}', "schema_mismatch"),
    "null field": (b'{"type":"heartbeat","timestamp":null}', "schema_mismatch"),
    "literal not in its set": (
        b'{"type":"kb_change","change_type":"moved","sort":"s","term_id":"%s"}' % UUID_A.encode(),
        "schema_mismatch",
    ),
    "number of no double": (b'{"type":"attention_shift","priority":1e999,"to":"x"}', "schema_mismatch"),
    "number of no double in an unknown field": (HEARTBEAT[:-1] + b',"x":1e999}', "schema_mismatch"),
    "integer of 5000 digits": (b'{"type":"heartbeat","timestamp":' + b"1" * 5000 + b"}", "schema_mismatch"),
    "integer over 64 bits": (json.dumps(EVENTS[3] | {"actions_executed": 2**63}).encode(), "schema_mismatch"),
    "integer over 64 unsigned bits": (
        json.dumps(EVENTS[3] | {"beliefs_updated": 2**64 + 5, "x": 1}).encode(),
        "schema_mismatch",
    ),
}

# Refused by the columns only: msgspec's struct holds the value.
MISFITS: dict[str, bytes] = {
    "no UUID": b'{"type":"connected","agent_id":"me","timestamp":"t"}',
    "no UUID in a list": json.dumps(EVENTS[3] | {"pending_reviews": [UUID_A, "x"]}).encode(),
}


# -- dead letters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD)
def test_bad_payload_becomes_a_dead_letter_between_its_neighbours(name: str) -> None:
    raw, reason = BAD[name]
    batch = assemble(AgentEvent, [HEARTBEAT, raw, HEARTBEAT], first_seq=100, epoch=3)
    [letter] = letters(batch)
    assert (letter["seq"], letter["epoch"], letter["reason"], letter["raw"]) == (101, 3, reason, raw)
    assert letter["error"]
    assert batch["heartbeat"]["seq"].tolist() == [100, 102]
    assert (batch.first_seq, batch.last_seq, batch.num_rows, batch.num_events) == (100, 102, 3, 2)


@pytest.mark.parametrize("name", MISFITS)
def test_value_without_a_place_in_its_column_becomes_a_dead_letter(name: str) -> None:
    raw = MISFITS[name]
    msgspec.json.decode(raw, type=AgentEvent)
    batch = assemble(AgentEvent, [raw, HEARTBEAT])
    [letter] = letters(batch)
    assert (letter["seq"], letter["reason"], letter["raw"]) == (0, "schema_mismatch", raw)
    assert " - at `$." in letter["error"]
    assert list(batch) == ["heartbeat"]


def test_error_names_the_place() -> None:
    batch = assemble(AgentEvent, [BAD["mistyped field"][0], MISFITS["no UUID"]])
    assert [letter["error"] for letter in letters(batch)] == [
        "Expected `str`, got `int` - at `$.timestamp`",
        "not a UUID: 'me' - at `$.agent_id`",
    ]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64 + 5, 10**40])
@pytest.mark.parametrize("form", ['{"n":%d}', '{"n":%d,"x":1}', '{"nested":[{"n":%d}]}'])
def test_integer_over_64_bits_becomes_a_dead_letter_that_names_the_place(number: int, form: str) -> None:
    inner = msgspec.defstruct("Inner", [("n", int)])
    struct = msgspec.defstruct("S", [("n", int, 0), ("nested", list[inner], [])])  # type: ignore[valid-type]
    raw = (form % number).encode()
    msgspec.json.decode(raw, type=struct)
    batch = assemble(struct, [raw, b'{"n":5}'])
    [letter] = letters(batch)
    assert (letter["seq"], letter["reason"], letter["raw"]) == (0, "schema_mismatch", raw)
    assert letter["error"].startswith("n: " * ("nested" in form) + "integer over 64 bits - at `$.n")
    assert batch["S"]["n"].tolist() == [5]


def test_rejected_message_becomes_a_dead_letter_with_its_prefix() -> None:
    queue = BlockQueue(1 << 16, 1 << 20, 0, 5)
    queue.begin_epoch(1)
    queue.feed(HEARTBEAT)
    queue.feed_rejected(HEARTBEAT, "message of 9 bytes or more exceeds max_message_size=8")
    queue.feed_rejected(b"", "also")
    queue.feed(HEARTBEAT)
    queue.end_of_read()
    assembler = BatchAssembler(AgentEvent)
    block = queue.take_block()
    assert block is not None
    assembler.add(block, 0, 4)
    batch = assembler.finish()
    assert [
        (letter["seq"], letter["reason"], letter["error"], letter["raw"]) for letter in letters(batch)
    ] == [
        (6, "message_too_big", "message of 9 bytes or more exceeds max_message_size=8", HEARTBEAT),
        (7, "message_too_big", "also", b""),
    ]
    assert batch["heartbeat"]["seq"].tolist() == [5, 8]
    assert assembler.num_dead_letters == 2


@pytest.mark.parametrize("sample", PAYLOADS, ids=lambda payload: json.loads(payload)["type"])
def test_truncation_at_every_byte_is_a_dead_letter(sample: bytes) -> None:
    cuts = [sample[:n] for n in range(len(sample))]
    batch = assemble(AgentEvent, cuts)
    assert batch.num_events == 0
    assert [letter["raw"] for letter in letters(batch)] == cuts
    for letter in letters(batch):
        try:
            letter["raw"].decode()
            assert letter["reason"] == "malformed_json"
        except UnicodeDecodeError:
            assert letter["reason"] == "invalid_utf8"


# -- events ----------------------------------------------------------------------------------------------


def test_every_event_of_the_agent_stream_becomes_a_row() -> None:
    batch = assemble(AgentEvent, PAYLOADS, first_seq=10)
    assert batch.dead_letters.num_rows == 0
    expected = {}
    for seq, event in enumerate(EVENTS, 10):
        struct = msgspec.json.decode(msgspec.json.encode(event), type=AgentEvent)
        fields = {field.encode_name: getattr(struct, field.name) for field in msgspec.structs.fields(struct)}
        expected[seq] = (event["type"], fields, None)
    assert rows(batch) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b'{"timestamp":"t","type":"heartbeat"}',
        b' \n\t\r{ "type" :\n"heartbeat" , "timestamp"\t:\r"t" }\n ',
        b'{"\\u0074ype":"heart\\u0062eat","timesta\\u006dp":"\\u0074"}',
        b'{"type":"heartbeat","timestamp":"first","timestamp":"t"}',
        b'{"type":"heartbeat","type":"heartbeat","timestamp":"t"}',
    ],
    ids=["tag last", "whitespace", "escapes", "duplicate key", "duplicate tag"],
)
def test_unusual_json_of_an_event(payload: bytes) -> None:
    assert msgspec.json.decode(payload, type=AgentEvent) == msgspec.json.decode(HEARTBEAT, type=AgentEvent)
    assert rows(assemble(AgentEvent, [payload])) == {0: ("heartbeat", {"timestamp": "t"}, None)}


def test_astral_characters_by_surrogate_pair_escapes() -> None:
    payload = b'{"type":"heartbeat","timestamp":"\\ud83d\\ude42"}'
    assert rows(assemble(AgentEvent, [payload]))[0][1] == {"timestamp": "🙂"}


@pytest.mark.parametrize("number", [0, 2**31, 2**53 + 1, 2**63 - 1])
def test_integers_up_to_64_bits_are_exact(number: int) -> None:
    payload = json.dumps(EVENTS[3] | {"actions_executed": number}).encode()
    assert rows(assemble(AgentEvent, [payload]))[0][1]["actions_executed"] == number


@pytest.mark.parametrize(
    "text", ["0", "-0.0", "1e308", "5e-324", "2.2250738585072014e-308", "0.1", "123456789012345678"]
)
def test_doubles_are_those_of_python(text: str) -> None:
    payload = b'{"type":"attention_shift","priority":%s,"to":"%s"}' % (text.encode(), UUID_A.encode())
    priority = rows(assemble(AgentEvent, [payload]))[0][1]["priority"]
    assert priority.hex() == float(text).hex()


def test_absent_and_null_optional_fields_are_null() -> None:
    payloads = [
        b'{"type":"goal_completed","goal_id":"%s","success":true}' % UUID_A.encode(),
        b'{"type":"goal_completed","goal_id":"%s","success":true,"result":null}' % UUID_A.encode(),
    ]
    assert [fields["result"] for _, fields, _ in rows(assemble(AgentEvent, payloads)).values()] == [
        None,
        None,
    ]


# -- unknown fields --------------------------------------------------------------------------------------

EXTRAS = [
    (b'"x":1', '{"x":1}'),
    (b'"x":1.0', '{"x":1.0}'),
    (b'"x":1e5', '{"x":1e5}'),
    (b'"x":123456789012345678901234567890', '{"x":123456789012345678901234567890}'),
    (b'"x": { "a" : [ 1, 2 ] , "b":null }', '{"x":{ "a" : [ 1, 2 ] , "b":null }}'),
    (b'"x":"\\u00e9"', '{"x":"\\u00e9"}'),
    ('"x":"é"'.encode(), '{"x":"é"}'),
    ('"été":true'.encode(), '{"été":true}'),
    (b'"a":1,"b":[],"c":{}', '{"a":1,"b":[],"c":{}}'),
    (b'"x":1,"x":2', '{"x":2}'),
    (b'"seq":1,"_extra":2', '{"seq":1,"_extra":2}'),
    (b'"":""', '{"":""}'),
]


@pytest.mark.parametrize(("fields", "text"), EXTRAS, ids=[text for _, text in EXTRAS])
def test_unknown_fields_are_kept_as_the_text_they_came_in(fields: bytes, text: str) -> None:
    payloads = [
        HEARTBEAT,
        HEARTBEAT[:-1] + b"," + fields + b"}",
        b"{" + fields + b"," + HEARTBEAT[1:],
        HEARTBEAT,
    ]
    batch = assemble(AgentEvent, payloads)
    assert batch.num_events == 4
    assert batch["heartbeat"]["_extra"].tolist() == [None, text, text, None]
    assert batch["heartbeat"]["timestamp"].tolist() == ["t"] * 4


def test_struct_that_forbids_unknown_fields_keeps_doing_so() -> None:
    strict = msgspec.defstruct("Strict", [("a", int)], forbid_unknown_fields=True)
    batch = assemble(strict, [b'{"a":1}', b'{"a":1,"b":2}'])
    assert batch["Strict"]["a"].tolist() == [1]
    assert [letter["reason"] for letter in letters(batch)] == ["schema_mismatch"]


def test_usual_events_do_not_take_the_slow_path() -> None:
    queue = BlockQueue(1 << 16, 1 << 20, 0)
    for payload in (*PAYLOADS, HEARTBEAT[:-1] + b',"x":1}', HEARTBEAT[:-1] + b',"x":1e999}', b"bad"):
        queue.feed(payload)
    queue.end_of_read()
    assembler = BatchAssembler(AgentEvent)
    block = queue.take_block()
    assert block is not None
    assembler.add(block, 0, block.count)
    assert assembler.num_fallback == 2
    assert assembler.num_fast == len(PAYLOADS) + 1


# -- untyped streams -------------------------------------------------------------------------------------


def test_untyped_messages_are_kept_as_text() -> None:
    payloads = [b'{"a":1}', ' [ 1 , "é" ] '.encode(), b"null", b"5", b'"x"']
    batch = assemble(None, [*payloads, b"{", b'"\xff"', DEEP, b"1e999"], first_seq=3)
    assert batch["message"].column_names == ["seq", "epoch", "received_at", "json"]
    assert batch["message"]["json"].tolist() == [payload.decode() for payload in payloads]
    assert [(letter["seq"], letter["reason"]) for letter in letters(batch)] == [
        (8, "malformed_json"),
        (9, "invalid_utf8"),
        (10, "too_deep"),
        (11, "schema_mismatch"),
    ]


# -- errors that are nobody's data -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError(), KeyError("x"), ZeroDivisionError(), AttributeError("x")])
def test_foreign_errors_propagate(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        classify(error, b"{}", Tagging())
    assert caught.value is error
    with pytest.raises(type(error)):
        MessageDecoder(None).recover(error, b"{}", 0, None)


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError, KeyboardInterrupt])
def test_error_of_a_hook_in_a_struct_propagates(error: type[BaseException]) -> None:
    class Picky(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            if self.a == 13:
                raise error

    assert assemble(Picky, [b'{"a":1}'])["Picky"]["a"].tolist() == [1]
    with pytest.raises(error):
        assemble(Picky, [b'{"a":1}', b'{"a":13}'])


def test_refusal_of_a_hook_in_a_struct_is_a_dead_letter() -> None:
    class Picky(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            if self.a == 13:
                raise ValueError("unlucky")

    batch = assemble(Picky, [b'{"a":13}', b'{"a":1}'])
    assert [(letter["reason"], letter["error"]) for letter in letters(batch)] == [
        ("schema_mismatch", "unlucky")
    ]
    assert batch["Picky"]["seq"].tolist() == [1]


def test_default_that_does_not_fit_its_column_is_a_dead_letter() -> None:
    struct = msgspec.defstruct("Sloppy", [("a", int), ("b", int, "none"), ("c", bool, 1)])
    batch = assemble(struct, [b'{"a":1}', b'{"a":2,"b":3,"c":true}', b'{"a":2,"b":3}'])
    assert batch["Sloppy"]["seq"].tolist() == [1]
    assert [letter["error"] for letter in letters(batch)] == [
        "Expected `int`, got `str`",
        "Expected `bool`, got `int`",
    ]


def test_decoder_checks_the_range_and_the_stamps() -> None:
    own, fields = own_columns(OwnNames()), [Column("raw", kinds.BINARY)]
    table = TableBuilder("_dead", own, fields, attributes=["raw"])
    decoder = BlockDecoder(None, msgspec.json.decode, {}, table, lambda error, raw: error, rejected)
    queue = BlockQueue(100, 1000, 0)
    queue.feed(b"1")
    queue.end_of_read()
    block = queue.take_block()
    assert block is not None
    decoder.begin([(block, 1, 1)])
    assert decoder.done
    for start, stop in ((0, 2), (1, 0), (0, 3)):
        with pytest.raises(IndexError, match="1 stamped messages"):
            decoder.begin([(block, start, stop)])
        assert decoder.done
    assert table.num_rows == 0


def test_a_foreign_error_stops_at_its_message_and_keeps_those_before_it() -> None:
    """An exception of a user's hook is not a verdict on the payload: nothing is lost, the caller sees it."""

    class Hooked(msgspec.Struct):
        n: int

        def __post_init__(self) -> None:
            if self.n == broken:
                raise KeyError(self.n)

    broken = 3
    queue = BlockQueue(1000, 10_000, 0)
    for n in range(6):
        queue.feed(b'{"n":%d}' % n)
    queue.end_of_read()
    block = queue.take_block()
    assert block is not None
    assembler = BatchAssembler(Hooked)
    with pytest.raises(KeyError):
        assembler.add(block, 0, 6)
    assert assembler.reached == (0, 3)
    assert assembler.num_rows == 3
    broken = -1
    assembler.add(block, 3, 6)
    batch = assembler.finish()
    assert (batch.first_seq, batch.last_seq, batch.payload_bytes) == (0, 5, 6 * 7)
    assert batch["Hooked"]["n"].tolist() == [0, 1, 2, 3, 4, 5]


# -- message mode ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD)
def test_recover_gives_the_unknown_event_or_raises_the_reason(name: str) -> None:
    raw, reason = BAD[name]
    decoder = MessageDecoder(AgentEvent)
    try:
        decoder.decode(raw)
    except Exception as caught:
        error = caught
    else:
        # Message mode leaves out unknown fields unseen; what is wrong inside of them stays unseen too.
        assert "unknown" in name
        return
    if reason == "unknown_type" or name in ("no type", "array", "text", "null"):
        tag = json.loads(raw)["type"] if reason == "unknown_type" else None
        assert decoder.recover(error, raw, 7, None) == UnknownEvent(tag, raw)
        assert (decoder.errors, decoder.unknown_events) == (0, 1)
        return
    with pytest.raises(DecodeError) as failure:
        decoder.recover(error, raw, 7, None)
    assert (failure.value.reason, failure.value.seq, failure.value.raw) == (reason, 7, raw)
    assert str(failure.value).startswith("message 7: ")
    assert (decoder.errors, decoder.unknown_events) == (1, 0)


def test_recover_of_a_message_cut_short() -> None:
    decoder = MessageDecoder(AgentEvent)
    with pytest.raises(MessageTooBigError, match="exceeds") as failure:
        decoder.recover(None, b"prefix", 3, "message exceeds")
    assert (failure.value.seq, failure.value.raw, failure.value.close_code) == (3, b"prefix", 1009)
    assert decoder.errors == 1


def test_integer_tags_that_are_unknown() -> None:
    one = msgspec.defstruct("One", [("x", int)], tag_field="op", tag=1)
    two = msgspec.defstruct("Two", [("x", int)], tag_field="op", tag=2)
    batch = assemble(
        one | two, [b'{"op":1,"x":1}', b'{"op":3}', b'{"op":"1"}', b'{"op":true}', b'{"op":2,"x":2}']
    )
    assert {name: table["x"].tolist() for name, table in batch.items()} == {"1": [1], "2": [2]}
    assert [(letter["seq"], letter["reason"]) for letter in letters(batch)] == [
        (1, "unknown_type"),
        (2, "schema_mismatch"),
        (3, "schema_mismatch"),
    ]


def test_long_unknown_tags_are_cut_in_the_error_only() -> None:
    raw = json.dumps({"type": "x" * 5000}).encode()
    [letter] = letters(assemble(AgentEvent, [raw]))
    assert len(letter["error"]) < 200
    decoder = MessageDecoder(AgentEvent)
    event = decoder.recover(msgspec.ValidationError("x"), raw, 0, None)
    assert event.type == "x" * 5000


def test_struct_without_tag_knows_no_unknown_type() -> None:
    raw = b'{"type":"other","layer":"a"}'
    with pytest.raises(DecodeError) as failure:
        MessageDecoder(OversightAlert).recover(msgspec.ValidationError("x"), raw, 0, None)
    assert failure.value.reason == "schema_mismatch"


@pytest.mark.parametrize("type_", [int, list[KbChange], dict[str, Any], OversightAlert | None])
def test_message_mode_takes_any_type_that_msgspec_does(type_: Any) -> None:
    decoder = MessageDecoder(type_)
    with pytest.raises(DecodeError):
        decoder.recover(msgspec.ValidationError("x"), b'"text"', 0, None)


class Opened(msgspec.Struct, array_like=True, tag="open"):
    id: int


class Closed(msgspec.Struct, array_like=True, tag="close"):
    id: int


STRANGERS: list[tuple[Any, str, str | None]] = [
    (KbChange | None, '"text"', None),
    (CycleComplete, "{}", None),
    (CycleComplete, '{"type":"new"}', "new"),
    (Opened | Closed, '["new",1]', "new"),
    (Opened | Closed, "[]", None),
    (Opened | Closed, '{"event":"subscribed"}', None),
    (Opened, '"pong"', None),
    (list[Opened | Closed], '[["open",1],["new",1]]', "new"),
    (list[KbChange | CycleComplete], '[{"a":1}]', None),
    (tuple[Opened, ...], '[["new",1]]', "new"),
]


@pytest.mark.parametrize(("type_", "text", "tag"), STRANGERS)
def test_a_message_without_a_known_tag_is_an_unknown_event(type_: Any, text: str, tag: str | None) -> None:
    decoder = MessageDecoder(type_)
    with pytest.raises(msgspec.ValidationError) as refusal:
        decoder.decode(text.encode())
    assert decoder.recover(refusal.value, text.encode(), 0, None) == UnknownEvent(tag, text.encode())
    assert (decoder.errors, decoder.unknown_events) == (0, 1)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (KbChange, '{"type":5}'),
        (Opened | Closed, '["open","x"]'),
        (Opened | Closed, "[1,2]"),
        (list[Opened], '[["open"]]'),
        (list[Opened], "{}"),
    ],
)
def test_a_value_that_does_not_fit_makes_no_unknown_event(type_: Any, text: str) -> None:
    decoder = MessageDecoder(type_)
    with pytest.raises(msgspec.ValidationError) as refusal:
        decoder.decode(text.encode())
    with pytest.raises(DecodeError, match="message 0"):
        decoder.recover(refusal.value, text.encode(), 0, None)


def test_untyped_decoder_gives_plain_values() -> None:
    assert MessageDecoder(None).decode(b'{"a":[1,null]}') == {"a": [1, None]}


@pytest.mark.parametrize("kernel", ["auto", None])
def test_a_tag_field_that_is_not_ascii_is_known_from_the_first_event_on(kernel: str | None) -> None:
    # A text that nobody has encoded yet.
    field = "".join(map(chr, (0xE9, 0x1F642)))
    struct = msgspec.defstruct("S", [("x", int)], tag="t", tag_field=field, forbid_unknown_fields=True)
    other = msgspec.defstruct("O", [("x", int)], tag="o", tag_field="".join(list(field)))
    payloads = [f'{{"{field}":"{tag}","x":1}}'.encode() for tag in "tot"]
    for type_ in (struct, struct | other):
        queue = BlockQueue(1 << 10, 1 << 20, 0)
        for payload in payloads if type_ is not struct else payloads[:1]:
            queue.feed(payload)
        queue.end_of_read()
        assembler = BatchAssembler(type_, kernel)
        block = queue.take_block()
        assert block is not None
        assembler.add(block, 0, block.count)
        assert assembler.finish().dead_letters.num_rows == 0


@pytest.mark.parametrize("kernel", ["auto", None])
def test_a_tag_that_is_not_ascii_is_known_from_the_first_event_on(kernel: str | None) -> None:
    field, tag = ("".join(map(chr, codes)) for codes in ((0x43A, 0x43B), (0x43D, 0x430, 0x447)))
    struct = msgspec.defstruct("S", [("x", int)], tag=tag, tag_field=field)
    payload = f'{{"{field}":"{tag}","x":1}}'.encode()
    queue = BlockQueue(1 << 10, 1 << 20, 0)
    queue.feed(payload)
    queue.end_of_read()
    assembler = BatchAssembler(struct, kernel)
    block = queue.take_block()
    assert block is not None
    assembler.add(block, 0, 1)
    assert assembler.finish().dead_letters.num_rows == 0


@pytest.mark.parametrize("default", ["not a word", "\ud800"])
def test_a_default_outside_the_words_does_not_let_others_in(default: str) -> None:
    struct = msgspec.defstruct("S", [("a", Literal["red"], default)])
    batch = assemble(struct, [b'{"a":"blue"}', b'{"a":"red"}'])
    assert [letter["seq"] for letter in letters(batch)] == [0]
    assert batch["S"]["a"].tolist() == ["red"]


def test_what_a_type_needs_is_made_once_and_in_the_order_of_its_members() -> None:
    class A(msgspec.Struct, tag=True):
        x: int

    class B(msgspec.Struct, tag=True):
        x: int

    first, again = BatchAssembler(A | B), BatchAssembler(A | B)
    assert first.decoder.decode == again.decoder.decode
    assert [builder.name for builder in first._builders] == ["A", "B"]
    assert [builder.name for builder in BatchAssembler(B | A)._builders] == ["B", "A"]
    annotated = Annotated[A, msgspec.Meta(extra={"not": ["hashable"]})]
    assert [builder.name for builder in BatchAssembler(annotated)._builders] == ["A"]
