"""Numbers in messages: the compiled watcher beside a slow one, which reads with the json module."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlfast import Sequence
from rlfast._core.queue import BlockQueue
from rlfast._core.sequence import SequenceWatcher
from rlfast.schema._decoding import Decoding
from rlfast.schema._pointer import parse_pointer, pointer_name
from rlfast.websocket._sequence import Found, make_finder

EXAMPLES = int(os.environ.get("RLFAST_HYPOTHESIS_EXAMPLES", "300"))
ABSENT = object()


class Watched(NamedTuple):
    jumps: list[tuple[int, int, int, bytes | None]]
    more: list[int]
    skipped: int
    unchecked: int


def watch(
    sequence: Sequence,
    reads: list[list[bytes]],
    *,
    epochs: bool = False,
    general: bool = False,
    separator: int = 0,
) -> Watched:
    """What the watcher reports; with `epochs`, each read is of a connection of its own.

    With `general`, the compiled code sees something else, which it leaves to the general path. With
    `separator`, a message has documents.
    """
    jumps: list[tuple[int, int, int, bytes | None]] = []
    mores: list[int] = []

    def report(found: list[Any], more: int | None, epoch: int, received_at: int) -> None:
        assert epoch == (queue.epoch if epochs else 1)
        assert all(before <= received_at for *_, before in found)
        jumps.extend(jump[:4] for jump in found)
        mores.extend([] if more is None else [more])

    first, last, whose, each, in_element = sequence.places()
    find = make_finder(sequence, Decoding())
    if general:
        compiled, left = find, iter([payload for payloads in reads for payload in payloads])

        def find(_: bytes) -> list[Found]:
            return compiled(next(left))

    watcher = SequenceWatcher(
        first, last, whose, each, in_element, sequence.step, sequence.per_connection, separator, find, report
    )
    queue = BlockQueue(1 << 16, 1 << 30, 1)
    queue.watchers = (watcher,)
    queue.begin_epoch(1)
    for number, payloads in enumerate(reads, 1):
        if epochs:
            queue.begin_epoch(number)
        for payload in payloads:
            queue.feed(b"{" if general else payload)
        queue.end_of_read()
    return Watched(jumps, mores, watcher.skipped, watcher.unchecked)


# -- the oracle ------------------------------------------------------------------------------------------


def at(value: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name in map(str, range(len(value))):
            value = value[int(name)]
        else:
            return ABSENT
    return value


def number_of(value: Any) -> int | None:
    if isinstance(value, str) and value and set(value) <= set("0123456789"):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64:
        return value
    return None


def refuse(constant: str) -> Any:
    raise ValueError(constant)


def oracle(sequence: Sequence, reads: list[list[bytes]], *, epochs: bool = False) -> Watched:
    """The same, for names that json.dumps would write as they are written."""
    jumps: list[tuple[int, int, int, bytes | None]] = []
    known: dict[bytes | None, int] = {}
    skipped = unchecked = 0
    first, last, whose, each, in_element = sequence.places()
    seq = -1
    for payloads in reads:
        if epochs and sequence.per_connection:
            known = {}
        for payload in payloads:
            seq += 1
            try:
                message = json.loads(payload, parse_constant=refuse)
            except ValueError:
                continue
            array = [message] if each is None else at(message, each)
            for element in array if isinstance(array, list) else ():
                found = at(element, first)
                if found is ABSENT or found is None:
                    continue
                to = number_of(found)
                end = to if last is None else number_of(at(element, last))
                name: bytes | None = None
                if whose is not None:
                    named = at(element if in_element else message, whose)
                    name = None if named is ABSENT else dump(named)
                if to is None or end is None or (name is not None and len(name) > 256):
                    unchecked += 1
                    continue
                if name in known and to != known[name] + sequence.step:
                    jumps.append((seq, known[name], to, name))
                    expected = known[name] + sequence.step
                    if sequence.step and expected < 2**64:
                        skipped += max(0, -((expected - to) // sequence.step))
                known[name] = end
    return Watched(jumps, [], min(skipped, 2**64 - 1), unchecked)


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# -- examples --------------------------------------------------------------------------------------------


def messages(*values: Any) -> list[bytes]:
    return [dump(value) for value in values]


def numbers(*values: Any) -> list[bytes]:
    return messages(*({"n": value} for value in values))


@pytest.mark.parametrize(
    ("values", "jumps", "skipped"),
    [
        ([5, 6, 7], [], 0),
        ([5, 7, 8], [(1, 5, 7, None)], 1),
        ([5, 5], [(1, 5, 5, None)], 0),
        ([5, 3, 4], [(1, 5, 3, None)], 0),
        (["0099", "0100", 101], [], 0),
        (["5", "9"], [(1, 5, 9, None)], 3),
        ([-2, -1, 0, 1], [], 0),
        ([-1, 1], [(1, -1, 1, None)], 1),
        ([2**63 - 1, 2**63, 2**63 + 1], [], 0),
        ([2**64 - 2, 2**64 - 1, 0], [(2, 2**64 - 1, 0, None)], 0),
        ([2**64 - 1, 2**64 - 1], [(1, 2**64 - 1, 2**64 - 1, None)], 0),
        ([-(2**63), 2**64 - 1], [(1, -(2**63), 2**64 - 1, None)], 2**64 - 1),
        ([5, None, 6], [], 0),
    ],
)  # fmt: skip
def test_what_follows(values: list[Any], jumps: list[Any], skipped: int) -> None:
    found = watch(Sequence("/n"), [numbers(*values)])
    assert found == Watched(jumps, [], skipped, 0)
    assert watch(Sequence("/n"), [numbers(*values)], general=True) == found


@pytest.mark.parametrize(
    "value", [1.0, 1e3, "", "x", "-1", "+1", " 1", "1 ", True, [1], {"a": 1}, 2**64, -(2**63) - 1]
)
def test_what_is_no_number_is_counted(value: Any) -> None:
    found = watch(Sequence("/n"), [numbers(1, value, 2)])
    assert found == Watched([], [], 0, 1) == oracle(Sequence("/n"), [numbers(1, value, 2)])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"{",
        b'{"n":7',
        b'{"n":7}}',
        b'{"n":7,}',
        b'{"n":07}',
        b'{"n":7}{"n":8}',
        b"NaN",
        b'["\\x"]',
    ],
)
def test_what_is_no_json_is_passed_over(payload: bytes) -> None:
    assert watch(Sequence("/n"), [[*numbers(1), payload, *numbers(2)]]) == Watched([], [], 0, 0)


def test_nan_is_passed_over_unless_it_is_taken_for_null() -> None:
    payloads = [*numbers(1), b'{"n":3,"x":NaN}']
    sequence = Sequence("/n")
    assert watch(sequence, [payloads]).jumps == []
    lenient = make_finder(sequence, Decoding(nan="null"))
    assert lenient(payloads[1]) == [(b"3", None, None)]


@pytest.mark.parametrize("payload", [b'{"n":9,"n":2}', b'{"n":9,"\\u006e":2}', b' { "n" : 9 , "n" : 2 } '])
def test_the_last_of_two_members_counts(payload: bytes) -> None:
    assert watch(Sequence("/n"), [[*numbers(1), payload]]).jumps == []


def test_a_member_that_comes_again_takes_everything_with_it() -> None:
    assert (
        watch(Sequence("/a/n"), [[b'{"a":{"n":1}}', b'{"a":{"n":9},"a":{}}', b'{"a":{"n":2}}']]).jumps == []
    )


def test_each_has_numbers_of_its_own() -> None:
    sequence = Sequence("/u", by="/s")
    payloads = messages(
        *({"s": "a", "u": 1}, {"s": "b", "u": 1}, {"u": 1}, {"s": "a", "u": 2}),
        *({"s": "b", "u": 5}, {"u": 3}, {"s": 1, "u": 8}, {"s": "1", "u": 2}),
    )
    found = watch(sequence, [payloads])
    assert found.jumps == [(4, 1, 5, b'"b"'), (5, 1, 3, None)]
    assert found.skipped == 4


def test_a_message_says_from_where_to_where() -> None:
    sequence = Sequence("/U", last="/u", by="/s")
    payloads = messages({"s": 1, "U": 1, "u": 4}, {"s": 1, "U": 5, "u": 5}, {"s": 1, "U": 9, "u": 12})
    assert watch(sequence, [payloads]).jumps == [(2, 5, 9, b"1")]
    assert watch(sequence, [messages({"U": 1}, {"U": 9})]).unchecked == 2


@pytest.mark.parametrize(
    ("sequence", "wrap"),
    [
        (Sequence("/*/i", by="/*/s"), lambda events: events),
        (Sequence("/d/e/*/i", by="/d/e/*/s"), lambda events: {"d": {"e": events}, "i": 77}),
        (Sequence("/*"), lambda events: [event["i"] for event in events if event["s"] == "a"]),
    ],
)
def test_each_element_of_an_array(sequence: Sequence, wrap: Any) -> None:
    events = [{"s": "a", "i": 1}, {"s": "b", "i": 7}, {"s": "a", "i": 2}]
    payloads = messages(wrap(events), wrap([]), "none", wrap([{"s": "a", "i": 4}]))
    found = watch(sequence, [payloads])
    assert [jump[:3] for jump in found.jumps] == [(3, 2, 4)]


def test_an_array_whose_name_is_beside_it() -> None:
    sequence = Sequence("/t/*/i", by="/s")
    payloads = messages({"t": [{"i": 1}, {"i": 2}], "s": "a"}, {"s": "b", "t": [{"i": 1}, {"i": 3}]})
    assert watch(sequence, [payloads]).jumps == [(1, 1, 3, b'"b"')]


def test_an_element_by_its_place() -> None:
    payloads = messages([1, "x", 5], [1, "y", 6], [2, "x", 1], [1, "x", 8], [1], {"2": 1})
    assert watch(Sequence("/2", by="/0"), [payloads]).jumps == [(3, 6, 8, b"1")]
    assert watch(Sequence("/02"), [payloads]).jumps == []


@pytest.mark.parametrize("per_connection", [False, True])
def test_another_connection(per_connection: bool) -> None:
    found = watch(
        Sequence("/n", per_connection=per_connection), [numbers(1, 2), numbers(1, 2), numbers(3)], epochs=True
    )
    assert found.jumps == ([(4, 2, 3, None)][:0] if per_connection else [(2, 2, 1, None)])


def test_names_for_which_there_is_no_room_are_counted() -> None:
    names = [*range(65_536), "more", "x" * 255, 0]
    payloads = messages(*({"k": name, "n": 1} for name in names), {"k": 0, "n": 3})
    found = watch(Sequence("/n", by="/k"), [payloads])
    assert found.unchecked == 2
    assert found.jumps == [(65_538, 1, 1, b"0"), (65_539, 1, 3, b"0")]


def test_a_flood_is_not_listed_one_by_one() -> None:
    reads = [numbers(*range(0, 50_000, 2)), numbers(7), numbers(7)]
    found = watch(Sequence("/n"), reads)
    assert len(found.jumps) == 10_000
    assert found.more[0] == 10_001
    assert found.more[-2:] == [25_000, 25_001]
    assert found.skipped == 24_999


def test_messages_that_were_cut_short_are_passed_over() -> None:
    reports: list[Any] = []
    watcher = SequenceWatcher(
        ("n",), None, None, None, False, 1, False, 0, lambda _: [], lambda *found: reports.append(found)
    )
    queue = BlockQueue(1 << 16, 1 << 20, 1)
    queue.watchers = (watcher,)
    queue.feed(b'{"n":1}')
    queue.feed_rejected(b'{"n":5}', "too big")
    queue.feed(b'{"n":2}')
    queue.feed_rejected(b'{"n":5}', "too big")
    queue.end_of_read()
    assert reports == []
    queue.feed(b'{"n":4}')
    queue.end_of_read()
    assert [jump[:4] for jump in reports[0][0]] == [(4, 2, 4, None)]


# -- properties ------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["n", "s", "a", "~", "/", "é", '"', "0", "1", "", "a" * 20])
INTEGERS = st.one_of(
    st.integers(0, 9),
    st.integers(-3, 3),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30]),
)
LEAVES = st.one_of(
    INTEGERS,
    INTEGERS.map(str),
    st.none(),
    st.booleans(),
    st.sampled_from(["a", "b", "é\U0001f600", "\\", 1.5, "x" * 260]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=12,
)
POINTERS = st.lists(st.one_of(NAMES, st.just("*")), max_size=3)


def pointer(names: list[str]) -> str:
    return "".join(f"/{pointer_name(name)}" for name in names)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    prefix = draw(st.sampled_from([[], [], ["a"], ["*"], ["a", "*"]]))
    tails = st.lists(NAMES, min_size=0, max_size=2)
    plain = [name for name in prefix if name != "*"] if draw(st.booleans()) else prefix
    last = draw(st.one_of(st.none(), st.none(), tails.map(lambda tail: pointer(prefix + tail))))
    return Sequence(
        pointer(prefix + draw(tails)),
        by=draw(st.one_of(st.none(), tails.map(lambda tail: pointer(plain + tail)))),
        last=last,
        step=draw(st.sampled_from([1, 1, 2, 2**63 - 1, *([0, 0] if last is not None else [])])),
        per_connection=draw(st.booleans()),
    )


def put(value: Any, names: list[str], inside: Any) -> Any:
    """A value with `inside` at the end of the way."""
    if not names:
        return inside
    name, *rest = names
    if name == "*":
        return [put({}, rest, inside)]
    around = dict(value) if isinstance(value, dict) else {}
    return {**around, name: put(around.get(name), rest, inside)}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Sequence, list[list[bytes]], bool]:
    sequence = draw(sequences())
    ways = [
        list(parse_pointer(text)) for text in (sequence.number, sequence.by or "/s", sequence.last or "/l")
    ]
    reads = []
    for _ in range(draw(st.integers(1, 3))):
        payloads = []
        for _ in range(draw(st.integers(0, 6))):
            value = draw(VALUES)
            if draw(st.integers(0, 3)):
                value = put(
                    put(value, ways[1], draw(st.sampled_from(["a", "b", 1]))), ways[0], draw(INTEGERS)
                )
            payload = write(value, draw(st.sampled_from([None, None, 1])), draw(st.booleans()))
            if draw(st.integers(0, 9)) == 0:
                cut = draw(st.integers(0, len(payload)))
                payload = (
                    payload[:cut]
                    + draw(st.sampled_from([b"", b"}", b"]", b",", b'"', b"\\", b"1", b"\xff"]))
                    + payload[cut + 1 :]
                )
            payloads.append(payload)
        reads.append(payloads)
    return sequence, reads, draw(st.booleans())


def write(value: Any, indent: int | None, escaped: bool) -> bytes:
    return json.dumps(value, ensure_ascii=escaped, indent=indent).encode()


def in_one_spelling(payloads: list[bytes]) -> list[bytes]:
    """JSON as `dump` writes it, and what is none as it is; nothing that is not Unicode."""
    found = []
    for payload in payloads:
        try:
            text = payload.decode()
            try:
                payload = dump(json.loads(text, parse_constant=refuse))
            except json.JSONDecodeError:
                pass
        except UnicodeError:
            continue
        found.append(payload)
    return found


@settings(max_examples=EXAMPLES)
@given(cases())
@example((Sequence("", step=2), [[b"-9223372036854775808", b"18446744073709551615"]], False))
@example((Sequence("/*/a", by="/*/s"), [[b'[{"s":"a","a":1},{"s":"a","a":3}]']], False))
def test_equal_to_the_slow_one(case: tuple[Sequence, list[list[bytes]], bool]) -> None:
    sequence, reads, epochs = case
    # Names in different spellings would be different names here, and the same there.
    reads = [in_one_spelling(payloads) for payloads in reads]
    expected = oracle(sequence, reads, epochs=epochs)
    assert watch(sequence, reads, epochs=epochs) == expected


@settings(max_examples=EXAMPLES)
@given(cases())
def test_equal_to_its_general_path(case: tuple[Sequence, list[list[bytes]], bool]) -> None:
    """Whatever the spelling, duplicates and bytes that are no JSON included."""
    sequence, reads, epochs = case
    assert watch(sequence, reads, epochs=epochs) == watch(sequence, reads, epochs=epochs, general=True)


@settings(max_examples=EXAMPLES)
@given(cases(), st.data())
def test_a_document_of_a_message_is_what_a_message_of_its_own_is(
    case: tuple[Sequence, list[list[bytes]], bool], data: st.DataObject
) -> None:
    sequence, reads, epochs = case
    reads = [[text for text in payloads if text.strip() and b"\x1e" not in text] for payloads in reads]
    ends = st.sampled_from([b"\x1e", b" \x1e", b"\x1e\x1e\n"])
    whole = [[b"".join(text + data.draw(ends) for text in payloads)] for payloads in reads]
    expected = watch(sequence, reads, epochs=epochs)
    found = watch(sequence, whole, epochs=epochs, separator=0x1E)
    assert [jump[1:] for jump in found.jumps] == [jump[1:] for jump in expected.jumps]
    assert (found.skipped, found.unchecked) == (expected.skipped, expected.unchecked)
