"""The fast path from a WebSocket stream of JSON events to typed structs, Arrow columns and Parquet."""

# ruff: noqa: E402 - nothing compiled may load before the check
from rlfast._compat import check_picows

check_picows()
del check_picows

from rlfast.backoff import Backoff
from rlfast.batch import EventBatch, EventTable
from rlfast.client import Bearer, ClientConfig, Cookie, ReasoningLayerClient, TokenProvider
from rlfast.compression import Deflate
from rlfast.connection import WebSocketConnection, connect
from rlfast.errors import (
    CaptureError,
    ConfigError,
    ConnectError,
    ConnectionClosedError,
    DecodeError,
    HandshakeRejectedError,
    MessageTooBigError,
    MissingExtraError,
    NetworkError,
    NotConnectedError,
    ProtocolError,
    RlfastError,
    UnsupportedFieldError,
    UsageError,
)
from rlfast.events import (
    AgentEvent,
    AttentionShift,
    Connected,
    CycleComplete,
    ErrorEvent,
    GoalCompleted,
    Heartbeat,
    HitlRequest,
    ImpasseDetected,
    KbChange,
    OversightAlert,
    UnknownEvent,
    UUIDStr,
)
from rlfast.options import ConnectionOptions, ConnectionStats, Gap, Timing
from rlfast.schema import CategoryStr
from rlfast.version import __version__

__all__ = [
    "AgentEvent",
    "AttentionShift",
    "Backoff",
    "Bearer",
    "CaptureError",
    "CategoryStr",
    "ClientConfig",
    "ConfigError",
    "ConnectError",
    "Connected",
    "ConnectionClosedError",
    "ConnectionOptions",
    "ConnectionStats",
    "Cookie",
    "CycleComplete",
    "DecodeError",
    "Deflate",
    "ErrorEvent",
    "EventBatch",
    "EventTable",
    "Gap",
    "GoalCompleted",
    "HandshakeRejectedError",
    "Heartbeat",
    "HitlRequest",
    "ImpasseDetected",
    "KbChange",
    "MessageTooBigError",
    "MissingExtraError",
    "NetworkError",
    "NotConnectedError",
    "OversightAlert",
    "ProtocolError",
    "ReasoningLayerClient",
    "RlfastError",
    "Timing",
    "TokenProvider",
    "UUIDStr",
    "UnknownEvent",
    "UnsupportedFieldError",
    "UsageError",
    "WebSocketConnection",
    "__version__",
    "connect",
]
