"""What a capture does until its connection is open, in this order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rlfast.capture._options import CaptureOptions
from rlfast.capture._recovery import RecoveryReport, recover_into
from rlfast.errors import UsageError
from rlfast.sinks._base import Sink, StreamState
from rlfast.sinks._files import prepare_folder

if TYPE_CHECKING:
    from rlfast.schema._decoding import Decoding
    from rlfast.websocket._connection import Connecting, WebSocketConnection

__all__ = ["number", "open_unless", "prepare"]


async def prepare(
    sink: Sink, ws: WebSocketConnection[Any], options: CaptureOptions
) -> tuple[RecoveryReport, StreamState]:
    """Make the folder if need be, open the sink, and commit what an earlier capture left.

    Returns:
        What recovery did; where the stream goes on. The sink is open, and to be closed.

    Raises:
        CaptureError: the folder cannot be written to, another capture uses it, or it holds what cannot be
            read, or does not fit the type.
    """
    preparing = asyncio.ensure_future(asyncio.to_thread(_prepare, sink, ws.stream, ws.decoding, options))
    try:
        return await asyncio.shield(preparing)
    except asyncio.CancelledError:
        # The thread goes on, and opens the sink when nobody is there any more to close it.
        with suppress(Exception):
            await preparing
            sink.close()
        raise


def _prepare(
    sink: Sink, stream: str, decoding: Decoding, options: CaptureOptions
) -> tuple[RecoveryReport, StreamState]:
    prepare_folder(sink.folder, options.min_free)
    opened = sink.open(f"capture of {stream}")
    try:
        report = recover_into(sink, opened, decoding, only=stream)
        sink.check(stream, decoding)
        return report, sink.state(stream)
    except BaseException:
        sink.close()
        raise


def number(ws: WebSocketConnection[Any], state: StreamState) -> None:
    """Let the messages of a connection go on where the stream in the folder ended.

    Raises:
        UsageError: numbers would be used twice.
    """
    seq = ws.next_unread_seq
    chosen = seq > 0 or ws.opened_at is not None
    if chosen and seq < state.next_seq:
        raise UsageError(
            f"the folder already holds this stream up to seq {state.next_seq - 1}; open the connection with "
            "the options of rlfast.capture.resume(out, stream), or let capture(connect(...), out) open it, "
            "without a first_seq"
        )
    ws.renumber(state.next_seq, state.next_epoch)
    ws.seed(state.resume)


async def open_unless(stop: asyncio.Event, connecting: Connecting[Any]) -> bool:
    """Open the connection. Returns False if `stop` was set before it was open.

    Raises:
        NetworkError: it cannot be opened; or whatever a header provider raises.
    """
    if stop.is_set():
        return False
    opening = asyncio.ensure_future(connecting)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        opening.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)
    if opening.cancelled():
        return False
    opening.result()
    return True
