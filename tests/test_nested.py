"""Types of every shape: the compiled decoder against the general path, and both against msgspec itself.

`RLFAST_HYPOTHESIS_EXAMPLES` sets how many types are drawn.
"""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from core.oracle import check_nulls_inside, plain_values
from equality import GENERAL, check_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nested_types import (
    RAW,
    SCALARS,
    FieldNode,
    ListNode,
    MapNode,
    Node,
    OptionalNode,
    Scalar,
    Source,
    StructNode,
    UnionNode,
    ValueNode,
    events,
    list_of,
    payloads,
    roots,
    takes_none,
    write,
)

from rlfast._core.plan import KERNELS
from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._batch import EventBatch

EXAMPLES = int(os.environ.get("RLFAST_HYPOTHESIS_EXAMPLES", "150"))
SETTINGS = settings(
    deadline=None,
    max_examples=10 * EXAMPLES,  # of three milliseconds each
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def decoded(
    type_: Any, raws: list[bytes], kernel: str | None = "auto", *, other: bool = False
) -> tuple[EventBatch, int]:
    """The batch, and how many of its messages the compiled decoder took."""
    queue = BlockQueue(1 << 16, 1 << 30, 0)
    queue.begin_epoch(1)
    for raw in raws:
        queue.feed(raw)
    queue.end_of_read()
    assembler = BatchAssembler(type_, kernel, other=other)
    while (block := queue.take_block()) is not None:
        assembler.add(block, block.taken, block.count)
        queue.give_back(block, block.count)
    return assembler.finish(), assembler.num_fast


# -- against msgspec -----------------------------------------------------------------------------------------


def check_against_msgspec(root: StructNode | UnionNode, raws: list[bytes], kernel: str | None) -> None:
    """Every payload is the row that msgspec's object says, or a dead letter if there is none, or no place."""
    batch, _ = decoded(root.annotation, raws, kernel)
    letters = dict(zip(batch.dead_letters["seq"].tolist(), batch.dead_letters["error"].tolist(), strict=True))
    members = root.members if isinstance(root, UnionNode) else [root]
    rows: dict[int, tuple[StructNode, list[Any], str | None]] = {}
    for name, table in batch.items():
        [member] = [m for m in members if m.table == name]
        record_batch = pa.record_batch(table)
        record_batch.validate(full=True)
        for column in record_batch.columns:
            check_nulls_inside(column)
        seq, _, _, *fields, extra = map(plain_values, record_batch.columns)
        assert len(fields) == len(member.fields)
        for i, number in enumerate(seq):
            rows[number] = (member, [column[i] for column in fields], extra[i])
    assert rows.keys() | letters.keys() == set(range(len(raws)))
    judge = msgspec.json.Decoder(root.annotation)
    for seq, raw in enumerate(raws):
        try:
            value = judge.decode(raw)
        except (ValueError, RecursionError):
            assert seq in letters, raw
            continue
        if not root.fits(value):
            assert seq in letters, raw
            continue
        if "has no JSON" in letters.get(seq, ""):
            continue  # UNSET in an array, where Python code makes something else
        try:
            raw.decode()
            plain = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            continue  # what is wrong is in a field that msgspec skips
        assert seq not in letters, (raw, letters[seq])
        member, held, extra = rows[seq]
        if isinstance(root, UnionNode):
            assert member is root.member(value), raw
        assert member.agrees(value, held), (raw, value, held)
        unknown = dict(root.unknown(plain, ""))
        assert (None if extra is None else msgspec.json.decode(extra)) == (unknown or None), raw


SEEDS = st.integers(0, 2**64 - 1)


@given(seed=SEEDS)
@SETTINGS
def test_columns_hold_what_msgspec_decodes(seed: int) -> None:
    source = Source(seed)
    root = roots(source)
    raws = [payloads(source, root) for _ in range(source.integer(1, 20))]
    for kernel in ("auto", GENERAL):
        check_against_msgspec(root, raws, kernel)


@given(seed=SEEDS)
@SETTINGS
def test_every_kernel_equals_the_general_path(seed: int) -> None:
    source = Source(seed)
    root = roots(source)
    raws = [payloads(source, root) for _ in range(source.integer(1, 20))]
    raws *= source.pick([1, 1, 1, 10])
    cuts = [source.integer(0, 5) for _ in range(source.integer(0, 6))]
    check_equal(root.annotation, raws, cuts, source.pick([1, 300, 1 << 16]))


# -- messages that are arrays of events ----------------------------------------------------------------------


def events_of(batch: EventBatch, by: str) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the tables, and "" for dead letters: the column `by`, the fields, and `_extra`."""
    found = {}
    for name, table in (*batch.items(), ("", batch.dead_letters)):
        record_batch = pa.record_batch(table.with_plain_text())
        record_batch.validate(full=True)
        own = {*table.own_names.columns, table.own_names.item} - {table.own_names.extra}
        columns = [plain_values(record_batch.column(by))]
        columns += [plain_values(record_batch.column(n)) for n in record_batch.schema.names if n not in own]
        found[name] = list(zip(*columns, strict=True))
    return found


@given(seed=SEEDS)
@SETTINGS
def test_events_of_an_array_are_those_of_as_many_messages(seed: int) -> None:
    source = Source(seed)
    root = events(source)
    raws = [payloads(source, root) for _ in range(source.integer(0, 12))]
    raws = [raw.strip() for raw in raws if is_json(raw)]
    message = b"[" + source.pick([b",", b" , "]).join(raws) + b"]"
    type_ = list[root.annotation]  # type: ignore[name-defined]
    for kernel in (GENERAL, *KERNELS):
        batch, _ = decoded(type_, [message] * 2, kernel)
        expected = events_of(decoded(root.annotation, raws, GENERAL)[0], "seq") if raws else {"": []}
        found = events_of(batch, batch.own_names.item or "")
        assert found == {name: rows * 2 for name, rows in expected.items()}
    damaged = message[: source.integer(0, len(message))] + source.pick([b"", b"]", b"x", b"[]"])
    check_equal(type_, [message, damaged, message, b"[]", b"{}", damaged + b"]", *raws, message])


def is_json(raw: bytes) -> bool:
    try:
        raw.decode()
        msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return False
    return True


# -- what is usual takes the fast path -----------------------------------------------------------------------


@given(seed=SEEDS)
@SETTINGS
def test_plain_events_of_any_type_are_not_left_to_msgspec(seed: int) -> None:
    source = Source(seed)
    root = roots(source)
    raws = [write(root.tree(source)).encode() for _ in range(source.integer(1, 12))]
    if root.general:
        check_against_msgspec(root, raws, "auto")  # a hook may refuse some
        return
    batch, fast = decoded(root.annotation, raws)
    # A default may have no place in its column.
    misfits = {
        seq for seq, raw in enumerate(raws) if not root.fits(msgspec.json.decode(raw, type=root.annotation))
    }
    letters = dict(zip(batch.dead_letters["seq"].tolist(), batch.dead_letters["error"].tolist(), strict=True))
    misfits |= {seq for seq, error in letters.items() if "has no JSON" in error}
    assert letters.keys() == misfits, letters
    if not made_by_code(root):
        assert fast == len(raws) - len(misfits)


def made_by_code(node: Node) -> bool:
    """Whether a default in it is made anew for each object."""
    if isinstance(node, StructNode):
        return any(made_by_code(f.node) or is_made(f) for f in node.fields)
    inner = [getattr(node, name) for name in ("inner", "item", "value") if hasattr(node, name)]
    return any(map(made_by_code, inner + getattr(node, "members", [])))


def is_made(field: FieldNode) -> bool:
    return (
        field.default is not None
        and field.spec is not msgspec.UNSET
        and field.spec is not None
        and (field.spec.default_factory is not msgspec.NODEFAULT or field.spec.default is not None)
    )


def test_only_what_python_code_must_make_is_left_to_it() -> None:
    class Made(msgspec.Struct):
        at: int
        words: list[str] = []
        by: dict[str, int] = msgspec.field(default_factory=dict)
        kinds: set[str] = msgspec.field(default_factory=set)
        numbers: list[Any] = msgspec.field(default_factory=lambda: [1, {"a": 2}])
        leaf: Leaf = msgspec.field(default_factory=Leaf)

    raws = [b'{"at":1,"numbers":[1e1]}', b'{"at":2,"numbers": [ ] ,"x":1}', b'{"at":3}', b'{"at":"x"}']
    batch, fast = decoded(Made, raws)
    assert fast == 2
    assert batch["Made"]["numbers"].tolist() == [["1e1"], [], ["1", '{"a":2}']]
    assert batch["Made"]["_extra"].tolist() == [None, '{"x":1}', None]
    check_equal(Made, raws)
    check_equal(list[Made], [b"[" + b",".join(raws) + b"]"])


class Post(msgspec.Struct):
    id: int
    shared: Post | None = None
    replies: list[Post] = []


def test_what_holds_itself_is_compiled_to_the_first_level() -> None:
    raws = [
        b'{"id":1,"shared":{"id":2,"x":[3]}}',
        b'{"id":1,"replies":[{"id":2},{"id":3}]}',
        b'{"id":1,"shared":{"id":2,"shared":{"id":3}}}',
        b'{"id":1,"shared":{"id":"2"}}',
    ]
    batch, fast = decoded(Post, raws)
    assert fast == 2
    assert batch["Post"]["shared"].tolist()[0] == '{"id":2,"x":[3]}'
    assert batch["Post"]["_extra"].tolist() == [None] * 3
    check_equal(Post, raws)


def struct_around(node: Node) -> StructNode:
    inner = msgspec.defstruct("Inner", [("x", node.annotation)])
    return StructNode(inner, [FieldNode("x", "x", node)])


def ways(scalar: Scalar) -> list[Node]:
    """A type by itself, and inside of others."""
    found: list[Node] = [
        scalar,
        ListNode(scalar, list_of),
        MapNode(scalar),
        struct_around(scalar),
        ListNode(struct_around(MapNode(ListNode(scalar, list_of))), list_of),
    ]
    return (
        found
        if takes_none(scalar)
        else [*found, OptionalNode(scalar), ListNode(OptionalNode(scalar), list_of)]
    )


def around(node: Node, text: str) -> str:
    """JSON of a type of `ways` with one value inside."""
    if isinstance(node, OptionalNode):
        return around(node.inner, text)
    if isinstance(node, ListNode):
        return "[" + ",".join([around(node.item, text)] * 2) + "]"
    if isinstance(node, MapNode):
        return '{"k":' + around(node.value, text) + ',"":' + around(node.value, text) + "}"
    if isinstance(node, StructNode):
        return '{"x":' + around(node.fields[0].node, text) + "}"
    return text


@pytest.mark.parametrize(
    "scalar", SCALARS, ids=[f"{i}-{str(s.annotation)[:40]}" for i, s in enumerate(SCALARS)]
)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kind_of_value_takes_the_fast_path_everywhere(scalar: Scalar, kernel: str) -> None:
    for node in ways(scalar):
        root = struct_around(node)
        raws = [f'{{"x":{around(node, text)}}}'.encode() for text in scalar.plain]
        if isinstance(node, OptionalNode):
            raws.append(b'{"x":null}')
        if isinstance(node, ListNode):
            raws.append(b'{"x":[]}')
        batch, fast = decoded(root.annotation, raws, kernel)
        assert batch.dead_letters.num_rows == 0, batch.dead_letters["error"]
        assert fast == len(raws) or scalar.general, node.annotation
        check_against_msgspec(root, raws, kernel)
        check_equal(root.annotation, raws)


@pytest.mark.parametrize(
    "scalar", SCALARS, ids=[f"{i}-{str(s.annotation)[:40]}" for i, s in enumerate(SCALARS)]
)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kind_of_value_is_a_message(scalar: Scalar, kernel: str) -> None:
    nodes = [scalar, ListNode(scalar, list_of), MapNode(scalar), MapNode(ListNode(scalar, list_of))]
    for node in nodes if takes_none(scalar) else [*nodes, OptionalNode(scalar)]:
        root = ValueNode(node)
        plain = [f" {around(node, text)}\n".encode() for text in scalar.plain]
        batch, fast = decoded(root.annotation, plain, kernel)
        assert batch.dead_letters.num_rows == 0, batch.dead_letters["error"]
        assert fast == len(plain) or scalar.general, node.annotation
        texts = [around(node, text) for text in (*scalar.plain, *scalar.odd, *scalar.misfits, *RAW)]
        raws = plain + [(text + end).encode() for text in texts for end in ("", "]", " 1", "}")]
        check_against_msgspec(root, raws, kernel)
        check_equal(root.annotation, raws)


@pytest.mark.parametrize(
    "scalar", SCALARS, ids=[f"{i}-{str(s.annotation)[:40]}" for i, s in enumerate(SCALARS)]
)
def test_odd_and_wrong_values_are_judged_as_msgspec_does(scalar: Scalar) -> None:
    for node in ways(scalar):
        root = struct_around(node)
        texts = [*scalar.plain, *scalar.odd, *scalar.misfits, *RAW]
        raws = [f'{{"x":{around(node, text)}}}'.encode() for text in texts]
        raws += [f' {{ "x" : {around(node, text)} , "y" : [ ] }} '.encode() for text in texts]
        check_against_msgspec(root, raws, "auto")
        check_against_msgspec(root, raws, GENERAL)
        check_equal(root.annotation, raws)


DURATIONS = st.from_regex(
    r"\A[+-]?[Pp]([0-9]{1,9}(\.[0-9]{1,2})?[DdWY])?([Tt]([0-9]{1,9}[Hh])?([0-9]{1,3}[Mm])?([0-9]{1,9}(\.[0-9]{0,8})?[SsM])?)?\Z"
)


@given(texts=st.lists(DURATIONS, min_size=1, max_size=20))
@SETTINGS
def test_durations_are_those_of_msgspec(texts: list[str]) -> None:
    [node] = [scalar for scalar in SCALARS if scalar.annotation is datetime.timedelta]
    raws = [f'"{text}"'.encode() for text in texts]
    check_against_msgspec(ValueNode(node), raws, "auto")
    check_equal(datetime.timedelta, raws)


# -- unknown fields ------------------------------------------------------------------------------------------


class Leaf(msgspec.Struct):
    k: int = 0


class Middle(msgspec.Struct):
    leaf: Leaf | None = None
    leaves: list[Leaf] = []
    by_name: dict[str, Leaf] = {}


class Top(msgspec.Struct):
    data: Middle | None = None


@pytest.mark.parametrize(
    ("payload", "extra"),
    [
        (b'{"data":{"leaf":{"k":1,"s":2}}}', {"/data/leaf/s": 2}),
        (b'{"data":{"leaf":{"s":2,"k":1},"t":[]},"u":{}}', {"/data/leaf/s": 2, "/data/t": [], "u": {}}),
        (
            b'{"data":{"leaves":[{},{"a/b":1},{"c~d":2}]}}',
            {"/data/leaves/1/a~1b": 1, "/data/leaves/2/c~0d": 2},
        ),
        (
            b'{"data":{"by_name":{"x/y":{"k":1,"s":1},"":{"":null}}}}',
            {"/data/by_name/x~1y/s": 1, "/data/by_name//": None},
        ),
        (b'{"/x":1,"/":2,"~":3}', {"/~1x": 1, "/~1": 2, "~": 3}),
        (b'{"data":{"leaf":{"s":1,"s":2}}}', {"/data/leaf/s": 2}),
        (b'{"data":{"leaf":{"s":1}},"data":{"leaf":{"t":1}}}', {"/data/leaf/t": 1}),
        (b'{"data":null,"x":{"data":{"leaf":{"s":1}}}}', {"x": {"data": {"leaf": {"s": 1}}}}),
        (b' { "data" : { "leaf" : { "s" : [ 1 ] } } } ', {"/data/leaf/s": [1]}),
    ],
)
def test_unknown_fields_at_every_level_are_kept_under_their_path(
    payload: bytes, extra: dict[str, Any]
) -> None:
    check_equal(Top, [payload])
    for kernel in (GENERAL, *KERNELS):
        batch, _ = decoded(Top, [payload], kernel)
        [text] = batch["Top"]["_extra"].tolist()
        assert json.loads(text) == extra
