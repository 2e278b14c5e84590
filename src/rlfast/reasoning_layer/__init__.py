"""The Reasoning Layer: its client, its events, and the bridge to its official SDK."""

from rlfast.reasoning_layer._client import (
    Bearer,
    ClientConfig,
    CognitiveStreams,
    Cookie,
    OversightStreams,
    ReasoningLayerClient,
    TokenProvider,
)
from rlfast.reasoning_layer._events import (
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
)
from rlfast.reasoning_layer._sdk import from_sdk_event, to_sdk

__all__ = [
    "AgentEvent",
    "AttentionShift",
    "Bearer",
    "ClientConfig",
    "CognitiveStreams",
    "Connected",
    "Cookie",
    "CycleComplete",
    "ErrorEvent",
    "GoalCompleted",
    "Heartbeat",
    "HitlRequest",
    "ImpasseDetected",
    "KbChange",
    "OversightAlert",
    "OversightStreams",
    "ReasoningLayerClient",
    "TokenProvider",
    "from_sdk_event",
    "to_sdk",
]
