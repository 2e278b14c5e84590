"""The types that are fuzzed. Between them they have every kind of field, constraint, default and tag."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from typing_extensions import NotRequired, Required, TypedDict

from rlfast.reasoning_layer._events import AgentEvent
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
    IntText,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UUIDStr,
)
from rlfast.schema._decoding import Decoding


class Colour(enum.Enum):
    RED = "red"
    GREEN = "grün"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = -70000


class Wide(msgspec.Struct, rename={"from_": "from", "accent": "été", "quote": "a b"}):
    i: int
    f: float
    b: bool
    s: str
    u: UUIDStr
    from_: UUIDStr | None = None
    o: uuid.UUID | None = None
    ge: Annotated[int, msgspec.Meta(ge=-3, lt=100)] = 5
    fl: Annotated[float, msgspec.Meta(gt=-0.5, le=1.5)] = 0.25
    short: Annotated[str, msgspec.Meta(min_length=1, max_length=4)] = "abc"
    accent: str | None = None
    quote: int | None = None
    word: Literal["", "a", "added", "grün"] | None = None
    colour: Colour = Colour.RED
    category: CategoryStr = "none"
    ls: list[str] = []
    lu: list[UUIDStr] = []
    two: Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)] | None = None
    a_name_that_is_longer_than_one_vector: float | None = None


class One(msgspec.Struct, tag=1, tag_field="kind", forbid_unknown_fields=True):
    x: int
    y: str = ""


class Twelve(msgspec.Struct, tag=12, tag_field="kind"):
    x: float
    z: bool | None = None


class Minus(msgspec.Struct, tag=-7, tag_field="kind"):
    pass


class Small(msgspec.Struct):
    a: int
    b: str | None = None


class Empty(msgspec.Struct):
    pass


class Kinds(msgspec.Struct):
    """A field of every kind that has no others inside."""

    i8: Int8 = 0
    i16: Int16 = 0
    i32: Int32 = -1
    u8: UInt8 = 0
    u16: UInt16 = 0
    u32: UInt32 = 7
    u64: UInt64 = 0
    f32: Float32 = 0.5
    number: FloatText | None = None
    integer: IntText | None = None
    decimal: Decimal = Decimal("1.50")
    d18: DecimalText(18, 4) | None = None  # type: ignore[valid-type]
    d76: DecimalText(76, 38) | None = None  # type: ignore[valid-type]
    at: datetime.datetime | None = None
    aware: Annotated[datetime.datetime, msgspec.Meta(tz=True)] | None = None
    naive: Annotated[datetime.datetime, msgspec.Meta(tz=False)] | None = None
    nanos: DateTimeNanos | None = None
    day: datetime.date = datetime.date(2026, 1, 1)
    time: datetime.time | None = None
    took: datetime.timedelta | None = None
    s: EpochSeconds = 0
    ms: EpochMillis | None = None
    us: EpochMicros | None = None
    ns: EpochNanos | None = None
    raw: bytes = b""
    short: Annotated[bytes, msgspec.Meta(min_length=1, max_length=3)] | None = None
    level: Level = Level.LOW
    code: Literal[1, -7, 123456789012] | None = None
    any: Any = None
    either: int | str | None = None
    anything: list[Any] | dict[str, Any] | None = None
    dozens: Annotated[int, msgspec.Meta(multiple_of=12)] | None = None
    few: Annotated[set[str], msgspec.Meta(min_length=1, max_length=2)] | None = None
    status: Leaf | str | None = None
    prices: list[float] | float | None = None
    shapes: Circle | Line | dict[str, list[Leaf]] | Colour | None = None


class Point(msgspec.Struct, array_like=True):
    x: int
    y: float | None = None


class Pair(NamedTuple):
    first: str
    second: int | None


@dataclasses.dataclass
class Data:
    name: str
    tags: set[str] | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)


class Keys(TypedDict):
    a: Required[int]
    b: NotRequired[list[bool]]


class Bid(msgspec.Struct, tag_field="side", tag="bid"):
    price: DecimalText(10, 2)  # type: ignore[valid-type]
    sizes: list[int] = []


class Ask(msgspec.Struct, tag_field="side", tag="ask", forbid_unknown_fields=True):
    price: float
    by: UUIDStr | None = None
    point: Point | None = None


class Halt(msgspec.Struct, tag_field="side", tag="halt"):
    pass


class Circle(msgspec.Struct, array_like=True, tag=1, tag_field="shape"):
    radius: float
    labels: dict[str, str] = {}


class Line(msgspec.Struct, array_like=True, tag=12, tag_field="shape"):
    start: Point
    end: Point


class Leaf(msgspec.Struct, rename={"slash": "a/b~"}):
    slash: str | None = None
    n: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class Deep(msgspec.Struct):
    """Types inside of each other, in most ways."""

    orders: list[Bid | Ask | Halt] = []
    shapes: dict[str, list[Circle | Line]] = {}
    points: list[Point | None] | None = None
    pair: Pair | None = None
    both: tuple[int, str, list[float]] | None = None
    data: Data | None = None
    keys: Keys | None = None
    leaves: dict[str, dict[str, Leaf | None]] = {}
    leaf: Leaf | None = None
    grid: Annotated[
        list[list[Annotated[list[int], msgspec.Meta(max_length=2)]]], msgspec.Meta(max_length=4)
    ] = []
    words: frozenset[Literal["a", "b"]] = frozenset()
    maybe: Bid | Ask | None = None


class Opened(msgspec.Struct, tag="opened", tag_field="é"):
    deep: list[dict[str, Bid | Ask]]
    at: datetime.datetime | None = None


class Closed(msgspec.Struct, tag="closed", tag_field="é"):
    shape: Circle | Line | None
    leaf: Leaf
    rest: Any = None


class Row(msgspec.Struct, array_like=True):
    n: int
    leaf: Leaf | None = None
    points: list[Point] = []


class Stream(msgspec.Struct):
    """An envelope."""

    name: str
    data: Bid | Ask | Halt
    point: Point | None = None
    price: int = 0


class Inside(msgspec.Struct, rename={"events": "a/b"}):
    events: list[Row]
    n: int | None = None


class Around(msgspec.Struct, tag_field="type", tag="rows"):
    inside: Inside | None = None
    words: list[str] = []


class Other(msgspec.Struct, tag_field="type", tag="other"):
    text: str


SCHEMAS: tuple[Any, ...] = (
    *(AgentEvent, Wide, One | Twelve | Minus, Small, None, Empty),
    *(
        Kinds,
        Deep,
        Opened | Closed,
        Row,
        Bid | Ask | Halt,
        Circle | Line,
        Data,
        list[Bid | Ask | Halt],
        list[Row],
    ),
    *(
        Decoding(Stream, events_at="/data"),
        Decoding(Around | Other, events_at="/inside/a~1b"),
        Decoding(Small, strict=False, nan="null", surrogates="replace"),
        dict[str, list[Leaf]],
    ),
)
