"""The fast path from a WebSocket stream of JSON events to typed structs, Arrow columns and Parquet."""

from typing import TYPE_CHECKING, Any

from rlfast._core import __version__
from rlfast.decode import EventBatch, EventTable, UnknownEvent
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
from rlfast.metrics import ConnectionStats
from rlfast.reasoning_layer import (
    AgentEvent,
    AttentionShift,
    Bearer,
    ClientConfig,
    Connected,
    Cookie,
    CycleComplete,
    ErrorEvent,
    GoalCompleted,
    HitlRequest,
    ImpasseDetected,
    KbChange,
    OversightAlert,
    ReasoningLayerClient,
    TokenProvider,
)
from rlfast.reasoning_layer import Heartbeat as HeartbeatEvent
from rlfast.schema import CategoryStr, UUIDStr
from rlfast.websocket import (
    Backoff,
    Connecting,
    ConnectionOptions,
    Deflate,
    Gap,
    Heartbeat,
    LastReceived,
    NewConnection,
    Reply,
    Resume,
    Sequence,
    Timing,
    WebSocketConnection,
    connect,
)

if TYPE_CHECKING:
    from rlfast.capture import open_dataset

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
    "Connecting",
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
    "HeartbeatEvent",
    "HitlRequest",
    "ImpasseDetected",
    "KbChange",
    "LastReceived",
    "MessageTooBigError",
    "MissingExtraError",
    "NetworkError",
    "NewConnection",
    "NotConnectedError",
    "OversightAlert",
    "ProtocolError",
    "ReasoningLayerClient",
    "Reply",
    "Resume",
    "RlfastError",
    "Sequence",
    "Timing",
    "TokenProvider",
    "UUIDStr",
    "UnknownEvent",
    "UnsupportedFieldError",
    "UsageError",
    "WebSocketConnection",
    "__version__",
    "connect",
    "open_dataset",
]


def __getattr__(name: str) -> Any:
    if name == "open_dataset":
        # Loads pyarrow, which takes its time.
        from rlfast.capture import open_dataset

        return open_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
