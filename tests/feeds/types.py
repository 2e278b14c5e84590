"""Types of public feeds as one would naturally write them, `T_<feed>` for each that is no example."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Union

from msgspec import UNSET, Meta, Struct, UnsetType, field
from typing_extensions import NotRequired, Required, TypedDict

from rlfast.schema import DecimalText, EpochMillis, EpochSeconds, FloatText, IntText, UInt16


class NostrEvent(Struct):
    id: str
    pubkey: str
    created_at: EpochSeconds
    kind: UInt16
    tags: list[list[str]]
    content: str
    sig: str


class NEvent(Struct, array_like=True, tag="EVENT"):
    subscription: str
    event: NostrEvent


class NOk(Struct, array_like=True, tag="OK"):
    id: str
    accepted: bool
    message: str = ""


class NStored(Struct, array_like=True, tag="EOSE"):
    subscription: str


class NCount(Struct, array_like=True, tag="COUNT"):
    subscription: str
    count: dict[str, int]


T_nostr = Union[NEvent, NOk, NStored, NCount]


class DDispatch(Struct, tag=0, tag_field="op"):
    d: Any
    s: int
    t: str


class DHeartbeat(Struct, tag=1, tag_field="op"):
    d: int | None = None


class DInvalid(Struct, tag=9, tag_field="op"):
    d: bool


class DHelloData(Struct):
    heartbeat_interval: int


class DHello(Struct, tag=10, tag_field="op"):
    d: DHelloData
    s: None = None
    t: None = None


class DAck(Struct, tag=11, tag_field="op"):
    pass


T_discord = Union[DDispatch, DHeartbeat, DInvalid, DHello, DAck]


class GUser(TypedDict):
    login: str
    id: int
    site_admin: NotRequired[bool]


class GLabel(TypedDict, total=False):
    name: Required[str]
    color: str


class GIssue(TypedDict):
    number: int
    title: str
    user: GUser | None
    labels: list[GLabel]
    created_at: datetime
    closed_at: datetime | None
    assignees: NotRequired[list[GUser]]


class GIssues(TypedDict):
    action: Literal["opened", "closed", "labeled"]
    issue: GIssue
    changes: NotRequired[dict[str, dict[str, int | str]]]


T_github = GIssues


class Aircraft(NamedTuple):
    icao24: str
    callsign: str | None
    last_contact: int
    longitude: float | None
    on_ground: bool
    sensors: list[int] | None
    category: int = 0


class OpenSky(Struct):
    time: EpochSeconds
    states: list[Aircraft] | None


T_opensky = OpenSky


class Quality(enum.IntEnum):
    BAD = 0
    OK = 1


class Reading(Struct, rename="camel", kw_only=True):
    sensor_id: Annotated[str, Meta(min_length=1)]
    value: float | None
    raw: bytes = b""
    quality: Quality = Quality.OK
    sampled_at: datetime | None = None
    lasted: timedelta | None = None
    day: date | UnsetType = UNSET
    at: time | None = None
    serial: int | str | None = None
    number: float | str = 0.0
    level: Annotated[int, Meta(ge=0, le=100)] | None = None
    total: Annotated[int, Meta(ge=0)] = 0
    odd: float | None = field(default=None, name="odd value")
    tags: set[str] = field(default_factory=set)
    position: tuple[float, float, float | None] | None = None
    history: dict[int, float] = field(default_factory=dict)


T_sensors = Reading


class PLevel(Struct):
    price: FloatText
    size: FloatText


class PBook(Struct, tag="book", tag_field="event_type"):
    asset_id: str
    bids: list[PLevel]
    asks: list[PLevel]
    timestamp: EpochMillis


class PTrade(Struct, tag="last_trade_price", tag_field="event_type"):
    asset_id: DecimalText(76, 0)  # type: ignore[valid-type]
    price: DecimalText(10, 6)  # type: ignore[valid-type]
    side: Literal["BUY", "SELL"]
    fee_rate_bps: IntText
    timestamp: EpochMillis


T_polymarket = list[Union[PBook, PTrade]]
