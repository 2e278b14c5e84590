"""Random types of every shape that msgspec decodes, JSON for them, and what their columns must hold.

Each node is a type. It knows JSON for its values, what msgspec's object of it is in a column (`agrees`), whether that
has a place there (`fits`), and which fields of JSON it does not know (`unknown`). None of it uses `rlfast.schema` but for
the annotations that choose a column.
"""
# ruff: noqa: E501 (tables of JSON)

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import math
import random
import re
import struct
import uuid
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypeAlias, TypeVar, Union

import msgspec
from typing_extensions import NotRequired, TypedDict

from rlfast.schema import (
    CategoryStr,
    DateTimeNanos,
    DecimalText,
    EpochMicros,
    EpochMillis,
    EpochNanos,
    EpochSeconds,
    Float32,
    FloatText,
    Int8,
    Int16,
    Int32,
    Int64,
    IntText,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UUIDStr,
)

T = TypeVar("T")
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MICRO = datetime.timedelta(microseconds=1)
EXACT = decimal.Context(prec=1000, Emax=999_999, Emin=-999_999)


class Source:
    """Random choices that follow from a seed. Hypothesis' own draws would take most of the time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def flag(self) -> bool:
        return self._random.random() < 0.5

    def one_in(self, count: int) -> bool:
        return self._random.randrange(count) == 0

    def sample(self, choices: Sequence[T], count: int) -> list[T]:
        """Some of them, in any order."""
        return self._random.sample(choices, count)


# -- JSON as a tree that can be changed and written in many ways ---------------------------------------------


class Obj:
    """A JSON object: members as pairs of a name's JSON and a tree."""

    def __init__(self, members: list[tuple[str, Tree]]) -> None:
        self.members = members


class Arr:
    """A JSON array."""

    def __init__(self, items: list[Tree]) -> None:
        self.items = items


Tree: TypeAlias = "Obj | Arr | str"


class Style(NamedTuple):
    """How JSON is written."""

    comma: str = ","
    colon: str = ":"
    edge: str = ""


COMPACT = Style()
STYLES = (COMPACT, COMPACT, Style(", ", ": "), Style(" ,\n\t", " : ", " "), Style(",\r\n", ":", "\n"))


def write(tree: Tree, style: Style = COMPACT) -> str:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, Arr):
        parts, ends = [write(item, style) for item in tree.items], "[]"
    else:
        parts, ends = [name + style.colon + write(value, style) for name, value in tree.members], "{}"
    return ends[0] + style.edge + style.comma.join(parts) + style.edge + ends[1]


def places(tree: Tree) -> Iterator[Obj | Arr]:
    """All objects and arrays in a tree."""
    if isinstance(tree, str):
        return
    yield tree
    for inner in tree.items if isinstance(tree, Arr) else [value for _, value in tree.members]:
        yield from places(inner)


# -- nodes ---------------------------------------------------------------------------------------------------


class Node:
    """A type.

    Attributes:
        annotation: the type itself.
        general: whether it may always be left to msgspec.
        mutable: whether msgspec refuses its objects as defaults.
    """

    annotation: Any
    general = False
    mutable = False

    def tree(self, source: Source, plain: bool = True) -> Tree:
        """JSON of a value: with `plain` as the compiled decoder takes it, else in any valid form, or valid to msgspec only."""
        raise NotImplementedError

    def fits(self, value: Any) -> bool:
        """Whether msgspec's object has a place in the column."""
        raise NotImplementedError

    def agrees(self, value: Any, held: Any) -> bool:
        """Whether the column holds msgspec's object; see `core.oracle.plain_values`."""
        raise NotImplementedError

    def unknown(self, plain: Any, path: str) -> Iterator[tuple[str, Any]]:
        """Fields that the type does not know, by JSON Pointer."""
        return iter(())


@dataclasses.dataclass
class Scalar(Node):
    """A type whose values have no others inside.

    Attributes:
        plain: JSON that the compiled decoder takes.
        odd: other JSON that msgspec takes.
        misfits: JSON that msgspec takes, and the column does not.
        to_held: msgspec's object -> what the column holds; raises ValueError for what has no place.
    """

    annotation: Any
    plain: tuple[str, ...]
    to_held: Callable[[Any], Any]
    odd: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    general: bool = False
    same: Callable[[Any, Any], bool] = lambda a, b: type(a) is type(b) and a == b
    mutable: bool = False
    is_json: bool = False

    def tree(self, source: Source, plain: bool = True) -> Tree:
        if plain or source.integer(0, 3):
            return source.pick(self.plain)
        return source.pick(self.plain + self.odd + self.misfits)

    def fits(self, value: Any) -> bool:
        try:
            self.to_held(value)
        except (ValueError, OverflowError):
            return False
        return True

    def agrees(self, value: Any, held: Any) -> bool:
        return self.same(self.to_held(value), held)


def quoted(*texts: str) -> tuple[str, ...]:
    return tuple(json.dumps(text, ensure_ascii=False) for text in texts)


def duration(value: datetime.timedelta) -> int:
    return SIGNED(value // MICRO)


def within(low: int, high: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError
        return int(value)

    return check


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def bits32(value: float) -> bytes:
    return struct.pack("<f", value)


def uuid_bytes(value: str) -> bytes:
    if re.fullmatch(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is None:
        raise ValueError
    return uuid.UUID(value).bytes


NUMBER = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE
)


def float_of_text(value: str) -> bytes:
    if NUMBER.fullmatch(value) is None:
        raise ValueError
    return bits(float(value))


def int_of_text(value: str) -> int:
    if re.fullmatch("[+-]?[0-9]+", value) is None:
        raise ValueError
    return within(-(2**63), 2**63 - 1)(int(value))


def epoch(most: int) -> Callable[[float | str], int]:
    def check(value: float | str) -> int:
        if isinstance(value, str) and NUMBER.fullmatch(value) is None:
            raise ValueError
        number = decimal.Decimal(value)
        if not number.is_finite():
            raise ValueError
        return within(-most, most)(math.floor(number))

    return check


def fixed_decimal(precision: int, scale: int) -> Callable[[decimal.Decimal], decimal.Decimal]:
    def check(value: decimal.Decimal) -> decimal.Decimal:
        if not value.is_finite():
            raise ValueError
        scaled = value.scaleb(scale, EXACT)
        if scaled != scaled.to_integral_value() or abs(scaled) >= 10**precision:
            raise ValueError
        return value

    return check


def same_decimal(value: decimal.Decimal, held: Any) -> bool:
    held = decimal.Decimal(held)
    return (value.is_nan() and held.is_nan()) or value == held


def micros(value: datetime.datetime) -> int:
    # What has no time zone is taken for UTC.
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH) // MICRO


def nanos(value: datetime.datetime) -> int:
    """Less what a datetime does not have."""
    return within(-(2**63) // 1000 + 1, 2**63 // 1000 - 1)(micros(value))


def micros_of_day(value: datetime.time) -> int:
    whole = datetime.datetime.combine(datetime.date(1970, 1, 2), value)
    return micros(whole) % 86_400_000_000


def same_json(value: Any, held: Any) -> bool:
    if held is None:
        return value is None or (isinstance(value, msgspec.Raw) and bytes(value) == b"null")
    if isinstance(value, msgspec.Raw):
        return bytes(value) == held.encode()
    return same_plain(value, json.loads(held))


def same_plain(value: Any, other: Any) -> bool:
    """Python objects against plain JSON."""
    return value == other or json.loads(msgspec.json.encode(value)) == other


class Colour(enum.Enum):
    RED = "red"
    GREEN = "grün"
    NONE = ""


class Level(enum.IntEnum):
    LOW = 1
    HIGH = -70000


class Rank(enum.Enum):
    FIRST = 1
    SECOND = 2


class Lenient(enum.Enum):
    A = "a"
    B = "b"

    @classmethod
    def _missing_(cls, value: object) -> Lenient | None:
        return cls.A if value == "alpha" else None


def value_of(member: Any) -> Any:
    return member.value if isinstance(member, enum.Enum) else member


def meta(**limits: Any) -> Any:
    return msgspec.Meta(**limits)


A, B = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11", "8E5A3C2B-09D4-4A57-9A35-3B0B7F0D2E22"
INTS = ("0", "1", "-1", "7", "-9223372036854775808", "9223372036854775807", "42")
SIGNED = within(-(2**63), 2**63 - 1)
UNSIGNED = within(0, 2**64 - 1)
WIDE = ("9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 40)
FLOATS = ("0", "-0.0", "0.5", "-2", "1e3", "1E-7", "0.30000000000000004", "123456789012345678")
TEXTS = (
    '""', '"a"', '"é"', '"🙂"', '"a b"', '"' + "z" * 70 + '"', '"\\n"', '"\\u00e9"', '"\\ud83d\\ude42"', '"\\"\\\\"',
    '"red"', '"2026"', '"null"', '"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"',
)  # fmt: skip
TIMES = quoted(
    "2026-01-01T00:00:00Z", "2026-02-28T23:59:59.123456Z", "2024-02-29T12:00:00.5+01:30", "1969-12-31T23:59:59.999999-00:01",
    "2026-12-31t23:59:59z", "2026-01-01T00:00:00.123456789Z", "2000-01-01T00:00:00.9999995Z", "2026-01-01 00:00:00+23:59",
)  # fmt: skip
NAIVE = quoted(
    "2026-01-01T00:00:00", "1999-12-31T23:59:59.5", "2026-01-01 10:00:00.1234564", "1969-06-30T00:00:00"
)
FAR = quoted("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1677-01-01T00:00:00Z", "2262-12-31T00:00:00Z")
EPOCHS = ("0", "1767225600", "-1", "1767225600000", '"1767225600"', "1.0", '"12.75"', "1767225600.25", '"-5"')
ODD_EPOCHS = ("-1.5", '"-0.5"', "1e3", '"1e3"', '"+7"', '".5"', '"-0.0"', "1.5E1")
NO_EPOCHS = ('"x"', '""', "9223372036854775808", '"nan"', "1e30", '" 1"', '"1_0"', '"-Infinity"')
DECIMALS = ("0", "1.50", "-0.01", '"12.5"', '"-3"', '"0.00"', "100")
ODD_DECIMALS = ("1e2", '"1E+2"', '"+5"', '".5"', '"5."', "1.25e1", '" 5"', '"1_0"')
BYTES = quoted("", "AA==", "AAE=", "AAEC", "/+8=", "YWJjZGVmZ2hpamtsbW5vcA==")
ANYTHING = (
    "1", "-1.5", '"x"', "true", "null", "[]", "{}", '[1,"a",null]', '{"a":{"b":[1]}}', '"\\u00e9"', "1e5", "-0", '{"":""}',
)  # fmt: skip
ODD_ANYTHING = (
    '{"a":1,"a":2}',
    "[ 1 , 2 ]",
    '{ "a" : 1 }',
    "[" * 40 + "]" * 40,
    "123456789012345678901234567890",
)


def json_node(annotation: Any, *plain: str, odd: tuple[str, ...] = (), mutable: bool = False) -> Scalar:
    return Scalar(
        annotation, plain, lambda value: value, odd=odd, same=same_json, mutable=mutable, is_json=True
    )


def checked(annotation: Any, *plain: str, odd: tuple[str, ...] = (), mutable: bool = False) -> Scalar:
    """What becomes JSON text, but is looked at first."""
    decode = msgspec.json.Decoder(annotation).decode

    def same(value: Any, held: str | None) -> bool:
        return value is None if held is None else value == decode(held)

    return Scalar(annotation, plain, lambda value: value, odd=odd, same=same, mutable=mutable, is_json=True)


class Status(msgspec.Struct):
    code: int = 0
    labels: dict[str, str] = {}


class Going(msgspec.Struct, tag="going"):
    way: list[Status]


class Gone(msgspec.Struct, tag="gone", forbid_unknown_fields=True):
    pass


def integer(annotation: Any, low: int, high: int, *plain: str) -> Scalar:
    odd = tuple(str(edge) for edge in (low, high)) if not plain else ()
    return Scalar(annotation, plain or ("0", "1", "7", str(low), str(high)), within(low, high), odd=odd)


SCALARS: tuple[Scalar, ...] = (
    Scalar(int, INTS, SIGNED, misfits=WIDE),
    Scalar(Int64, INTS, SIGNED),
    integer(Int32, -(2**31), 2**31 - 1),
    integer(Int16, -(2**15), 2**15 - 1),
    integer(Int8, -(2**7), 2**7 - 1),
    Scalar(UInt64, ("0", "7", "9999999999999999999"), within(0, 2**64 - 1), odd=(str(2**64 - 1),), misfits=(str(2**64),)),
    integer(UInt32, 0, 2**32 - 1),
    integer(UInt16, 0, 2**16 - 1),
    integer(UInt8, 0, 2**8 - 1),
    Scalar(Annotated[int, meta(ge=0)], ("0", "5", "9999999999999999999"), UNSIGNED, odd=("18446744073709551615",), misfits=("18446744073709551616",)),
    Scalar(Annotated[int, meta(gt=-3, lt=9)], ("-2", "8"), SIGNED),
    Scalar(Annotated[int, meta(ge=5)], ("5", "9223372036854775808"), UNSIGNED),
    Scalar(Annotated[int, meta(multiple_of=3)], ("3", "-9"), SIGNED),
    Scalar(Annotated[int, meta(ge=0, multiple_of=7)], ("7", "9223372036854775814", "0"), UNSIGNED),
    Scalar(float, FLOATS, bits, odd=("9007199254740993", "1" * 30, "1e308", "5e-324")),
    Scalar(Annotated[float, meta(gt=0, le=1)], ("0.5", "1"), bits, odd=("5e-324",)),
    Scalar(Float32, ("0.5", "0.1", "-2", "1e-50", "3e38", "16777217"), bits32, odd=("3.402e38",), misfits=("1e39",)),
    Scalar(bool, ("true", "false"), bool),
    Scalar(str, TEXTS, str),
    Scalar(Annotated[str, meta(min_length=1, max_length=3)], ('"ab"', '"é🙂"', '"\\u00e9"'), str),
    Scalar(Annotated[str, meta(pattern="^a")], ('"a"', '"ab"'), str, general=True),
    Scalar(UUIDStr, quoted(A, B), uuid_bytes, odd=quoted(A.replace("-", "")), misfits=quoted("", "x", A[:-1], "{" + A + "}")),
    Scalar(uuid.UUID, quoted(A, B), lambda value: value.bytes, odd=quoted(A.replace("-", ""))),
    Scalar(Literal["a", "é", ""], quoted("a", "é", ""), str),
    Scalar(Literal[1, -7, 2**40], ("1", "-7", str(2**40)), int),
    checked(Literal["a", 1], '"a"', "1"),
    Scalar(Colour, quoted("red", "grün", ""), value_of),
    Scalar(Level, ("1", "-70000"), lambda value: int(value.value)),
    Scalar(Rank, ("1", "2"), value_of),
    Scalar(Lenient, quoted("a", "b"), value_of, odd=quoted("alpha"), general=True),
    Scalar(CategoryStr, TEXTS, str),
    Scalar(FloatText, quoted("0.0010", "1", "-5e3", "0"), float_of_text, odd=quoted("inf", "nan", "+1", ".5", "1."), misfits=quoted("", "x", " 1", "1_0", "0x1")),
    Scalar(IntText, quoted("42", "-7", "0"), int_of_text, odd=quoted("+5", "007"), misfits=quoted("", "1.0", "9223372036854775808", " 1")),
    Scalar(decimal.Decimal, (*DECIMALS, "1e5", '"1E-7"'), lambda value: value, odd=(*ODD_DECIMALS, '"nan"', '"-Infinity"'), same=same_decimal),
    Scalar(DecimalText(10, 2), DECIMALS, fixed_decimal(10, 2), odd=ODD_DECIMALS, misfits=("0.001", "100000000", '"nan"'), same=same_decimal),
    Scalar(DecimalText(76, 38), (*DECIMALS, "0." + "1" * 38), fixed_decimal(76, 38), odd=ODD_DECIMALS, misfits=('"1e-39"', "1" * 39), same=same_decimal),
    Scalar(datetime.datetime, TIMES[:4] + NAIVE[:1], micros, odd=TIMES + NAIVE + FAR),
    Scalar(Annotated[datetime.datetime, meta(tz=True)], TIMES[:4], micros, odd=TIMES + FAR),
    Scalar(Annotated[datetime.datetime, meta(tz=False)], NAIVE, micros),
    Scalar(DateTimeNanos, TIMES[:3], nanos, odd=TIMES + NAIVE, misfits=FAR, same=lambda value, held: abs(held - value * 1000) <= 1000),
    Scalar(datetime.date, quoted("2026-01-01", "2024-02-29", "1969-12-31", "0001-01-01", "9999-12-31"), lambda value: (value - datetime.date(1970, 1, 1)).days),
    Scalar(datetime.time, quoted("00:00:00", "23:59:59.5", "12:00:00Z"), micros_of_day, odd=quoted("00:30:00+01:00", "23:00:00-05:30", "12:00:00.1234567")),
    Scalar(Annotated[datetime.time, meta(tz=True)], quoted("12:00:00Z", "23:30:00-05:30"), micros_of_day),
    Scalar(Annotated[datetime.time, meta(tz=False)], quoted("12:00:00", "23:59:59.5"), micros_of_day),
    Scalar(Annotated[float, meta(multiple_of=0.5)], ("0.5", "-2"), bits, general=True),
    Scalar(datetime.timedelta, quoted("PT1S", "P1D", "-PT0.5S", "P7DT23H59M59.999999S", "+p1dt1s", "PT99999999H"), duration, odd=quoted("P1.5D", "PT1.1234565S", "PT999999999999S"), misfits=quoted("P999999999D")),
    *(Scalar(type_, EPOCHS, epoch(most), odd=(*ODD_EPOCHS, str(most), str(-most)), misfits=(*NO_EPOCHS, str(most + 1), f'"-{most + 1}.0"'))
      for type_, most in ((EpochSeconds, 9_223_372_036_854), (EpochMillis, 9_223_372_036_854_775))),
    *(Scalar(type_, EPOCHS, epoch(2**63 - 1), odd=ODD_EPOCHS, misfits=NO_EPOCHS) for type_ in (EpochMicros, EpochNanos)),
    Scalar(bytes, BYTES, bytes),
    Scalar(bytearray, BYTES, bytes, mutable=True),
    Scalar(Annotated[bytes, meta(min_length=1, max_length=3)], BYTES[1:4], bytes),
    json_node(Any, *ANYTHING, odd=ODD_ANYTHING, mutable=True),
    json_node(msgspec.Raw, *ANYTHING, odd=ODD_ANYTHING, mutable=True),
    json_node(dict, "{}", '{"a":[1]}', odd=('{"a":1,"a":2}',), mutable=True),
    json_node(list, "[]", '[1,"a"]', mutable=True),
    json_node(int | str, "1", '"x"', odd=("1" * 30,)),
    json_node(int | str | None, "1", '"x"', "null"),
    Scalar(float | bool, ("1", "0.5", "true"), lambda value: value, same=lambda value, held: value == float(json.loads(held))),
    checked(datetime.date | int, "1", '"2026-01-01"'),
    checked(Annotated[str, meta(max_length=2)] | int, "1", '"ab"', '""'),
    checked(Annotated[int, meta(ge=3)] | str, "3", '"ab"', odd=("9223372036854775808",)),
    checked(Annotated[float, meta(le=1)] | str | None, "1", "-0.5", '"ab"', "null"),
    checked(Annotated[int, meta(ge=3)] | float, "3", odd=("1.5", "1")),
    checked(int | Annotated[float, meta(le=1)], "3", odd=("1.5", "0.5")),
    checked(Literal[1, 2] | float, "1", odd=("1.5",)),
    checked(Literal[1, 2] | datetime.timedelta, "1", '"PT1S"'),
    checked(Literal["x", 2] | None | bool, '"x"', "2", "null", "true"),
    checked(Colour | int, '"red"', "-3", odd=('"\\u0072ed"',)),
    checked(Annotated[int | str, msgspec.Meta(extra={"a": 1})] | None, "1", '"x"', "null"),
    checked(dict[str, int] | str | None, '{"a":1,"b":-2}', "{}", '"x"', "null", odd=('{"a":1,"a":2}', '{"a":' + "9" * 30 + "}"), mutable=True),
    checked(list[float] | float, "[1,2.5]", "[]", "0.5", mutable=True),
    checked(Status | str, '"x"', '{"code":5,"labels":{"a":"b"}}', "{}", '{"code":1,"new":[{}]}', odd=('{"new":1,"new":2}',), mutable=True),
    checked(Going | Gone | list[Status] | int, '{"type":"going","way":[{"code":1},{}]}', '{"type":"gone"}', "[{}]", "1", odd=('{"way":[],"type":"going"}',), mutable=True),
    checked(set[str] | dict[str, list[int | str]], '["a","a"]', '{"a":[1,"x"]}', "{}", mutable=True),
    checked(tuple[int, str] | str, '[1,"a"]', '"x"', mutable=True),
    Scalar(dict[int, str], ("{}", '{"1":"a"}'), lambda value: value, same=same_json, general=True, mutable=True),
)  # fmt: skip


class OptionalNode(Node):
    def __init__(self, inner: Node) -> None:
        self.inner = inner
        self.annotation = Optional[inner.annotation]  # noqa: UP045 (of no class)
        self.general = inner.general
        self.mutable = inner.mutable

    def tree(self, source: Source, plain: bool = True) -> Tree:
        return "null" if source.one_in(3) else self.inner.tree(source, plain)

    def fits(self, value: Any) -> bool:
        return value is None or self.inner.fits(value)

    def agrees(self, value: Any, held: Any) -> bool:
        return held is None if value is None else self.inner.agrees(value, held)

    def unknown(self, plain: Any, path: str) -> Iterator[tuple[str, Any]]:
        return iter(()) if plain is None else self.inner.unknown(plain, path)


class ListNode(Node):
    mutable = True

    def __init__(self, item: Node, make: Callable[[Any], Any], low: int = 0, high: int = 3) -> None:
        self.item = item
        self.low, self.high = low, high
        bounds = {"min_length": low or None, "max_length": None if high == 3 else high}
        bounds = {name: bound for name, bound in bounds.items() if bound is not None}
        self.annotation = (
            Annotated[make(item.annotation), meta(**bounds)] if bounds else make(item.annotation)
        )
        self.is_set = make in SETS
        self.general = item.general or (self.is_set and low > 1)

    def tree(self, source: Source, plain: bool = True) -> Tree:
        count = source.integer(self.low, self.high)
        items = [self.item.tree(source, plain) for _ in range(count)]
        if self.is_set:
            # Items that are equal count once.
            items = list(dict.fromkeys(map(write, items)))
        return Arr(items)

    def fits(self, value: Any) -> bool:
        return all(map(self.item.fits, value))

    def agrees(self, value: Any, held: Any) -> bool:
        if self.is_set:
            return all(any(self.item.agrees(v, h) for h in held) for v in value) and all(
                any(self.item.agrees(v, h) for v in value) for h in held
            )
        return len(value) == len(held) and all(map(self.item.agrees, value, held))

    def unknown(self, plain: Any, path: str) -> Iterator[tuple[str, Any]]:
        for i, item in enumerate(plain):
            yield from self.item.unknown(item, f"{path}/{i}")


def list_of(item: Any) -> Any:
    return list[item]


def tuple_of(item: Any) -> Any:
    return tuple[item, ...]


def set_of(item: Any) -> Any:
    return set[item]


def frozenset_of(item: Any) -> Any:
    return frozenset[item]


SETS = (set_of, frozenset_of)
IN_SETS = tuple(
    scalar
    for scalar in SCALARS
    if not scalar.mutable and not scalar.general and scalar.annotation not in (float, Float32, decimal.Decimal)
    and scalar.same is not same_decimal and not scalar.is_json and scalar.same is not same_json
)  # fmt: skip


class MapNode(Node):
    mutable = True

    def __init__(self, value: Node, key: Any = str, high: int = 3) -> None:
        self.value = value
        self.annotation = dict[key, value.annotation]  # type: ignore[valid-type]
        self.general = value.general or key is not str
        self.high = high

    def tree(self, source: Source, plain: bool = True) -> Tree:
        keys = source.sample(KEYS, source.integer(0, self.high))
        return Obj([(key, self.value.tree(source, plain)) for key in keys])

    def fits(self, value: Any) -> bool:
        return all(map(self.value.fits, value.values()))

    def agrees(self, value: Any, held: Any) -> bool:
        return (
            len(held) == len(value)
            and list(value) == [key for key, _ in held]
            and all(map(self.value.agrees, value.values(), [item for _, item in held]))
        )

    def unknown(self, plain: Any, path: str) -> Iterator[tuple[str, Any]]:
        for key, item in plain.items():
            yield from self.value.unknown(item, f"{path}/{pointer(key)}")


KEYS = ('"a"', '""', '"é"', '"a/b~c"', '"' + "k" * 40 + '"', '"0"', '"kind"')


def pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


@dataclasses.dataclass
class FieldNode:
    """A field: its attribute, its name in JSON, its type, and its default, if it has one.

    `default` takes none and returns an object, as msgspec makes one where the field is absent.
    """

    attribute: str
    name: str
    node: Node
    default: Callable[[], Any] | None = None
    spec: Any = None


class StructNode(Node):
    """A struct, dataclass, TypedDict, NamedTuple or tuple."""

    mutable = True

    @property
    def table(self) -> str:
        """Name of the table of such messages."""
        if self.form == "tuple":
            return "value"
        return self.annotation.__name__ if self.tag is None else str(self.tag)

    def __init__(
        self,
        annotation: Any,
        fields: list[FieldNode],
        *,
        form: str = "struct",
        tag_field: str | None = None,
        tag: Any = None,
        keeps: bool = True,
    ) -> None:
        self.annotation = annotation
        self.fields = fields
        self.form = form
        self.tag_field, self.tag = tag_field, tag
        self.keeps = keeps
        self.in_union = False
        self.is_array = form in ("array", "namedtuple", "tuple")
        self.general = any(field.node.general for field in fields)

    def tree(self, source: Source, plain: bool = True) -> Tree:
        present = [f for f in self.fields if f.default is None or source.flag()]
        if self.is_array:
            # Only the last ones can be absent.
            count = len(self.fields)
            while count and self.fields[count - 1].default is not None and source.flag():
                count -= 1
            items = [field.node.tree(source, plain) for field in self.fields[:count]]
            return Arr([json.dumps(self.tag, ensure_ascii=False), *items] if self.tag is not None else items)
        members = [
            (json.dumps(field.name, ensure_ascii=False), field.node.tree(source, plain)) for field in present
        ]
        if self.tag is not None:
            tag = (json.dumps(self.tag_field, ensure_ascii=False), json.dumps(self.tag, ensure_ascii=False))
            members.insert(source.pick([0, 0, len(members)]), tag)
        return Obj(members)

    def values(self, value: Any) -> Iterator[tuple[FieldNode, Any]]:
        for i, field in enumerate(self.fields):
            if self.form == "tuple":
                yield field, value[i]
            elif self.form == "typeddict":
                yield field, value.get(field.attribute)
            else:
                yield field, getattr(value, field.attribute)

    def fits(self, value: Any) -> bool:
        return all(
            is_absent(field.node, inner) or field.node.fits(inner) for field, inner in self.values(value)
        )

    def agrees(self, value: Any, held: Any) -> bool:
        if isinstance(held, str):
            # Without fields it is JSON text, but at the top.
            return not self.fields and isinstance(json.loads(held), list if self.is_array else dict)
        return all(
            column is None if is_absent(field.node, inner) else field.node.agrees(inner, column)
            for (field, inner), column in zip(self.values(value), held, strict=True)
        )

    def unknown(self, plain: Any, path: str) -> Iterator[tuple[str, Any]]:
        if not self.fields and path and not self.in_union:
            return  # JSON text keeps everything
        if self.is_array:
            first = int(self.tag is not None)
            for i, item in enumerate(plain[first:]):
                here = f"{path}/{i + first}"
                if i < len(self.fields):
                    yield from self.fields[i].node.unknown(item, here)
                else:
                    yield here, item
            return
        known = {field.name: field.node for field in self.fields}
        for name, item in plain.items():
            if name in known:
                yield from known[name].unknown(item, f"{path}/{pointer(name)}")
            elif name != self.tag_field:
                yield (f"{path}/{pointer(name)}" if path or name.startswith("/") else name), item


class ValueNode(StructNode):
    """A message that is no struct: a row of one column."""

    table = "value"

    def __init__(self, node: Node) -> None:
        super().__init__(node.annotation, [FieldNode("value", "value", node)], form="value", keeps=False)
        self.tree = node.tree  # type: ignore[method-assign]
        self.unknown = node.unknown  # type: ignore[method-assign]

    def values(self, value: Any) -> Iterator[tuple[FieldNode, Any]]:
        yield self.fields[0], value


def is_absent(node: Node, value: Any) -> bool:
    """Whether an attribute holds nothing that JSON could have had there."""
    return value is msgspec.UNSET or (value is None and not takes_none(node))


def takes_none(node: Node) -> bool:
    return isinstance(node, Scalar) and node.is_json


class UnionNode(Node):
    """A tagged union of structs."""

    mutable = True

    def __init__(self, members: list[StructNode]) -> None:
        self.members = members
        for member in members:
            member.in_union = True
        self.annotation = Union[tuple(member.annotation for member in members)]  # noqa: UP007
        self.general = any(member.general for member in members)

    def tree(self, source: Source, plain: bool = True) -> Tree:
        return source.pick(self.members).tree(source, plain)

    def member(self, value: Any) -> StructNode:
        return next(member for member in self.members if type(value) is member.annotation)

    def fits(self, value: Any) -> bool:
        return self.member(value).fits(value)

    def agrees(self, value: Any, held: Any) -> bool:
        found = self.member(value)
        columns = iter(held[1:])
        if held[0] != found.tag or type(held[0]) is not type(found.tag):
            return False
        for member in self.members:
            if not member.fields:
                continue
            column = next(columns)
            if not (column is None if member is not found else member.agrees(value, column)):
                return False
        return next(columns, self) is self

    def unknown(self, plain: Any, path: str) -> Iterator[tuple[str, Any]]:
        first = self.members[0]
        tag = plain[0] if first.is_array else plain[first.tag_field]
        return next(member for member in self.members if member.tag == tag).unknown(plain, path)


# -- random ones ---------------------------------------------------------------------------------------------

numbers = itertools.count()
NAMES = ("a", "b", "ab", "é", "x y", "k" * 28, "k" * 29, "k" * 40, "type_", "0", "/n", "m~", "kind2")


def nodes(source: Source, depth: int = 3) -> Node:
    """Any type, of at most `depth` levels."""
    forms = ["scalar", "scalar"]
    if depth > 1:
        forms += ["list", "set", "map", "struct", "struct", "union", "tuple"]
    form = source.pick(forms)
    node: Node
    if form == "list":
        make = source.pick([list_of, list_of, tuple_of])
        node = ListNode(nodes(source, depth - 1), make, *source.pick([(0, 3), (0, 3), (1, 2)]))
    elif form == "set":
        make = source.pick(SETS)
        node = ListNode(source.pick(IN_SETS), make, *source.pick([(0, 3), (0, 3), (0, 2), (1, 2), (2, 3)]))
    elif form == "map":
        key = source.pick([str, str, str, Annotated[str, meta(max_length=50)]])
        node = MapNode(nodes(source, depth - 1), key)
    elif form == "struct":
        node = struct_nodes(source, depth)
    elif form == "union":
        node = union_nodes(source, depth)
    elif form == "tuple":
        items = [nodes(source, depth - 1) for _ in range(source.integer(1, 3))]
        fields = [FieldNode(f"f{i}", f"f{i}", item) for i, item in enumerate(items)]
        node = StructNode(tuple[tuple(item.annotation for item in items)], fields, form="tuple", keeps=False)  # type: ignore[misc]
    else:
        node = source.pick(SCALARS)
    if source.one_in(4) and not takes_none(node):
        return OptionalNode(node)
    return node


def draw_default(source: Source, node: Node) -> tuple[Callable[[], Any] | None, Any]:
    """The default of a field, and what makes msgspec have it."""
    form = source.pick(["none", "required", "required", "value", "factory", "unset"])
    if form == "required":
        return None, None
    if form == "none":
        return (lambda: None), msgspec.field(default=None)
    if form == "unset":
        return (lambda: msgspec.UNSET), msgspec.UNSET
    for kind, make in ((ListNode, list), (MapNode, dict)):
        if isinstance(node, kind) and node.annotation == getattr(node.annotation, "__origin__", None):
            return make, msgspec.field(default_factory=make)
    text = write(node.tree(source, source.flag()))
    decoder = msgspec.json.Decoder(node.annotation)
    try:
        default = decoder.decode(text)
    except msgspec.ValidationError:
        return None, None
    if form == "value" and not node.mutable:
        return (lambda: default), msgspec.field(default=default)
    return (lambda: decoder.decode(text)), msgspec.field(default_factory=lambda: decoder.decode(text))


def struct_nodes(
    source: Source,
    depth: int,
    tag_field: str | None = None,
    tag: Any = None,
    array: bool | None = None,
    forms: tuple[str, ...] = ("struct", "struct", "array", "dataclass", "typeddict", "namedtuple"),
) -> StructNode:
    form = source.pick(forms) if array is None else "array" if array else "struct"
    if tag is None and form in ("struct", "array") and source.one_in(6):
        tag_field, tag = "t", source.pick(["x", "é", 5])
    names = source.sample(NAMES, source.integer(int(tag is None), 4))
    fields = []
    for i, name in enumerate(names):
        default, spec = None, None
        node = nodes(source, depth - 1)
        while form == "typeddict" and isinstance(node, Scalar) and node.annotation is msgspec.Raw:
            node = nodes(source, depth - 1)  # which msgspec cannot decode there
        if form in ("struct", "array"):
            default, spec = draw_default(source, node)
        fields.append(FieldNode(f"attribute{i}", name, node, default, spec))
    class_name = f"S{next(numbers)}"
    if form in ("struct", "array"):
        forbid = source.one_in(5)
        annotation: Any = msgspec.defstruct(
            class_name,
            [field_definition(field) for field in fields],
            tag=tag,
            tag_field=tag_field,
            rename={field.attribute: field.name for field in fields},
            kw_only=True,
            array_like=form == "array",
            forbid_unknown_fields=forbid,
            frozen=source.flag(),
            namespace={"__post_init__": _refuse_long} if (hooked := source.one_in(12)) else {},
        )
        node = StructNode(annotation, fields, form=form, tag_field=tag_field, tag=tag, keeps=not forbid)
        node.general = node.general or hooked
        return node
    for field in fields:
        field.name = field.attribute
    if form == "dataclass":
        annotation = dataclasses.make_dataclass(
            class_name, [(f.attribute, f.node.annotation) for f in fields]
        )
    elif form == "namedtuple":
        annotation = namedtuple(  # noqa: PYI024
            class_name, [f.attribute for f in fields]
        )  # type: ignore[misc]
        annotation.__annotations__ = {f.attribute: f.node.annotation for f in fields}
        return StructNode(annotation, fields, form=form, keeps=False)
    else:
        keys = {}
        for field in fields:
            keys[field.attribute] = field.node.annotation
            if source.flag():
                keys[field.attribute] = NotRequired[field.node.annotation]
                field.default = lambda: None
        annotation = TypedDict(class_name, keys)  # type: ignore[misc]
    return StructNode(annotation, fields, form=form)


def _refuse_long(self: Any) -> None:
    """A hook of a struct: only msgspec can say what is valid."""
    for name in self.__struct_fields__:
        value = getattr(self, name)
        if isinstance(value, str) and len(value) > 3:
            raise ValueError("too long for this struct")


def field_definition(field: FieldNode) -> tuple[Any, ...]:
    type_ = field.node.annotation
    if field.spec is None:
        return field.attribute, type_
    if field.spec is msgspec.UNSET:
        return field.attribute, Union[type_, msgspec.UnsetType], msgspec.UNSET  # noqa: UP007
    return field.attribute, type_, field.spec


def union_nodes(source: Source, depth: int) -> UnionNode:
    tags = source.pick([("a", "ab", "é"), ("goal_one", "goal_two"), (1, 12, -7), (0, 123456)])
    field = source.pick(["type", "kind", "é!", "t" * 40])
    array = source.one_in(4)
    return UnionNode([struct_nodes(source, depth - 1, field, tag, array) for tag in tags])


def events(source: Source, depth: int = 3) -> StructNode | UnionNode:
    """What has tables of its own, also as item of an array: a struct of any sort, or a union."""
    if source.one_in(4):
        return union_nodes(source, depth)
    return struct_nodes(source, depth)


def roots(source: Source, depth: int = 3) -> StructNode | UnionNode:
    """What a message may be, but an array of events."""
    node = nodes(source, depth) if source.one_in(3) else events(source, depth)
    core = node.inner if isinstance(node, OptionalNode) else node
    if isinstance(core, (StructNode, UnionNode)):
        return core
    if isinstance(core, ListNode) and not core.is_set and has_tables(core.item):
        return roots(source, depth)
    return ValueNode(node)


def has_tables(node: Node) -> bool:
    """Whether messages that are arrays of it are split."""
    core = node.inner if isinstance(node, OptionalNode) else node
    return isinstance(core, UnionNode) or (isinstance(core, StructNode) and core.form != "tuple")


RAW = (
    "null", "true", "false", "0", "-1", "1.5", "1e400", "-0", "01", "NaN", "9223372036854775808", "-9223372036854775809", '""', '"a"',
    '"\\ud800"', '"\\x"', '"no uuid"', '"2026-13-01"', '"2026-01-01T00:00:60Z"', '"2026-01-01"', '"AA=A"', '"AA"', "[]", "{}", "[1]", '{"a":1}',
    "[null]", '{"a":null}', "", "nul", '"1e400"', '"0x10"', '{"kind":"a"}', '["a"]', "1e5", "-1e-5", "100000000000000000000000.5",
    '"9999-12-31T23:59:59.9999999Z"', '"0001-01-01T00:00:00+10:00"', '"24:00:00"', '"PT1S"', "0.1e1", "[[[[[]]]]]", '"\\u0000"',
)  # fmt: skip


def payloads(source: Source, root: Node) -> bytes:
    """JSON of a type: valid, odd, nearly valid or damaged."""
    tree = root.tree(source, source.flag())
    for _ in range(source.pick([0, 0, 1, 1, 2, 3])):
        place = source.pick([*places(tree), Obj([])])
        change_place(source, place)
    raw = write(tree, source.pick(STYLES)).encode("utf-8", "surrogatepass")
    damage = source.integer(0, 19)
    if damage == 0:
        at = source.integer(0, len(raw))
        middle = source.pick([b"", b'"', b"\xff", b"\\", b"}", b"\0", b"{", b",", b"]", b"["])
        raw = raw[:at] + middle + raw[at + source.integer(0, 1) :]
    elif damage == 1:
        raw = raw[: source.integer(0, len(raw))]
    elif damage == 2:
        raw = source.pick([raw + b"x", b" " + raw + b"\n", raw + raw, b"[" + raw + b"]", b"{}", b"[]"])
    return raw


def change_place(source: Source, place: Obj | Arr) -> None:
    other = source.pick(RAW)
    change = source.pick(["drop", "replace", "duplicate", "shuffle", "unknown", "unknown", "escape"])
    if isinstance(place, Arr):
        at = source.integer(0, len(place.items))
        if change in ("unknown", "duplicate"):
            place.items.insert(at, other if change == "unknown" or not place.items else place.items[at - 1])
        elif at < len(place.items):
            if change == "drop":
                del place.items[at]
            else:
                place.items[at] = other
        return
    at = source.integer(0, len(place.members))
    if change == "unknown":
        name = source.pick([*NAMES, "new", "/", "~1", "type", "t", "seq"])
        place.members.insert(at, (json.dumps(name, ensure_ascii=source.flag()), other))
    elif change == "shuffle":
        place.members[:] = source.sample(place.members, len(place.members))
    elif at < len(place.members):
        name, value = place.members[at]
        if change == "drop":
            del place.members[at]
        elif change == "replace":
            place.members[at] = (name, other)
        elif change == "duplicate":
            place.members.insert(source.integer(0, len(place.members)), (name, source.pick([value, other])))
        else:
            escaped = "".join(f"\\u{ord(c):04x}" for c in json.loads(name) if ord(c) < 0x10000)
            place.members[at] = (f'"{escaped}"', value)
