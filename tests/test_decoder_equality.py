"""The compiled decoder against msgspec: random types, and payloads that are valid, nearly valid and damaged.

`RLFAST_HYPOTHESIS_EXAMPLES` sets how many types are drawn.
"""

from __future__ import annotations

import enum
import json
import os
import random
import struct
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import msgspec
import pytest
from equality import GENERAL, check_equal, outcome, rows_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlfast._core.plan import KERNELS
from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema._markers import CategoryStr, UUIDStr

EXAMPLES = int(os.environ.get("RLFAST_HYPOTHESIS_EXAMPLES", "150"))


class Colour(enum.Enum):
    RED = "red"
    GREEN = "grün"
    NONE = ""


def meta(**limits: Any) -> Any:
    return msgspec.Meta(**limits)


FIELD_TYPES: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (int, (0, -5)),
    (float, (0.5, 3)),
    (bool, (True,)),
    (str, ("", "dé")),
    (UUIDStr, ("0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11", "no uuid")),
    (uuid.UUID, (uuid.UUID(int=5),)),
    (Literal["a", "added", "é"], ("a",)),
    ((Literal["", "x"] | None), (None,)),
    (Colour, (Colour.GREEN,)),
    (CategoryStr, ("cat",)),
    (list[str], ()),
    (list[UUIDStr], ()),
    (list[uuid.UUID], ()),
    (Annotated[int, meta(ge=0)], (1,)),
    (Annotated[int, meta(gt=-3, lt=9)], ()),
    (Annotated[int, meta(le=2**63 - 1)], ()),
    (Annotated[int, meta(multiple_of=3)], ()),
    (Annotated[float, meta(gt=0, le=1)], (0.25, -1.0)),
    (Annotated[float, meta(ge=-0.5, lt=2.5)], ()),
    (Annotated[str, meta(min_length=1, max_length=3)], ("ab",)),
    (Annotated[str, meta(pattern="^a")], ()),
    (Annotated[list[str], meta(min_length=1, max_length=2)], ()),
    (list[Annotated[str, meta(max_length=2)]], ()),
)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "ab", "abc", "é", "x y", "k" * 28, "k" * 29, "k" * 40, "type_", "0"]),
    st.text(
        st.characters(min_codepoint=0x20, exclude_characters='"\\', exclude_categories=["Cs"]), max_size=5
    ),
).filter(lambda name: name not in ("seq", "epoch", "received_at", "_extra", "stream"))


@st.composite
def structs(draw: st.DrawFn, tag: Any = None, tag_field: str | None = None) -> type:
    count = draw(st.sampled_from([0, 1, 2, 3, 5, 8, 70]))
    names = (
        draw(st.lists(NAMES.filter(lambda n: n != tag_field), max_size=8, unique=True)) if count < 70 else []
    )
    names = names[:count] or [f"f{i}" for i in range(count)]
    fields: list[Any] = []
    rename = {}
    for i, name in enumerate(names):
        type_, defaults = draw(st.sampled_from(FIELD_TYPES))
        if draw(st.integers(0, 3)) == 0:
            type_ = type_ | None
        extras: list[Any] = []
        choice = draw(st.integers(0, 3))
        if choice == 0 and defaults:
            extras = [draw(st.sampled_from(defaults))]
        elif choice == 1:
            extras = [msgspec.field(default_factory=list)] if defaults == () else [None]
        rename[f"attribute{i}"] = name
        fields.append((f"attribute{i}", type_, *extras))
    namespace = {}
    if draw(st.integers(0, 9)) == 0:
        namespace["__post_init__"] = _refuse_long
    # msgspec 0.22 does not recognise a tag field, or a tag, that is not ASCII until it was encoded once.
    msgspec.json.encode((tag_field, tag))
    return msgspec.defstruct(
        f"Struct{tag if tag is None else abs(hash(tag)) % 1000}",
        fields,
        tag=tag,
        tag_field=tag_field,
        rename=rename,
        kw_only=True,
        forbid_unknown_fields=draw(st.integers(0, 4)) == 0,
        namespace=namespace,
    )


def _refuse_long(self: Any) -> None:
    for name in self.__struct_fields__:
        if isinstance(getattr(self, name), str) and len(getattr(self, name)) > 3:
            raise ValueError("too long for this struct")


@st.composite
def types(draw: st.DrawFn) -> tuple[Any, list[type]]:
    if draw(st.booleans()):
        members = [draw(structs())]
    else:
        field = draw(st.sampled_from(["type", "kind", "é", "t" * 40]))
        tags = draw(
            st.one_of(
                st.lists(
                    st.sampled_from(["a", "ab", "é", "a b", "goal_one", "goal_two", "w" * 33]),
                    min_size=1,
                    max_size=4,
                    unique=True,
                ),
                st.lists(st.sampled_from([0, 1, 12, -7, 123456]), min_size=1, max_size=4, unique=True),
            )
        )
        members = [draw(structs(tag, field)) for tag in tags]
    type_: Any = members[0]
    for member in members[1:]:
        type_ = Union[type_, member]  # noqa: UP007
    return type_, members


RAW_NUMBERS = (
    "0", "-0", "-0.0", "1", "-1", "7", "1.0", "0.1", "-2.5", "1e5", "1E+5", "1e-7", "1e308", "1e309", "-1e400", "5e-324",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551616",
    "1234567890123456789012345", "0.8444218515250481", "0.30000000000000004", "123456789012345678e-10", "01", "+1", "1.", ".5",
    "1e", "--1", "0x1", "NaN", "Infinity", "2.2250738585072014e-308", "9007199254740993", "0.00000000000000000000001",
)  # fmt: skip
RAW_TEXTS = (
    '""', '"a"', '"added"', '"x"', '"abcd"', '"red"', '"gr\\u00fcn"', '"grün"', '"\\ud83d\\ude42"', '"\\ud800"', '"\\u0000"',
    '"\\n\\/\\\\\\""', '"\\x"', '"' + "y" * 70 + '"', '"no_plan_at_all"', '"é🙂"',
    '"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"', '"0B5C6F0E-6E55-4E6C-A9A5-4F5A0F6F1C11"', '"0b5c6f0e6e554e6ca9a54f5a0f6f1c11"',
    '"{0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11}"', '"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c1g"', '"0b5c6f0e-6e55-4e6c-a9a5\\u002d4f5a0f6f1c11"',
)  # fmt: skip
SCALARS = st.sampled_from((*RAW_NUMBERS, *RAW_TEXTS, "null", "true", "false", "nul", "True", "", "[]", "{}"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(inner, max_size=2).map(
            lambda items: "{" + ",".join(f'"{i}":{v}' for i, v in enumerate(items)) + "}"
        )
    ),
    max_leaves=4,
)
GOOD: dict[str, tuple[str, ...]] = {
    "int": ("3", "0", "-2", "8", "9223372036854775807"),
    "float": ("0.5", "1", "0.8444218515250481", "-0.25", "1e-3"),
    "bool": ("true", "false"),
    "str": ('"ab"', '"é"', '"a\\n"', '""', '"' + "z" * 40 + '"'),
    "uuid": ('"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"', '"8E5A3C2B-09D4-4A57-9A35-3B0B7F0D2E22"'),
    "literal": ('"a"', '"added"', '"x"', '""', '"é"'),
    "enum": ('"red"', '"grün"', '""'),
}


def good_value(draw: st.DrawFn, info: msgspec.inspect.Type) -> str:
    """JSON that probably fits a field."""
    if isinstance(info, msgspec.inspect.Metadata):
        marked = (info.extra or {}).get("rlfast") == "uuid"
        return draw(st.sampled_from(GOOD["uuid"])) if marked else good_value(draw, info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        return draw(st.just("null") | st.just(good_value(draw, info.types[0])))
    if isinstance(info, msgspec.inspect.ListType):
        count = draw(st.integers(0, 3))
        return "[" + ",".join(good_value(draw, info.item_type) for _ in range(count)) + "]"
    kind = type(info).__name__.removesuffix("Type").lower()
    return draw(st.sampled_from(GOOD.get(kind, ("null",))))


@st.composite
def payloads(draw: st.DrawFn, members: list[type]) -> bytes:
    member = draw(st.sampled_from(members))
    info = msgspec.inspect.type_info(member)
    assert isinstance(info, msgspec.inspect.StructType)
    pairs = [
        (json.dumps(f.encode_name, ensure_ascii=False), good_value(draw, f.type))
        for f in info.fields
        if f.required or draw(st.booleans())
    ]
    if info.tag_field is not None:
        tag = (
            json.dumps(info.tag_field, ensure_ascii=draw(st.booleans())),
            json.dumps(info.tag, ensure_ascii=draw(st.booleans())),
        )
        pairs.insert(draw(st.sampled_from([0, len(pairs), draw(st.integers(0, len(pairs)))])), tag)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(pairs)))
        change = draw(st.sampled_from(["drop", "replace", "duplicate", "shuffle", "unknown", "escape"]))
        if change == "unknown":
            pairs.insert(at, (json.dumps(draw(NAMES)), draw(VALUES)))
        elif change == "shuffle":
            pairs = draw(st.permutations(pairs))
        elif at < len(pairs):
            name, value = pairs[at]
            if change == "drop":
                del pairs[at]
            elif change == "replace":
                pairs[at] = (name, draw(VALUES))
            elif change == "duplicate":
                pairs.insert(draw(st.integers(0, len(pairs))), (name, draw(st.just(value) | VALUES)))
            else:
                pairs[at] = (
                    '"' + "".join(f"\\u{ord(c):04x}" for c in json.loads(name) if ord(c) < 0x10000) + '"',
                    value,
                )
    comma, colon, edge = draw(
        st.sampled_from(
            [(",", ":", ""), (",", ":", ""), (", ", ": ", ""), (" ,\n\t", " : ", " "), (",\r\n", ":", "\n")]
        )
    )
    text = edge + "{" + edge + comma.join(name + colon + value for name, value in pairs) + edge + "}" + edge
    raw = text.encode("utf-8", "surrogatepass")
    damage = draw(st.integers(0, 9))
    if damage == 0:
        at = draw(st.integers(0, len(raw)))
        raw = (
            raw[:at]
            + draw(st.sampled_from([b"", b'"', b"\xff", b"\\", b"}", b"\0", b"{", b","]))
            + raw[at + draw(st.integers(0, 1)) :]
        )
    elif damage == 1:
        raw = raw[: draw(st.integers(0, len(raw)))]
    elif damage == 2:
        raw = draw(
            st.sampled_from(
                [b"\xef\xbb\xbf" + raw, raw + b"x", raw + raw, b"[" + raw + b"]", b"", b"{}", b"null"]
            )
        )
    return raw


@given(data=st.data())
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
def test_every_kernel_equals_msgspec_for_any_type_and_payload(data: st.DataObject) -> None:
    type_, members = data.draw(types())
    raws = data.draw(st.lists(payloads(members), min_size=1, max_size=12))
    cuts = data.draw(st.lists(st.integers(0, 5), max_size=6))
    check_equal(type_, raws, cuts, data.draw(st.sampled_from([1, 300, 1 << 16])))


KIND = b'{"type":"kb_change","term_id":"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11","sort":"s%d","change_type":"added"}'
GOAL = (
    b'{"type":"goal_completed","goal_id":"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11","success":true,"result":%s}'
)
FORMS: tuple[bytes, ...] = (
    KIND,
    KIND[:-1] + b',"sort":"again"}',  # for msgspec
    KIND.replace(b"type", b"\\u0074ype", 1),  # for msgspec, before the plan knows the table
    KIND[:-1] + b',"extra":[1,{}]}',
    KIND[:-1] + b',"extra":1e999}',  # for a dead letter
    GOAL % b"null",
    GOAL % b'"r%d"',
    GOAL % b'"r%d","success":false',  # for msgspec
)


@given(
    weights=st.lists(st.integers(0, 5), min_size=len(FORMS), max_size=len(FORMS)).filter(any),
    seed=st.integers(0, 1 << 32),
    distinct=st.sampled_from([3, 1000]),
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=max(EXAMPLES // 3, 20))
def test_rows_of_both_paths_fill_the_same_columns(
    weights: list[int], seed: int, distinct: int, sizes: list[int]
) -> None:
    """Over hundreds of rows, so that columns grow by either path, and over batches, so that they start anew."""
    source = random.Random(seed)
    assemblers = [BatchAssembler(AgentEvent, kernel) for kernel in (GENERAL, *KERNELS)]
    for size in sizes:
        forms = source.choices(FORMS, weights, k=size)
        raws = [form % source.randrange(distinct) if b"%d" in form else form for form in forms]
        batches = []
        for assembler in assemblers:
            queue = BlockQueue(1 << 14, 1 << 30, 0)
            for raw in raws:
                queue.feed(raw)
            queue.end_of_read()
            while (block := queue.take_block()) is not None:
                assembler.add(block, 0, block.count)
            batch = assembler.finish()
            batches.append(
                {name: rows_of(table) for name, table in (*batch.items(), ("", batch.dead_letters))}
            )
        assert all(batch == batches[0] for batch in batches[1:])


SEEDS = sorted((Path(__file__).parent.parent / "fuzz" / "corpus").iterdir())


@pytest.mark.parametrize("kernel", KERNELS)
def test_seeds_and_findings_of_the_fuzzer(kernel: str) -> None:
    from fuzz.schemas import SCHEMAS

    assert len(SEEDS) > 100
    for index, type_ in enumerate(SCHEMAS):
        inputs = [
            data[1:].split(b"\x1e")
            for path in SEEDS
            if (data := path.read_bytes())[0] % len(SCHEMAS) == index
        ]
        raws: list[bytes] = []
        for raw in (raw for input_ in inputs for raw in input_):
            repeated = len(raw) >= 2 and raw[0] == 0x1D
            raws += (raw[1] + 1) * [raw[2:]] if repeated else [raw]
        assert outcome(type_, raws, kernel) == outcome(type_, raws, GENERAL)


@pytest.mark.parametrize("kernel", KERNELS)
def test_doubles_are_those_of_python(kernel: str) -> None:
    """Decimals of 1 to 19 digits at every exponent, and those half-way between two doubles, which rounding decides."""
    from fractions import Fraction

    source = random.Random(3)
    texts = [
        f"{source.randrange(10 ** source.randint(1, 19))}e{source.randint(-70, 60)}" for _ in range(20_000)
    ]
    texts += [repr(source.uniform(-1, 1) * 10 ** source.randint(-30, 30)) for _ in range(20_000)]
    for _ in range(5_000):
        low = source.randrange(2**52, 2**53)
        for shift in (1, 4, 8):
            exact = Fraction(2 * low + 1, 2 ** (shift + 1))
            digits = str(exact.numerator * 5 ** (shift + 1))
            if len(digits) <= 19:
                texts += [f"{int(digits) + step}e-{shift + 1}" for step in (-1, 0, 1)]
    tables = outcome(
        msgspec.defstruct("F", [("x", float)]), [f'{{"x":{text}}}'.encode() for text in texts], kernel
    )
    assert dict(tables["F"])["x"] == [struct.pack("<d", float(text)) for text in texts]
