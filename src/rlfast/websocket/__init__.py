"""One stream over many connections."""

from rlfast.websocket._backoff import Backoff
from rlfast.websocket._connection import WebSocketConnection, connect
from rlfast.websocket._deflate import Deflate
from rlfast.websocket._gaps import Gap
from rlfast.websocket._options import ConnectionOptions, Timing
from rlfast.websocket._resume import Resume
from rlfast.websocket._sending import NewConnection

__all__ = [
    "Backoff",
    "ConnectionOptions",
    "Deflate",
    "Gap",
    "NewConnection",
    "Resume",
    "Timing",
    "WebSocketConnection",
    "connect",
]
