"""What a column must be, written with pyarrow from plain Python values.

A sample is a pair: what is pushed, and what the column then holds, as a plain value: an int for times, a
text, bytes, a Decimal; for lists a list, for maps a list of pairs, for structs a tuple, for unions the tag
and a tuple, or None. The second comes first: what is pushed is made from it.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, TypeAlias

import pyarrow as pa
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from rlfast.schema import kinds
from rlfast.schema._columns import Column, loosened
from rlfast.schema.kinds import Kind, Layout

Sample: TypeAlias = tuple[Any, Any]
Samples: TypeAlias = st.SearchStrategy[Sample]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICRO = timedelta(microseconds=1)
TEXTS = st.text(max_size=40)
WORDS = st.sampled_from(["", "added", "updated", "été", "🙂", "\0"])
CATEGORIES = ("added", "", "é", "a text that is longer than sixteen bytes")
CHOICES = (0, -1, 7, 2**63 - 1)


def integers(bits: int, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0])


INT64S = integers(64)


def same(values: st.SearchStrategy[Any]) -> Samples:
    """What is pushed is what is held."""
    return values.map(lambda value: (value, value))


def pushed_as(values: st.SearchStrategy[Any], *forms: Callable[[Any], Any]) -> Samples:
    """What is pushed is one of some forms of what is held."""
    return st.tuples(values, st.sampled_from(forms)).map(lambda drawn: (drawn[1](drawn[0]), drawn[0]))


def float32(value: float) -> float:
    narrow: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return narrow


def decimal_text(unscaled: int, scale: int) -> str:
    """A decimal with all its digits."""
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    whole, behind = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return "-" * (unscaled < 0) + whole + ("." + behind if behind else "")


def raw(text: str) -> Raw:
    return Raw(text.encode())


def raw_text(text: str) -> Raw:
    return Raw(json.dumps(text).encode())


def aware(micros: int, minutes: int) -> datetime:
    try:
        return (EPOCH + micros * MICRO).astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:  # at either end of the calendar
        return EPOCH + micros * MICRO


FIRST, LAST = (
    (datetime(year, 1, 1, tzinfo=timezone.utc) - EPOCH) // MICRO + change
    for year, change in ((1, 0), (9999, 364 * 86_400_000_000))
)
MICROS = st.integers(FIRST, LAST) | st.sampled_from([0, -1, FIRST, LAST])


def nanos_text(nanos: int) -> str:
    seconds, rest = divmod(nanos, 10**9)
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09}Z"


def clock(micros: int) -> time:
    return (datetime(1970, 1, 1) + micros * MICRO).time()


def decimals(column: Column) -> Samples:
    most = 10**column.precision - 1
    unscaled = st.integers(-most, most) | st.sampled_from([most, -most, 0, 1, -1])
    return st.tuples(unscaled, st.sampled_from([raw, raw_text])).map(
        lambda drawn: (
            drawn[1](decimal_text(drawn[0], column.scale)),
            Decimal((int(drawn[0] < 0), tuple(map(int, str(abs(drawn[0])))), -column.scale)),
        )
    )


JSON_TEXTS = ("null", "1", "-1.50", '"é"', "[1, 2]", '{"a":{"b":null}}', "true", "{}", '"\\u00e9"')


def json_samples(column: Column) -> Samples:
    def sample(text: str, form: Callable[[str], Any]) -> Sample:
        return form(text), None if text == "null" and column.nullable else text

    return st.builds(sample, st.sampled_from(JSON_TEXTS), st.sampled_from([raw, str]))


@dataclass(frozen=True)
class Scalar:
    """All about a kind without children.

    Attributes:
        samples: of a column of the kind.
        refused: what a column of the kind does not take.
        type: of Arrow.
        storage: what the values above are in Arrow before they are viewed as `type`; None: the same.
    """

    samples: Callable[[Column], Samples]
    refused: tuple[Any, ...]
    type: Callable[[Column], pa.DataType]
    storage: pa.DataType | None = None


BAD_UUIDS = ("", "0" * 36, "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c1", "0b5c6f0e6e55-4e6ca9a54f5a0f6f1c11")
WIDE_INTS = (2**64, -(2**63) - 1, 10**40, -(10**40))
BAD_TEXTS = ("\ud800", "ok \udfff", 5)


def integer(bits: int, signed: bool, type_: pa.DataType) -> Scalar:
    limits = (2 ** (bits - 1), -(2 ** (bits - 1)) - 1) if signed else (2**bits, -1)
    return Scalar(lambda c: same(integers(bits, signed)), (*limits, *WIDE_INTS, "1", 1.5), lambda c: type_)


def epoch(unit: str) -> Scalar:
    # Of those that count in more than microseconds, which these hold.
    most = (2**63 - 1) // {"s": 1_000_000, "ms": 1000}.get(unit, 1)
    samples = pushed_as(
        INT64S if unit in ("us", "ns") else st.integers(-most, most) | st.sampled_from([-most, most]),
        lambda n: raw(str(n)),
        lambda n: raw_text(str(n)),
        lambda n: raw(f"{n}.0") if n % 2 else raw(f"{n}e0"),
        lambda n: raw_text(f"{n}.9" if n > 0 else f"{n}.0"),
    )
    refused = tuple(map(raw, ('"x"', '""', "true", '"nan"', '"1_0"', "9223372036854775808", '"-1e30"', "[]")))
    refused += (raw(str(most + 1)), raw_text(f"-{most + 2}.5"))
    return Scalar(lambda c: samples, refused, lambda c: pa.timestamp(unit, "UTC"), pa.int64())


def decimal(make: Callable[[int, int], pa.DataType]) -> Scalar:
    refused = tuple(map(raw, ('"x"', '"nan"', "1e80", '"0.' + "0" * 80 + '1"', "true", "[]", '""', '"1 2"')))
    return Scalar(decimals, refused, lambda c: make(c.precision, c.scale))


def numbers(form: Callable[[float], float]) -> Samples:
    return pushed_as(st.floats(), form).map(lambda sample: (sample[0], form(sample[1])))


UUIDS = st.integers(0, 2**128 - 1).map(lambda n: uuid.UUID(int=n))

SCALARS: dict[Kind, Scalar] = {
    kinds.INT64: integer(64, True, pa.int64()),
    kinds.INT32: integer(32, True, pa.int32()),
    kinds.INT16: integer(16, True, pa.int16()),
    kinds.INT8: integer(8, True, pa.int8()),
    kinds.UINT64: integer(64, False, pa.uint64()),
    kinds.UINT32: integer(32, False, pa.uint32()),
    kinds.UINT16: integer(16, False, pa.uint16()),
    kinds.UINT8: integer(8, False, pa.uint8()),
    kinds.INT_CHOICE: Scalar(
        lambda c: same(st.sampled_from(c.choices or CHOICES)), (1, 2**63, "0", 0.0), lambda c: pa.int64()
    ),
    kinds.FLOAT64: Scalar(
        lambda c: numbers(float) | pushed_as(st.integers(-(2**53), 2**53).map(float), int),
        (10**400, "1.5", b""),
        lambda c: pa.float64(),
    ),
    kinds.FLOAT32: Scalar(
        lambda c: (
            same(st.floats(width=32))
            | same(st.sampled_from([0.1, 1e-50, 3.4e38])).map(lambda sample: (sample[0], float32(sample[1])))
        ),
        (1e39, -3.5e38),
        lambda c: pa.float32(),
    ),
    kinds.BOOL: Scalar(lambda c: same(st.booleans()), (0, 1, "true", b""), lambda c: pa.bool_()),
    kinds.UTF8: Scalar(lambda c: same(TEXTS), BAD_TEXTS, lambda c: pa.string()),
    kinds.UUID: Scalar(
        lambda c: pushed_as(
            UUIDS,
            lambda u: u,
            str,
            lambda u: str(u).upper(),
            lambda u: u.hex,
            lambda u: str(u)[:18].upper() + str(u)[18:],
        ).map(lambda sample: (sample[0], sample[1].bytes)),
        BAD_UUIDS,
        lambda c: pa.uuid(),
    ),
    kinds.CATEGORY: Scalar(
        lambda c: same(WORDS | TEXTS if c.categories is None else st.sampled_from(c.categories)),
        BAD_TEXTS,
        lambda c: pa.dictionary(pa.int32(), pa.string()),
    ),
    kinds.JSON: Scalar(json_samples, (), lambda c: pa.json_()),
    kinds.FLOAT_TEXT: Scalar(
        lambda c: (
            st.floats().map(lambda value: (repr(value), float(repr(value))))
            | st.sampled_from([("1.", 1.0), (".5", 0.5), ("+1e3", 1000.0), ("-Infinity", float("-inf"))])
        ),
        ("", "x", "1_0", " 1", "1 ", "0x1", "٣", "1e"),
        lambda c: pa.float64(),
    ),
    kinds.INT_TEXT: Scalar(
        lambda c: pushed_as(INT64S, str, lambda n: f"+{n}" if n >= 0 else str(n), lambda n: f"{n:020}"),
        ("", "x", "1.0", "1_0", " 1", "٣", "9223372036854775808", "-9223372036854775809", "-"),
        lambda c: pa.int64(),
    ),
    kinds.DECIMAL_TEXT: Scalar(
        lambda c: (
            pushed_as(st.sampled_from(["1", "-0.10", "1e5", "1E-7", "123456789.123456789"]), raw, raw_text)
            | pushed_as(st.sampled_from(["nan", "-Infinity", "+1", ".5"]), raw_text)
        ),
        tuple(map(raw, ('"x"', '""', "true", "[]", '"1 2"'))),
        lambda c: pa.string(),
    ),
    kinds.DECIMAL128: decimal(pa.decimal128),
    kinds.DECIMAL256: decimal(pa.decimal256),
    kinds.DATETIME: Scalar(
        lambda c: (
            st.tuples(MICROS, st.integers(-1439, 1439)).map(lambda drawn: (aware(*drawn), drawn[0]))
            | pushed_as(MICROS, lambda n: aware(n, 0).replace(tzinfo=None))
        ),
        (),
        lambda c: pa.timestamp("us", "UTC"),
        pa.int64(),
    ),
    kinds.NAIVE_DATETIME: Scalar(
        lambda c: pushed_as(MICROS, lambda n: aware(n, 0).replace(tzinfo=None)),
        (),
        lambda c: pa.timestamp("us"),
        pa.int64(),
    ),
    kinds.DATETIME_NANOS: Scalar(
        lambda c: pushed_as(INT64S, nanos_text),
        ("1600-01-01T00:00:00Z", "2400-01-01T00:00:00Z", "x"),
        lambda c: pa.timestamp("ns", "UTC"),
        pa.int64(),
    ),
    kinds.DATE: Scalar(
        lambda c: pushed_as(st.integers(-719162, 2932896), lambda n: date(1970, 1, 1) + timedelta(n)),
        (),
        lambda c: pa.date32(),
        pa.int32(),
    ),
    kinds.TIME: Scalar(
        lambda c: pushed_as(
            st.integers(0, 86_400_000_000 - 1),
            clock,
            lambda n: clock(n).replace(tzinfo=timezone.utc),
            lambda n: clock((n + 5_400_000_000) % 86_400_000_000).replace(
                tzinfo=timezone(timedelta(minutes=90))
            ),
        ),
        (),
        lambda c: pa.time64("us"),
        pa.int64(),
    ),
    kinds.DURATION: Scalar(
        lambda c: pushed_as(INT64S, lambda n: n * MICRO),
        (timedelta.max, timedelta.min),
        lambda c: pa.duration("us"),
        pa.int64(),
    ),
    kinds.EPOCH_SECONDS: epoch("s"),
    kinds.EPOCH_MILLIS: epoch("ms"),
    kinds.EPOCH_MICROS: epoch("us"),
    kinds.EPOCH_NANOS: epoch("ns"),
    kinds.BASE64: Scalar(
        lambda c: same(st.binary(max_size=40)), ("text", bytearray(b"x"), [1]), lambda c: pa.binary()
    ),
    kinds.BINARY: Scalar(
        lambda c: same(st.binary(max_size=40)), ("text", bytearray(b"x"), [1]), lambda c: pa.binary()
    ),
    kinds.TIMESTAMP: Scalar(
        lambda c: same(INT64S), (2**63, *WIDE_INTS, "1"), lambda c: pa.timestamp("ns", "UTC"), pa.int64()
    ),
}


def scalar_column(kind: Kind, name: str = "c", nullable: bool = True, fixed: bool = False) -> Column:
    """A column of a kind without children."""
    column = Column(name, kind, nullable=nullable, accepts_null=nullable)
    if kind is kinds.DECIMAL128:
        return replace(column, precision=20, scale=3)
    if kind is kinds.DECIMAL256:
        return replace(column, precision=76, scale=38)
    if kind is kinds.INT_CHOICE:
        return replace(column, choices=CHOICES)
    if kind is kinds.CATEGORY and fixed:
        return replace(column, categories=CATEGORIES)
    return column


# -- columns with others inside them ------------------------------------------------------------------------


def list_of(item: Column, name: str = "c", nullable: bool = True) -> Column:
    return Column(
        name, kinds.LIST, nullable=nullable, accepts_null=nullable, children=(replace(item, name="item"),)
    )


def map_of(value: Column, name: str = "c", nullable: bool = True) -> Column:
    return Column(
        name, kinds.MAP, nullable=nullable, accepts_null=nullable, children=(replace(value, name="value"),)
    )


def struct_of(
    fields: Iterable[Column], name: str = "c", nullable: bool = True, kind: Kind = kinds.STRUCT
) -> Column:
    """A struct; its fields can be null if it can."""
    column = Column(name, kind, children=tuple(replace(f, name=f"f{i}") for i, f in enumerate(fields)))
    return replace(loosened(column), accepts_null=True) if nullable else column


def union_of(
    members: Iterable[tuple[str | int, Iterable[Column]]], name: str = "c", nullable: bool = True
) -> Column:
    children = tuple(
        loosened(replace(struct_of(fields, f"m{tag}", False), tag=tag, tag_field="kind"))
        for tag, fields in members
    )
    return Column(
        name, kinds.UNION, nullable=nullable, accepts_null=nullable, children=children, tag_field="kind"
    )


@st.composite
def columns(draw: st.DrawFn, depth: int = 4, name: str = "c") -> Column:
    """Any column, of at most `depth` levels."""
    nullable = draw(st.booleans())
    form = draw(st.sampled_from(["scalar", "list", "map", "struct", "union"] if depth > 1 else ["scalar"]))
    inner = columns(depth - 1)
    if form == "list":
        return list_of(draw(inner), name, nullable)
    if form == "map":
        return map_of(draw(inner), name, nullable)
    if form == "struct":
        kind = draw(st.sampled_from([kinds.STRUCT, kinds.TUPLE]))
        return struct_of(draw(st.lists(inner, min_size=1, max_size=3)), name, nullable, kind)
    if form == "union":
        tags = draw(st.sampled_from([("a", "bé"), (1, -7, 12), ("only",)]))
        return union_of([(tag, draw(st.lists(inner, max_size=2))) for tag in tags], name, nullable)
    return scalar_column(draw(st.sampled_from(list(SCALARS))), name, nullable, draw(st.booleans()))


def mirror(values: Iterable[Any], tag: object = None) -> SimpleNamespace:
    """What `rlfast.schema._reference` has of a struct."""
    attributes = {f"f{i}": value for i, value in enumerate(values)}
    return SimpleNamespace(**attributes, __struct_config__=SimpleNamespace(tag=tag))


def sample_of(draw: st.DrawFn, column: Column, some: bool = False) -> Sample:
    """A sample of any column; with `some` it is not null."""
    if not some and column.nullable and draw(st.integers(0, 3)) == 0:
        return None, None
    kind = column.kind
    if kind in SCALARS:
        sample: Sample = draw(SCALARS[kind].samples(column))
        return sample
    if kind is kinds.LIST:
        items = [sample_of(draw, column.children[0]) for _ in range(draw(st.integers(0, 3)))]
        return draw(st.sampled_from([list, tuple]))(pushed for pushed, _ in items), [
            held for _, held in items
        ]
    if kind is kinds.MAP:
        keys = draw(st.lists(TEXTS, max_size=3, unique=True))
        entries = {key: sample_of(draw, column.children[0]) for key in keys}
        return {key: pushed for key, (pushed, _) in entries.items()}, [
            (k, held) for k, (_, held) in entries.items()
        ]
    if kind is kinds.UNION:
        member = draw(st.sampled_from(column.children))
        fields = [sample_of(draw, child) for child in member.children]
        held = tuple(held for _, held in fields) if fields else None
        return mirror((pushed for pushed, _ in fields), member.tag), (member.tag, held)
    fields = [sample_of(draw, child) for child in column.children]
    form = draw(st.sampled_from([tuple, mirror]))
    return form([pushed for pushed, _ in fields]), tuple(held for _, held in fields)


@st.composite
def samples(draw: st.DrawFn, column: Column) -> Sample:
    return sample_of(draw, column)


@st.composite
def spoiled(draw: st.DrawFn, column: Column) -> Any:
    """What a column does not take, because of something as deep inside as it goes."""
    kind = column.kind
    if kind in SCALARS:
        bad = [*SCALARS[kind].refused, *(() if column.nullable else (None,))]
        if not bad:
            raise CannotSpoilError
        return draw(st.sampled_from(bad))
    if kind is kinds.UNION:
        for member in column.children:
            for i, child in enumerate(member.children):
                try:
                    bad = draw(spoiled(child))
                except CannotSpoilError:
                    continue
                values = [sample_of(draw, other)[0] for other in member.children]
                return mirror([*values[:i], bad, *values[i + 1 :]], member.tag)
        raise CannotSpoilError
    if kind.layout is Layout.CHILDREN:
        for i in draw(st.permutations(range(len(column.children)))):
            try:
                bad = draw(spoiled(column.children[i]))
            except CannotSpoilError:
                continue
            values = [sample_of(draw, other)[0] for other in column.children]
            return mirror([*values[:i], bad, *values[i + 1 :]])
        raise CannotSpoilError
    child = column.children[0]
    before = [sample_of(draw, child)[0] for _ in range(draw(st.integers(0, 2)))]
    if kind is kinds.MAP and draw(st.integers(0, 3)) == 0:
        return {**{str(i): value for i, value in enumerate(before)}, "\ud800": sample_of(draw, child)[0]}
    bad = [*before, draw(spoiled(child))]
    return bad if kind is kinds.LIST else {str(i): value for i, value in enumerate(bad)}


class CannotSpoilError(Exception):
    """A column takes all that there is."""


# -- Arrow arrays --------------------------------------------------------------------------------------------


def arrow_field(column: Column) -> pa.Field:
    return pa.field(column.name, arrow_type(column), column.nullable)


def arrow_type(column: Column) -> pa.DataType:
    kind = column.kind
    if kind in SCALARS:
        return SCALARS[kind].type(column)
    if kind is kinds.LIST:
        return pa.list_(arrow_field(column.children[0]))
    if kind is kinds.MAP:
        return pa.map_(pa.string(), arrow_field(column.children[0]))
    if kind is kinds.UNION:
        return pa.struct([tag_field(column), *(arrow_field(m) for m in column.children if m.children)])
    return pa.struct(map(arrow_field, column.children))


def tag_field(union: Column) -> pa.Field:
    text = isinstance(union.children[0].tag, str)
    type_ = pa.dictionary(pa.int32(), pa.string()) if text else pa.int64()
    return pa.field(union.tag_field, type_, union.nullable)


def bitmap(valid: list[bool]) -> pa.Buffer | None:
    return None if all(valid) else pa.array(valid, pa.bool_()).buffers()[1]


def dictionary_array(values: list[str | None], words: Iterable[str] = ()) -> pa.Array:
    codes: dict[str, int] = {word: i for i, word in enumerate(words)}
    found = [None if v is None else codes.setdefault(v, len(codes)) for v in values]
    return pa.DictionaryArray.from_arrays(pa.array(found, pa.int32()), pa.array(list(codes), pa.string()))


def expected_array(column: Column, held: list[Any]) -> pa.Array:
    """The array that holds these values."""
    kind = column.kind
    if kind in SCALARS:
        return scalar_array(column, held)
    valid = [value is not None for value in held]
    type_ = arrow_type(column)
    children: list[pa.Array]
    buffers = [bitmap(valid)]
    if kind.layout is Layout.OFFSETS:
        ends, items = [0], []
        for row in held:
            items += row or ()
            ends.append(len(items))
        buffers.append(pa.array(ends, pa.int32()).buffers()[1])
        if kind is kinds.LIST:
            children = [expected_array(column.children[0], items)]
        else:
            keys = pa.array([key for key, _ in items], pa.string())
            values = expected_array(column.children[0], [value for _, value in items])
            entries = pa.struct([type_.key_field, type_.item_field])
            children = [pa.Array.from_buffers(entries, len(items), [None], children=[keys, values])]
    elif kind is kinds.UNION:
        tags = [None if row is None else row[0] for row in held]
        text = isinstance(column.children[0].tag, str)
        words = [str(member.tag) for member in column.children]
        children = [dictionary_array(tags, words) if text else pa.array(tags, pa.int64())]
        children += [
            expected_array(member, [None if row is None or row[0] != member.tag else row[1] for row in held])
            for member in column.children
            if member.children
        ]
    else:
        children = [
            expected_array(child, [None if row is None else row[i] for row in held])
            for i, child in enumerate(column.children)
        ]
    return pa.Array.from_buffers(type_, len(held), buffers, children=children)


def scalar_array(column: Column, held: list[Any]) -> pa.Array:
    kind = column.kind
    if kind is kinds.CATEGORY:
        return dictionary_array(held, column.categories or ())
    scalar = SCALARS[kind]
    type_ = scalar.type(column)
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, pa.array(held, type_.storage_type))
    if pa.types.is_float32(type_):
        held = [None if value is None else float32(value) for value in held]
    return pa.array(held, type_) if scalar.storage is None else pa.array(held, scalar.storage).view(type_)


def plain_values(array: pa.Array) -> list[Any]:
    """The values of any array, comparable: floats as their bits, times as integers, structs as tuples.

    NaN equals itself then, 0.0 differs from -0.0, and no time is beyond Python's.
    """
    type_ = array.type
    values: list[Any]
    if isinstance(type_, pa.BaseExtensionType):
        return plain_values(array.storage)
    if pa.types.is_dictionary(type_):
        return plain_values(array.dictionary_decode())
    if pa.types.is_struct(type_):
        values = list(zip(*(plain_values(array.field(i)) for i in range(type_.num_fields)), strict=True))
    elif pa.types.is_list(type_) or pa.types.is_map(type_):
        items = plain_values(array.values)
        ends = array.offsets.to_pylist()
        values = [items[start:end] for start, end in pairwise(ends)]
    elif pa.types.is_float64(type_) or pa.types.is_float32(type_):
        form = "<d" if pa.types.is_float64(type_) else "<f"
        return [None if value is None else struct.pack(form, value) for value in array.to_pylist()]
    elif pa.types.is_temporal(type_):
        values = array.view(pa.int32() if type_.bit_width == 32 else pa.int64()).to_pylist()
    else:
        return array.to_pylist()  # type: ignore[no-any-return]
    return [
        value if there else None for value, there in zip(values, array.is_valid().to_pylist(), strict=True)
    ]


def assert_same(actual: pa.Array, expected: pa.Array) -> None:
    assert actual.type == expected.type
    assert actual.null_count == expected.null_count
    assert plain_values(actual) == plain_values(expected)
    check_nulls_inside(actual)


def check_nulls_inside(array: pa.Array) -> None:
    """Where a struct is null, so are its fields."""
    if isinstance(array.type, pa.BaseExtensionType):
        return
    if pa.types.is_list(array.type) or pa.types.is_map(array.type):
        check_nulls_inside(array.values)
    elif pa.types.is_struct(array.type):
        there = array.is_valid().to_pylist()
        for i in range(array.type.num_fields):
            field = array.field(i)
            assert field.offset == array.offset == 0
            inside = field.is_valid().to_pylist()
            assert not any(yes and not outside for yes, outside in zip(inside, there, strict=True))
            check_nulls_inside(field)
