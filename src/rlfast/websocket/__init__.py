"""One stream over many connections."""

from rlfast.websocket._backoff import Backoff
from rlfast.websocket._connection import Connecting, WebSocketConnection, connect
from rlfast.websocket._deflate import Deflate
from rlfast.websocket._gaps import Gap
from rlfast.websocket._heartbeats import Heartbeat
from rlfast.websocket._options import ConnectionOptions, Timing
from rlfast.websocket._received import LastReceived
from rlfast.websocket._replies import Reply
from rlfast.websocket._resume import Resume
from rlfast.websocket._sending import NewConnection
from rlfast.websocket._sequence import Sequence

__all__ = [
    "Backoff",
    "Connecting",
    "ConnectionOptions",
    "Deflate",
    "Gap",
    "Heartbeat",
    "LastReceived",
    "NewConnection",
    "Reply",
    "Resume",
    "Sequence",
    "Timing",
    "WebSocketConnection",
    "connect",
]
