"""Random types that msgspec decodes, each with what makes JSON for it."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import json
import random
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union

import msgspec

Make = Callable[[random.Random], str]
Typed = tuple[Any, Make]


class Level(enum.Enum):
    LOW = "low"
    HIGH = "hö"


class Number(enum.IntEnum):
    ONE = 1
    MINUS = -7


class Lenient(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.A


def space(rng: random.Random) -> str:
    return rng.choice(["", "", "", "", " ", "\n\t "])


def text(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(['"\\u00e9\\n"', '"\\ud83d\\ude00"', '"\\""', '"\\\\"', '"\\/"'])
    words = ["", "a", "ab", "é", "added", "a text of some length", "x" * 40, "{}", "[],", "日本語"]
    return json.dumps(rng.choice(words), ensure_ascii=rng.random() < 0.3)


def integer(rng: random.Random) -> str:
    return str(rng.choice([0, 1, -1, 5, 300, 2**31, -(2**63), 2**63 - 1, rng.randint(-1000, 1000)]))


def number(rng: random.Random) -> str:
    return rng.choice(["0", "1", "-2", "0.5", "-0.0", "1e3", "1.25E-2", "123456.789", "9007199254740993"])


def moment(rng: random.Random, zones: tuple[str, ...]) -> str:
    date = rng.choice(["2024-02-29", "1970-01-01", "0001-01-01", "9999-12-31", "2023-11-05"])
    clock = rng.choice(
        ["00:00:00", "23:59:59", "12:34:56.7", "12:34:56.123456", "01:02:03.1234565", "23:59:59.9999999"]
    )
    return f'"{date}{rng.choice("TtT ")}{clock}{rng.choice(zones)}"'


AWARE = ("Z", "z", "+00:00", "-00:00", "+05:30", "-08:00", "+23:59", "-23:59")


def scalars() -> list[Typed]:
    """A fresh list, because types of collections cannot be compared."""
    meta = msgspec.Meta
    pick = lambda *options: lambda rng: rng.choice(options)  # noqa: E731
    return [
        (str, text),
        (int, integer),
        (float, number),
        (bool, pick("true", "false")),
        (Literal["a", "added", "é"], pick('"a"', '"added"', '"é"', '"\\u00e9"')),
        (Literal[1, 2, -3], pick("1", "2", "-3")),
        (Literal["a", 1], pick('"a"', "1")),
        (Optional[Literal["x"]], pick('"x"', "null")),  # noqa: UP045
        (Level, pick('"low"', '"hö"')),
        (Number, pick("1", "-7")),
        (Lenient, pick('"a"', '"other"')),
        (datetime.datetime, lambda rng: moment(rng, (*AWARE, ""))),
        (Annotated[datetime.datetime, meta(tz=True)], lambda rng: moment(rng, AWARE)),
        (Annotated[datetime.datetime, meta(tz=False)], lambda rng: moment(rng, ("",))),
        (datetime.date, pick('"2024-02-29"', '"0001-01-01"', '"9999-12-31"')),
        (datetime.time, pick('"00:00:00"', '"23:59:59.999999"', '"12:34:56.1234567Z"', '"01:02:03+05:30"')),
        (Annotated[datetime.time, meta(tz=True)], pick('"00:00:00Z"', '"12:34:56.5-01:00"')),
        (datetime.timedelta, pick('"P1DT2H"', '"-PT0.5S"')),
        (uuid.UUID, lambda rng: f'"{uuid.UUID(int=rng.getrandbits(128))}"'),
        (
            decimal.Decimal,
            pick(
                '"1.50"', "1.5", "-0", '"-0"', "12", '"1e5"', "123456789012345678.5", '"1.000000000000000001"'
            ),
        ),
        (bytes, lambda rng: f'"{base64.b64encode(rng.randbytes(rng.randint(0, 7))).decode()}"'),
        (bytearray, lambda rng: f'"{base64.b64encode(rng.randbytes(rng.randint(0, 7))).decode()}"'),
        (memoryview, lambda rng: f'"{base64.b64encode(rng.randbytes(rng.randint(0, 7))).decode()}"'),
        (Any, anything),
        (object, anything),
        (dict, lambda rng: json.dumps({"a": [1, {}], "b": text(rng)})),
        (list, lambda rng: rng.choice(["[]", '[1,"a",null,[{}]]'])),
        (msgspec.Raw, anything),
        (Union[int, str], lambda rng: rng.choice([integer, text])(rng)),  # noqa: UP007
        (Union[int, str, None], lambda rng: rng.choice([integer, text, pick("null")])(rng)),  # noqa: UP007
        (Annotated[int, meta(ge=-3, lt=100)], pick("-3", "99", "7")),
        (Annotated[int, meta(multiple_of=2)], pick("4", "-2", "0")),
        (Annotated[float, meta(gt=-0.5, le=1.5)], pick("0", "1.5", "-0.25")),
        (Annotated[str, meta(min_length=1, max_length=4)], pick('"a"', '"éééé"', '"\\n"')),
        (Annotated[str, meta(pattern="^a")], pick('"a"', '"ab"')),
        (Annotated[bytes, meta(min_length=2, max_length=3)], pick('"YWI="', '"YWJj"')),
        (Annotated[str, meta(description="text")], text),
        (None, pick("null")),
    ]


def anything(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind < 6:
        return (text, integer, number, lambda _: "null", lambda _: "true", lambda _: "false")[kind](rng)
    parts = [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return f"[{','.join(parts)}]"
    return "{" + ",".join(f"{text(rng)}{space(rng)}:{part}" for part in parts) + "}"


def array(rng: random.Random, parts: list[str]) -> str:
    return "[" + space(rng) + f"{space(rng)},{space(rng)}".join(parts) + space(rng) + "]"


def members(rng: random.Random, parts: list[tuple[str, str]]) -> str:
    pairs = [f'"{name}"{space(rng)}:{space(rng)}{value}' for name, value in parts]
    return "{" + space(rng) + f"{space(rng)},{space(rng)}".join(pairs) + space(rng) + "}"


class Types:
    """Makes types at random, as `rng` says."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0

    def any(self, depth: int) -> Typed:
        rng = self.rng
        if depth == 0 or rng.random() < 0.3:
            return rng.choice(scalars())
        kinds = [self.list, self.tuple, self.dict, self.set, self.union, self.dataclass, self.named_tuple]
        type_, make = rng.choice([*kinds, self.typed_dict, self.struct, self.struct, self.struct])(depth - 1)
        if rng.random() < 0.25:
            return Optional[type_], lambda rng: "null" if rng.random() < 0.3 else make(rng)  # noqa: UP045
        return type_, make

    def list(self, depth: int) -> Typed:
        item, make = self.any(depth)
        limit = self.rng.random() < 0.15
        kind = self.rng.choice([list[item], tuple[item, ...]])
        return (
            Annotated[kind, msgspec.Meta(max_length=3)] if limit else kind,
            lambda rng: array(rng, [make(rng) for _ in range(rng.randrange(4))]),
        )

    def set(self, depth: int) -> Typed:
        item, make = self.rng.choice(
            [
                (str, text),
                (int, integer),
                (tuple[int, str], lambda rng: f"[{integer(rng)},{text(rng)}]"),
                (uuid.UUID, lambda rng: f'"{uuid.UUID(int=rng.randrange(3))}"'),
            ]
        )
        kind = self.rng.choice([set, frozenset])[item]
        if self.rng.random() < 0.1:
            kind = Annotated[kind, msgspec.Meta(max_length=2)]
        return kind, lambda rng: array(rng, [make(rng) for _ in range(rng.randrange(4))])

    def tuple(self, depth: int) -> Typed:
        items = [self.any(depth) for _ in range(self.rng.randint(0, 3))]
        kind = tuple[tuple(item for item, _ in items)] if items else tuple[()]  # type: ignore[misc]
        return kind, lambda rng: array(rng, [make(rng) for _, make in items])

    def dict(self, depth: int) -> Typed:
        value, make = self.any(depth)
        bounded = Annotated[str, msgspec.Meta(max_length=99)]
        key = self.rng.choice([str, str, str, int, Literal["1", "2"], bounded])
        keys = (lambda rng: f'"{rng.randrange(1, 3)}"') if key is not str else text

        def pairs(rng: random.Random) -> str:
            made = [f"{keys(rng)}{space(rng)}:{space(rng)}{make(rng)}" for _ in range(rng.randrange(4))]
            return "{" + ",".join(made) + "}"

        return dict[key, value], pairs  # type: ignore[valid-type]

    def fields(self, depth: int) -> list[tuple[str, Any, Make]]:
        names = ["a", "bb", "c_c", "id", "type_", "a_name_that_is_longer_than_one_vector_of_bytes"]
        return [(name, *self.any(depth)) for name in self.rng.sample(names, self.rng.randint(0, 5))]

    def struct(self, depth: int, **options: Any) -> Typed:
        rng = self.rng
        self.count += 1
        fields = self.fields(depth)
        options.setdefault("array_like", rng.random() < 0.2)
        options.setdefault("tag", rng.choice([None, None, None, True, "t", 3]))
        if options["tag"] is not None:
            options.setdefault("tag_field", rng.choice(["type", "kind", "é", "@"]))
        for name in ("forbid_unknown_fields", "frozen", "weakref"):
            options[name] = rng.random() < 0.2
        options["gc"] = options["weakref"] or rng.random() < 0.9
        options["rename"] = rng.choice([None, "camel", {"a": "été"}])
        n_required = rng.randint(0, len(fields))
        members_: list[Any] = []
        for i, (name, type_, _) in enumerate(fields):
            if i < n_required:
                members_.append((name, type_))
            else:
                members_.append((name, *self.default(type_)))
        hooked = rng.random() < 0.1
        namespace = {"__post_init__": lambda self: None} if hooked else None
        cls = msgspec.defstruct(f"S{self.count}", members_, namespace=namespace, **options)
        msgspec.json.encode((cls.__struct_config__.tag_field, cls.__struct_config__.tag))
        return cls, lambda rng: self.struct_json(rng, cls, [make for *_, make in fields], n_required)

    def default(self, type_: Any) -> tuple[Any, Any]:
        field = msgspec.field
        return self.rng.choice(
            [
                (type_, field(default=None)),
                (type_, field(default=msgspec.UNSET)),
                (type_, field(default=(1, "x"))),
                (type_, field(default_factory=list)),
                (type_, field(default_factory=dict)),
                (type_, field(default_factory=lambda: [1])),
                (type_, field(default=0.5)),
                (Union[type_, msgspec.UnsetType], field(default=msgspec.UNSET)),  # noqa: UP007
            ]
        )

    def struct_json(self, rng: random.Random, cls: Any, makes: list[Make], n_required: int) -> str:
        config = cls.__struct_config__
        values = [make(rng) for make in makes]
        tag = None if config.tag is None else json.dumps(config.tag, ensure_ascii=False)
        if config.array_like:
            n = len(values) if rng.random() < 0.7 else rng.randint(n_required, len(values))
            extra = [anything(rng)] if n == len(values) and rng.random() < 0.1 else []
            return array(rng, ([] if tag is None else [tag]) + values[:n] + extra)
        pairs = [
            (name, value)
            for i, (name, value) in enumerate(zip(cls.__struct_encode_fields__, values, strict=True))
            if i < n_required or rng.random() < 0.7
        ]
        if rng.random() < 0.2:
            rng.shuffle(pairs)
        if tag is not None:
            pairs.insert(0 if rng.random() < 0.7 else rng.randint(0, len(pairs)), (config.tag_field, tag))
        if rng.random() < 0.15:
            pairs.insert(rng.randint(0, len(pairs)), ("unknown", anything(rng)))
        return members(rng, pairs)

    def union(self, depth: int) -> Typed:
        options = {"array_like": self.rng.random() < 0.3, "tag_field": self.rng.choice(["type", "k"])}
        tags = self.rng.choice([["a", "bb", "a_longer_tag"], [1, 12, -3]])
        choices = [self.struct(depth, tag=tag, **options) for tag in tags[: self.rng.randint(2, 3)]]
        kind = Union[tuple(type_ for type_, _ in choices)]  # noqa: UP007
        return kind, lambda rng: rng.choice(choices)[1](rng)

    def dataclass(self, depth: int) -> Typed:
        self.count += 1
        fields = self.fields(depth)
        n = self.rng.randint(0, len(fields))
        members_ = [
            (name, type_) if i < n else (name, type_, dataclasses.field(default_factory=list))
            for i, (name, type_, _) in enumerate(fields)
        ]
        options = {"frozen": self.rng.random() < 0.3, "slots": self.rng.random() < 0.3}
        cls = dataclasses.make_dataclass(f"D{self.count}", members_, **options)
        return cls, lambda rng: members(
            rng,
            [(name, make(rng)) for i, (name, _, make) in enumerate(fields) if i < n or rng.random() < 0.7],
        )

    def named_tuple(self, depth: int) -> Typed:
        self.count += 1
        fields = self.fields(depth)
        n = self.rng.randint(0, len(fields))
        cls: Any = NamedTuple(f"N{self.count}", [(name, type_) for name, type_, _ in fields])  # type: ignore[misc]
        plain = collections.namedtuple(  # noqa: PYI024
            f"N{self.count}", [name for name, *_ in fields], defaults=[None] * (len(fields) - n)
        )
        plain.__annotations__ = cls.__annotations__
        return plain, lambda rng: array(
            rng, [make(rng) for *_, make in fields[: rng.randint(n, len(fields))]]
        )

    def typed_dict(self, depth: int) -> Typed:
        self.count += 1
        fields = self.fields(depth)
        total = self.rng.random() < 0.5
        cls = TypedDict(f"T{self.count}", {name: type_ for name, type_, _ in fields}, total=total)  # type: ignore[misc]

        def make(rng: random.Random) -> str:
            pairs = [(name, make(rng)) for name, _, make in fields if total or rng.random() < 0.7]
            rng.shuffle(pairs)
            if rng.random() < 0.2:
                pairs.append(("unknown", anything(rng)))
            return members(rng, pairs)

        return cls, make
