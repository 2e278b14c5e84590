"""Types of public feeds as one would naturally write them, `T_<feed>` for each feed."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Union

from msgspec import UNSET, Meta, Struct, UnsetType, field
from typing_extensions import NotRequired, Required, TypedDict

from rlfast.schema import DecimalText, EpochMillis, EpochSeconds, FloatText, IntText, UInt16


class StrongRef(Struct):
    cid: str
    uri: str


class Commit(Struct):
    rev: str
    operation: Literal["create", "update", "delete"]
    collection: str
    rkey: str
    record: dict[str, Any] | None = None
    cid: str | None = None


class Identity(Struct):
    did: str
    seq: int
    time: datetime
    handle: str | None = None


class Account(Struct):
    active: bool
    did: str
    seq: int
    time: datetime
    status: str | None = None


class JCommit(Struct, tag_field="kind", tag="commit"):
    did: str
    time_us: int
    commit: Commit


class JIdentity(Struct, tag_field="kind", tag="identity"):
    did: str
    time_us: int
    identity: Identity


class JAccount(Struct, tag_field="kind", tag="account"):
    did: str
    time_us: int
    account: Account


T_jetstream = Union[JCommit, JIdentity, JAccount]


class BTrade(Struct, tag_field="e", tag="trade"):
    E: int
    s: str
    t: int
    p: Decimal
    q: Decimal
    T: int
    m: bool


class BDepth(Struct, tag_field="e", tag="depthUpdate"):
    E: int
    s: str
    U: int
    u: int
    b: list[list[str]]
    a: list[list[str]]


class Kline(Struct):
    t: int
    T: int
    i: str
    o: Decimal
    c: Decimal
    h: Decimal
    l: Decimal
    v: Decimal
    n: int
    x: bool


class BKline(Struct, tag_field="e", tag="kline"):
    E: int
    s: str
    k: Kline


class BMini(Struct, tag_field="e", tag="24hrMiniTicker"):
    E: int
    s: str
    c: Decimal


class BCombined(Struct):
    data: Union[BTrade, BDepth, BKline]
    stream: str


T_binance = BCombined
T_binance_raw = BTrade


class L2Update(Struct):
    side: Literal["bid", "offer"]
    event_time: datetime
    price_level: Decimal
    new_quantity: Decimal


class L2Event(Struct):
    type: str
    product_id: str
    updates: list[L2Update]


class CTrade(Struct):
    trade_id: str
    product_id: str
    price: Decimal
    size: Decimal
    side: str
    time: datetime


class TradesEvent(Struct):
    type: str
    trades: list[CTrade]


class CL2(Struct, tag_field="channel", tag="l2_data"):
    timestamp: datetime
    sequence_num: int
    events: list[L2Event]


class CMT(Struct, tag_field="channel", tag="market_trades"):
    timestamp: datetime
    sequence_num: int
    events: list[TradesEvent]


class CHB(Struct, tag_field="channel", tag="heartbeats"):
    timestamp: datetime
    sequence_num: int
    events: list[dict[str, str]]


class CSub(Struct, tag_field="channel", tag="subscriptions"):
    timestamp: datetime
    sequence_num: int
    events: list[Any]


T_coinbase = Union[CL2, CMT, CHB, CSub]


class BfxTrade(Struct, array_like=True):
    id: int
    mts: int
    amount: float
    price: float


class BfxUpdate(Struct, array_like=True):
    chan: int
    kind: str | list[BfxTrade]
    trade: BfxTrade | None = None


T_bitfinex = BfxUpdate


class OArg(Struct):
    channel: str
    instId: str


class OBook(Struct):
    asks: list[list[str]]
    bids: list[list[str]]
    ts: str
    checksum: int
    prevSeqId: int
    seqId: int


class OMsg(Struct):
    arg: OArg
    action: str | None = None
    data: list[OBook] = []


T_okx = OMsg


class HTick(Struct):
    ts: int
    version: int | None = None
    bids: list[list[float]] = []
    asks: list[list[float]] = []


class HMsg(Struct):
    ch: str
    ts: int
    tick: HTick


T_huobi = HMsg


class ATrade(Struct, tag_field="T", tag="t"):
    i: int
    S: str
    x: str
    p: float
    s: int
    t: datetime
    c: list[str]
    z: str


class AQuote(Struct, tag_field="T", tag="q"):
    S: str
    bx: str
    bp: float
    bs: int
    ax: str
    ap: float
    t: datetime
    c: list[str]
    z: str
    as_: int = field(name="as")


class ABar(Struct, tag_field="T", tag="b"):
    S: str
    o: float
    h: float
    l: float
    c: float
    v: int
    n: int
    vw: float
    t: datetime


class AOk(Struct, tag_field="T", tag="success"):
    msg: str


class ASub(Struct, tag_field="T", tag="subscription"):
    trades: list[str]


T_alpaca = list[Union[ATrade, AQuote, ABar, AOk, ASub]]


class FTrade(Struct):
    p: float
    s: str
    t: int
    v: float
    c: list[str] | None = None


class FMsg(Struct, tag_field="type", tag="trade"):
    data: list[FTrade]


class FPing(Struct, tag_field="type", tag="ping"):
    pass


T_finnhub = Union[FMsg, FPing]


class MMsg(Struct):
    stream: list[str]
    event: str
    payload: str | None = None


T_mastodon = MMsg


class Subject(Struct):
    aggregated: str
    CN: str | None = None


class Leaf(Struct):
    subject: Subject
    extensions: dict[str, str]
    not_before: float
    not_after: float
    serial_number: str
    fingerprint: str
    all_domains: list[str]


class Source(Struct):
    url: str
    name: str


class CertData(Struct):
    update_type: str
    leaf_cert: Leaf
    cert_index: int
    seen: float
    source: Source
    chain: list[Any] = []


class CertUpdate(Struct, tag_field="message_type", tag="certificate_update"):
    data: CertData


class CertBeat(Struct, tag_field="message_type", tag="heartbeat"):
    timestamp: float


T_certstream = Union[CertUpdate, CertBeat]


class KMeta(Struct):
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None
    creationTimestamp: datetime | None = None
    labels: dict[str, str] = {}


class KStat(Struct):
    phase: str | None = None
    podIP: str | None = None


class Pod(Struct):
    kind: str
    metadata: KMeta
    spec: dict[str, Any] | None = None
    status: KStat | str | None = None


class Watch(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: Pod


T_k8s = Watch


class OAudioDelta(Struct, tag_field="type", tag="response.audio.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class OTextDelta(Struct, tag_field="type", tag="response.audio_transcript.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class OSession(Struct, tag_field="type", tag="session.created"):
    event_id: str
    session: dict[str, Any]


class OItem(Struct, tag_field="type", tag="response.output_item.added"):
    event_id: str
    response_id: str
    output_index: int
    item: dict[str, Any]


class OLimit(Struct):
    name: str
    limit: int
    remaining: int
    reset_seconds: float


class OLimits(Struct, tag_field="type", tag="rate_limits.updated"):
    event_id: str
    rate_limits: list[OLimit]


class ODone(Struct, tag_field="type", tag="response.done"):
    event_id: str
    response: dict[str, Any]


class OErr(Struct, tag_field="type", tag="error"):
    event_id: str
    error: dict[str, Any]


T_openai = Union[OAudioDelta, OTextDelta, OSession, OItem, OLimits, ODone, OErr]


class Tick(Struct):
    symbol: str
    price: float
    at: datetime


class TickData(Struct):
    tick: Tick


class GPayload(Struct):
    data: TickData


class GNext(Struct, tag_field="type", tag="next"):
    id: str
    payload: GPayload


class GAck(Struct, tag_field="type", tag="connection_ack"):
    pass


class GPing(Struct, tag_field="type", tag="ping"):
    pass


class GErr(Struct, tag_field="type", tag="error"):
    id: str
    payload: list[Any]


class GDone(Struct, tag_field="type", tag="complete"):
    id: str


T_graphql = Union[GNext, GAck, GPing, GErr, GDone]


class Header(Struct):
    msg_id: str
    msg_type: str
    username: str
    session: str
    date: datetime
    version: str


class JMsg(Struct):
    header: Header
    parent_header: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    channel: str


T_jupyter = JMsg


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
