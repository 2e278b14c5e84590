"""A server with a history and a cursor, that hangs up when it likes; and captures of it."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

from wsserver import PING, PONG, Peer, frame

Kind = Literal["inclusive", "jumping", "exclusive", "opaque"]
KINDS: tuple[Kind, ...] = ("inclusive", "jumping", "exclusive", "opaque")


class Sent(NamedTuple):
    """One message of the history."""

    cursor: str
    payload: bytes


def history(kind: Kind, count: int, source: random.Random) -> list[Sent]:
    """Events with a number of their own, and a cursor.

    ``inclusive``: bursts with equal cursors; ``jumping``: these go back a little, too; ``exclusive``: they
    are unique; ``opaque``: they are texts, in bursts.
    """
    sent, time = [], 1_700_000_000_000_000
    for n in range(count):
        if kind == "exclusive" or source.random() < 0.4:
            time += source.randrange(1, 1000)
        if kind == "opaque":
            cursor: Any = f"{time:x}/é"
        else:
            cursor = time - (source.randrange(3) * 200 if kind == "jumping" else 0)
        sent.append(
            Sent(str(cursor), json.dumps({"n": n, "t": cursor, "text": "x" * source.randrange(99)}).encode())
        )
    return sent


class Replay:
    """Serves a history from the cursor that a connection asks for, after an answer and with some in between.

    Attributes:
        limit: of the history, for the time being.
        calm: it hangs up no more.
        connected: a connection has come; whoever waits for the next one clears it.
        finished: a connection has got everything, and has read it.
    """

    def __init__(self, kind: Kind, sent: Sequence[Sent], source: random.Random) -> None:
        self._kind = kind
        self._sent = sent
        self._source = source
        self.limit = len(sent)
        self.calm = False
        self.connected = asyncio.Event()
        self.finished = asyncio.Event()

    def _start(self, path: str) -> int:
        cursor = parse_qs(urlsplit(path).query).get("cursor")
        if cursor is None:
            return 0
        if self._kind in ("inclusive", "jumping"):
            return next(i for i, sent in enumerate(self._sent) if int(sent.cursor) >= int(cursor[0]))
        (found, *_) = (i for i, sent in enumerate(self._sent) if sent.cursor == cursor[0])
        return found + (self._kind == "exclusive")

    async def serve(self, peer: Peer) -> None:
        self.connected.set()
        source = self._source
        at = self._start(peer.path)
        if not self.calm and source.random() < 0.1:
            return
        answers = [frame(b'{"ack":%d}' % i) for i in range(source.choice((0, 1, 1, 30)))]
        await peer.write(*answers)
        if not self.calm and source.random() < 0.2:
            await asyncio.sleep(source.uniform(0, 0.1))  # Answers, and no event.
            return
        while at < self.limit:
            count = min(source.choice((1, 3, 10, 100, 700)), self.limit - at)
            frames = [frame(sent.payload) for sent in self._sent[at : at + count]]
            if source.random() < 0.3:
                frames.insert(source.randrange(len(frames)), frame(b'{"ack":true,"t":null}'))
            await peer.write(*frames)
            at += count
            await asyncio.sleep(source.uniform(0, 0.02))
            if not self.calm and source.random() < 0.08:
                end = source.choice((peer.close, peer.reset, None))
                if end is peer.close:
                    await peer.close(source.choice((1000, 1012)))
                elif end is not None:
                    peer.reset()  # type: ignore[unused-coroutine]
                return
        await peer.write(frame(b"all", PING))
        while (await peer.read_frame())[0] != PONG:
            pass
        self.finished.set()
        await peer.wait_closed()


PROGRAM = """
import asyncio, os, signal, sys
import msgspec
import rlfast
from rlfast.capture import CaptureOptions, RotationPolicy, capture
from sqlite_sink import SqliteSink

class Event(msgspec.Struct):
    n: int
    t: int | str
    text: str

url, out, inclusive, sink, settings = sys.argv[1], sys.argv[2], *map(eval, sys.argv[3:6])
rotation = RotationPolicy(**settings.pop("rotation", {}))

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connecting = rlfast.connect(
        url, type=Event, stream="replay", resume=rlfast.Resume("cursor", "/t", inclusive),
        backoff=rlfast.Backoff(initial=0.005, cap=0.02),
        options=rlfast.ConnectionOptions(block_size=20_000, close_timeout=1.0),
    )
    target = SqliteSink(out + "/events.db") if sink == "sqlite" else rlfast.sinks.ParquetSink(
        out, rlfast.sinks.ParquetOptions(**settings.pop("files", {})))
    await capture(connecting, target, CaptureOptions(rotation=rotation, min_free=0, **settings), stop=stop)

import rlfast.sinks
asyncio.run(main())
"""


def command(url: str, out: Path, inclusive: bool | None, sink: str = "parquet", **settings: Any) -> list[str]:
    """A capture of a replay, until SIGTERM."""
    return [sys.executable, "-c", PROGRAM, url, str(out), repr(inclusive), repr(sink), repr(settings)]
