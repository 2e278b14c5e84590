"""JSON's edges: as whole messages, as values of every kind of field, inside unknown fields, at every position.

The categories are those of the well-known suites (structure, numbers, texts, nesting; what a parser must take,
must refuse, or may decide); here msgspec decides. Payloads go through every kernel by the thousand, and must
come out as msgspec's structs do.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Literal

import msgspec
from equality import check_equal
from sample_events import PAYLOADS

from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema._markers import UUIDStr

ID = b"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"


class Kinds(msgspec.Struct):
    i: int = 0
    f: float = 0.0
    b: bool = False
    s: str = ""
    u: UUIDStr | None = None
    o: uuid.UUID | None = None
    w: Literal["word", "other"] = "word"
    l: list[str] = []  # noqa: E741
    m: list[UUIDStr] = []


FIELDS = b"ifbsuowlm"

VALUES = (
    *(b"", b" ", b"null", b"true", b"false", b"True", b"nul", b"nulll", b"undefined", b"NaN", b"Infinity", b"-Infinity"),
    # numbers
    *(b"0", b"-0", b"00", b"-00", b"01", b"-01", b"1", b"-1", b"--1", b"+1", b"-", b"1-", b"1 2", b"0x1", b"1_000", b"1,"),
    *(b"0.", b".0", b"0.0", b"-0.0", b"1.", b"1.5", b"1.5.5", b"1..5", b"-.5", b"0.1", b"1e", b"1e+", b"1e5", b"1E5", b"1e+5"),
    *(b"1e-5", b"1.e5", b"1e5.5", b"0e0", b"0E+0", b"-0e1", b"1e22", b"1e23", b"1e308", b"1e309", b"-1e309", b"1e-400", b"5e-324"),
    *(b"9007199254740992", b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808"),
    *(b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616", b"1" * 19, b"9" * 19, b"1" * 20, b"1" * 400),
    *(b"0." + b"0" * 70 + b"1", b"1" + b"0" * 70, b"0.1234567890123456789", b"123456789.123456789", b"2.2250738585072011e-308"),
    *(b"1.7976931348623157e308", b"1.7976931348623159e308", b"1e99999999999", b"1e-99999999999", b"0.30000000000000004"),
    # texts
    *(b'""', b'"a"', b"'a'", b'"a', b'a"', b'"word"', b'"wor\\u0064"', b'"other "', b'"\\"', b'"\\\\"', b'"\\\\\\"', b'"\\a"'),
    *(b'"\\u"', b'"\\u0"', b'"\\u00"', b'"\\u000"', b'"\\u0000"', b'"\\u00e9"', b'"\\U00e9"', b'"\\u00g9"', b'"\\u 0e9"', b'"\\x41"'),
    *(b'"\\ud83d\\ude00"', b'"\\uD83D\\uDE00"', b'"\\ud83d"', b'"\\ude00"', b'"\\ud83d\\n"', b'"\\ud83d\\u0041"', b'"\\ude00\\ud83d"'),
    *(b'"\\ud83d\\ud83d"', b'"\\ud83dx"', b'"\\ud83d\\"', b'"\\b\\f\\n\\r\\t\\/"', b'"\t"', b'"\n"', b'"\x00"', b'"\x1f"', b'"\x7f"'),
    *(b'"' + ID + b'"', b'"' + ID.upper() + b'"', b'"' + ID.replace(b"-", b"") + b'"', b'"{' + ID + b'}"', b'"' + ID + b' "'),
    *("\"é\"".encode(), "\"\u2028\"".encode(), "\"🙂\"".encode(), "\"\uffff\"".encode(), b'"\xef\xbb\xbf"', b'"\xf4\x8f\xbf\xbf"'),
    # arrays and objects
    *(b"[]", b"[ ]", b"[", b"]", b"[1", b"[1,]", b"[,1]", b"[,]", b"[1 2]", b"[1,,2]", b'["a"]', b'[ "a" , "b" ]', b'["a",null]'),
    *(b'["a","b"', b'["a";"b"]', b"[[]]", b"[" * 33 + b"]" * 33, b"[" * 31 + b"]" * 31, b"[" * 500, b'["' + ID + b'","' + ID.upper() + b'"]'),
    *(b"{}", b"{ }", b"{", b"}", b'{"a":1}', b'{"a":1,}', b'{,"a":1}', b'{"a"}', b'{"a":}', b'{"a" 1}', b"{a:1}", b"{1:1}", b"{'a':1}"),
    *(b'{"a":1,"a":2}', b'{"a":{"b":[{}]}}', b'{"\\ud800":1}', b'{"\xff":1}', b'{"a":1e999}', b'{"a":"\xff"}', b'{"a":01}', b'{"a":{}'),
    *(b"/*x*/1", b"1//x", b"\xef\xbb\xbf1", b"\xfe\xff", b"*", b"\\u0031", b"<null>", b"1}", b'"a"}', b"[]}"),
)  # fmt: skip

BAD_UTF8 = (
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2A", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe1\x80", b"\xe1\x80A"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x99", b"\xf0\x9f\x99A", b"\xf4\x90\x80\x80"),
    *(b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff"),
)  # fmt: skip
GOOD_UTF8 = ("\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff")


def test_every_value_as_every_kind_of_field() -> None:
    forms = (b'{"%c":%s}', b'{ "%c" : %s }', b'{"s":"x","%c":%s}', b'{"%c":%s,"i":1}')
    check_equal(Kinds, [form % (field, value) for form in forms for field in FIELDS for value in VALUES])


def test_every_value_in_an_unknown_field() -> None:
    forms = (b'{"x":%s}', b'{"x": %s , "i":1}', b'{"i":1,"x":{"y":[%s]}}', b'{"x":1,"y":%s}', b'{"%s":1}')
    check_equal(Kinds, [form % value for form in forms for value in VALUES])


def test_every_value_as_an_item() -> None:
    forms = (b'{"l":[%s]}', b'{"l":["a",%s]}', b'{"m":[%s,"' + ID + b'"]}', b'{"l":[ %s , "b"]}')
    check_equal(Kinds, [form % value for form in forms for value in VALUES])


def test_every_value_as_a_message() -> None:
    around = (b"%s", b" %s\n", b"%s%s", b"[%s]", b'{"a":%s}')
    messages = [form % ((value,) * form.count(b"%s")) for form in around for value in VALUES]
    for type_ in (Kinds, AgentEvent, None):
        check_equal(type_, messages)


class Nothing(msgspec.Struct):
    pass


class Tagged(msgspec.Struct, tag="t"):
    pass


def test_every_value_where_there_are_no_fields() -> None:
    forms = (b"{%s}", b'{"x":%s}', b'{"type":%s}', b'{"type":"t",%s}', b'{"type":"t","x":%s}')
    messages = [form % value for form in forms for value in (*VALUES, b'"t"', b"\0", b"\0005", b":5")]
    check_equal(Nothing, messages)
    check_equal(Tagged, messages)


def test_unknown_fields_by_the_dozen() -> None:
    many = [b",".join(b'"x%d":%d' % (i, i) for i in range(count)) for count in (1, 2, 31, 32, 33, 100)]
    twice = [
        b'"x":1,"x":2',
        b'"x":1,"y":2,"x":3',
        b'"x":1,"\\u0078":2',
        b'"\xc3\xa9":1',
        b'"\\n":1',
        b'"":0,"":1',
    ]
    forms = (b"{%s}", b'{"i":7,%s}', b'{%s,"i":7}')
    check_equal(Kinds, [form % fields for form in forms for fields in (*many, *twice)])


def positions(length: int) -> Iterator[tuple[bytes, bytes]]:
    """A text of `length` letters, cut at every position."""
    text = (b"abcdefghijklmnopqrstuvwxyz" * 3)[:length]
    for at in range(length + 1):
        yield text[:at], text[at:]


LENGTHS = (*range(20), 29, 30, 31, 32, 33, 34, 47, 48, 49, 62, 63, 64, 65, 66, 70)
"""Of texts: around every boundary of a vector."""


def test_bytes_that_are_no_utf8_at_every_position_of_a_text() -> None:
    good = [text.encode() for text in GOOD_UTF8]
    for length in LENGTHS:
        messages = [
            b'{"%s":"%s%s%s"}' % (name, head, odd, tail)
            for head, tail in positions(length)
            for odd in (*BAD_UTF8, *good)
            for name in (b"s", b"x")
        ]
        check_equal(Kinds, messages)


def test_quotes_escapes_and_controls_at_every_position_of_a_text() -> None:
    odd = [
        b'"',
        b"\\",
        b'\\"',
        b"\\\\",
        b"\\n",
        b"\\u00e9",
        b"\\ud83d\\ude00",
        b"\\ud83d",
        b"\0",
        b"\x1f",
        b"\n",
        b"\x7f",
        b" ",
    ]
    for length in LENGTHS:
        check_equal(
            Kinds,
            [b'{"s":"%s%s%s"}' % (head, mark, tail) for head, tail in positions(length) for mark in odd],
        )


def test_odd_bytes_at_every_position_of_a_key() -> None:
    odd = [*BAD_UTF8, b"\\u0061", b"\0", b"\\", b'"', "é".encode()]
    messages = [b'{"%s%s%s":1}' % (head, mark, tail) for head, tail in positions(36) for mark in odd]
    check_equal(Kinds, messages)


def test_truncation_at_every_byte_and_every_byte_behind_the_end() -> None:
    spaced = [json.dumps(json.loads(payload), indent=1).encode() for payload in PAYLOADS]
    whole = [*PAYLOADS, *spaced]
    check_equal(AgentEvent, [payload[:end] for payload in whole for end in range(len(payload))])
    check_equal(AgentEvent, [payload + bytes([c]) for payload in whole for c in range(256)])
    check_equal(AgentEvent, [bytes([c]) + payload for payload in whole for c in range(256)])


def test_every_byte_of_every_event_replaced() -> None:
    for payload in PAYLOADS:
        check_equal(
            AgentEvent,
            [
                payload[:i] + bytes([c]) + payload[i + 1 :]
                for i in range(len(payload))
                for c in b'\0 "\\,:{}[]0-aZ\x80\xff'
            ],
        )


def test_every_character_of_a_uuid_replaced() -> None:
    odd = [b"g", b"G", b"-", b"0", b"f", b"F", b'"', b"\\", b"\x00", b"\xc3\xa9", b"", b"/", b":", b"@", b"`"]
    ids = [ID[:i] + mark + ID[i + 1 :] for i in range(36) for mark in odd]
    forms = (
        b'{"u":"%s"}',
        b'{"o":"%s"}',
        b'{"m":["%s"]}',
        b'{"u":"%s","i":1,"s":"so that much more text follows behind it"}',
    )
    check_equal(Kinds, [form % value for form in forms for value in ids])


def test_digits_by_the_number() -> None:
    digits = b"12345678901234567890" * 2
    numbers = [sign + digits[:length] for length in range(1, 30) for sign in (b"", b"-")]
    numbers += [
        whole + b"." + (b"98765432109876543210" * 2)[:length]
        for length in range(1, 30)
        for whole in (b"0", b"7", b"-12345678")
    ]
    tails = (b"", b" ", b'  ,"s":"a text behind it, so that eight bytes can be read at once"')
    check_equal(
        Kinds,
        [b'{"%c":%s%s}' % (field, number, tail) for field in b"if" for number in numbers for tail in tails],
    )


def test_a_good_event_after_bad_ones_is_not_touched_by_them() -> None:
    bad = [payload[:end] for payload in PAYLOADS for end in range(0, len(payload), 7)]
    mixed = [message for i, message in enumerate(bad) for message in (message, PAYLOADS[i % len(PAYLOADS)])]
    check_equal(AgentEvent, mixed, cuts=[5, 1, 300])
