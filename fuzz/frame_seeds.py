"""Write the seed corpus of the frame loop's fuzzer: ``python -m fuzz.frame_seeds``.

Findings that were fixed are kept beside it by hand.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from fuzz.frames import (
    ABORTS,
    CLOSES,
    MESSAGE_SIZES,
    PAUSES_WRITING,
    PINGS,
    READ_SIZES,
    RESUMES_WRITING,
    SENDS_BINARY,
    SENDS_TEXT,
)
from fuzz.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

HERE = Path(__file__).resolve().parent
SPLITS = {"whole": 0, "bytes": 1, "small": 2, "large": 3}
DEFLATE, RESETS, OWN_ANSWER, RESET, SLOW, COMPRESSES = 4, 8, 16, 32, 64, 128
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n"
)


def settings(
    flags: int = 0,
    *calls: tuple[int, int],
    seed: int = 1,
    message: int = 4096,
    read: int = 1 << 18,
    queue: int = 0,
) -> bytes:
    sizes = MESSAGE_SIZES.index(message) + len(MESSAGE_SIZES) * (
        READ_SIZES.index(read) + len(READ_SIZES) * queue
    )
    encoded = bytes(kind << 5 | at for kind, at in calls)
    return bytes([flags, seed, sizes]) + encoded.ljust(3, b"\0")


def frame(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, n: int | None = None
) -> bytes:
    """One unmasked frame (RFC 6455 section 5.2); `n`: a length that is not the payload's."""
    n = len(payload) if n is None else n
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if n < 126:
        return head + bytes([n]) + payload
    return head + (b"\x7e" + struct.pack("!H", n) if n < 65536 else b"\x7f" + struct.pack("!Q", n)) + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack("!H", code) + reason, CLOSE)


def repeated(times: int, byte: bytes) -> bytes:
    """`times` (an even number) of a byte, as an input says it."""
    return b"\xfe\xfe" + struct.pack("!H", times // 2) + byte


def streams() -> dict[str, bytes]:
    """Bytes of a server that does not compress."""
    good = frame(b'{"a":1}') + frame(b"\x00\xff", BINARY) + frame("é".encode()) + frame(b"")
    return {
        "messages": good,
        "pings": frame(b"1") + frame(b"p", PING) + frame(b"", PONG) + frame(b"", PING) + frame(b"2"),
        "fragments": frame(b"[\xc3", fin=False)
        + frame(b"between", PING)
        + frame(b"\xa9", CONTINUATION, fin=False)
        + frame(b"", CONTINUATION, fin=False)
        + frame(b"]", CONTINUATION)
        + frame(b"\xff", BINARY, fin=False)
        + frame(b"\xfe", CONTINUATION),
        "utf8-fragments": frame(b"a\xf0\x9f", fin=False) + frame(b"\x98", CONTINUATION, fin=False) + frame(b"z", CONTINUATION),
        "utf8-early": frame(b"a\xed\xa0", fin=False) + frame(b"z", CONTINUATION),
        "utf8-end": frame(b"a\xe2\x82", fin=False) + frame(b"", CONTINUATION) + good,
        "utf8": good + frame(b"a\xc0\x80") + good,
        "orphan": good + frame(b"x", CONTINUATION) + good,
        "nested": frame(b"x", fin=False) + good,
        "reserved": good + frame(b"x", rsv=4) + good,
        "reserved-ping": good + frame(b"x", PING, rsv=1),
        "reserved-continuation": frame(b"x", fin=False) + frame(b"y", CONTINUATION, rsv=2),
        "opcode": good + frame(b"x", 3) + good,
        "opcode-control": good + frame(b"x", 11),
        "masked": good + b"\x81\x81abcdx" + good,
        "long-ping": good + b"\x89\x7e\x00\x7e" + b"x" * 126,
        "fragmented-ping": good + frame(b"x", PING, fin=False),
        "ping-then-fault": frame(b"x", PING) + frame(b"x", 3),
        "fault-then-fault": frame(b"\xff") + frame(b"x", 3),
        "length-16": good + b"\x81\x7e\x00\x7d" + b"x" * 125 + good,
        "length-64": good + b"\x81\x7f" + (65535).to_bytes(8, "big") + good,
        "length-top": good + b"\x82\x7f\x80" + bytes(7) + good,
        "length-huge": good + b"\x82\x7f\x7f" + b"\xff" * 7 + good,
        "close": good + close_frame(1000, b"bye") + good,
        "close-empty": good + frame(b"", CLOSE),
        "close-application": good + close_frame(4321, "é".encode()) + frame(b"x", 3),
        "close-twice": close_frame(1000) + close_frame(1001),
        **{f"close-{code}": close_frame(code) + good for code in (0, 999, 1004, 1005, 1006, 1014, 1015, 2999, 5000)},
        "close-one-byte": good + frame(b"x", CLOSE) + good,
        "close-reason": good + close_frame(1000, b"\xff") + good,
        "medium": frame(b"x" * 126) + frame(b"y" * 125) + good,
        "large": frame(repeated(65_536, b"a"), n=65_536) + good + frame(repeated(66_000, b"b"), BINARY, n=66_000),
        "large-cut": good + frame(repeated(60_000, b"a"), n=66_000),
        "too-big": good + frame(b"x" * 300, n=201_000) + good,
        "too-big-fragments": frame(repeated(1000, b"x"), n=1000, fin=False)
        + frame(repeated(4000, b"y"), CONTINUATION, n=4000, fin=False)
        + good,
        "many": good * 40,
        "many-empty": frame(b"") * 300,
        "cut": good + frame(b"abcdef")[:-3],
    }  # fmt: skip


def compressed() -> dict[str, bytes]:
    """Bytes of a server that does, with the settings of its compressor."""
    texts = [b'{"type":"heartbeat","timestamp":"t%d"}' % i for i in range(6)]
    out = {}
    for name, level, strategy in (
        ("default", 6, 0),
        ("fixed", 6, zlib.Z_FIXED),
        ("stored", 0, 0),
        ("huffman", 6, 2),
    ):
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
        payloads = [compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH) for text in texts]
        payloads = [payload[:-4] for payload in payloads]
        out[f"deflate-{name}"] = b"".join(frame(payload, rsv=4) for payload in payloads)
        out[f"deflate-{name}-fragments"] = b"".join(
            frame(payload[:5], rsv=4, fin=False) + frame(b"p", PING) + frame(payload[5:], CONTINUATION)
            for payload in payloads
        )
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (compressor.compress(b"x" * 190_000) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    out["deflate-bomb"] = frame(b"plain") + frame(bomb, rsv=4) + frame(b"plain")
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    ended = compressor.compress(texts[0]) + compressor.flush()
    out["deflate-ended"] = frame(ended + b"\0", rsv=4) * 3
    out["deflate-ended-wrongly"] = frame(ended, rsv=4) * 2
    out["deflate-utf8"] = frame(zlib.compress(b"\xff")[2:-4] + b"\0", rsv=4)
    out["deflate-binary"] = frame(zlib.compress(b"\xff")[2:-4] + b"\0", BINARY, rsv=4)
    out["deflate-nonsense"] = frame(b"\xff\xff\xff", rsv=4)
    out["deflate-cut"] = frame(bomb[:20], rsv=4)
    out["deflate-empty"] = frame(b"", rsv=4) + frame(b"\0", rsv=4)
    out["deflate-continuation"] = frame(b"\0", rsv=4, fin=False) + frame(b"\0", CONTINUATION, rsv=4)
    return out


def answers() -> dict[str, bytes]:
    """Answers to the upgrade."""
    return {
        "proper": ANSWER + b"\r\n",
        "extension": ANSWER + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        "subprotocol": ANSWER + b"Sec-WebSocket-Protocol: x\r\n\r\n",
        "key": ANSWER.replace(b"{accept}", b"AAAA") + b"\r\n",
        "status": ANSWER.replace(b"101 Switching Protocols", b"200 OK") + b"\r\n",
        "redirect": b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n",
        "body": b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno",
        "cut": ANSWER,
        "endless": b"HTTP/1.1 101 Yes\r\nX: " + repeated(40_000, b"x"),
        "no-http": b"\x81\x01x\r\n\r\n",
        "folded": ANSWER + b" folded: x\r\n\r\n",
        "length": ANSWER + b"Content-Length: 5\r\n\r\n",
        "coding": ANSWER + b"Transfer-Encoding: chunked\r\n\r\n",
        "tokens": ANSWER.replace(b"n: Upgrade", b"n: keep-alive\r\nConnection: x, Upgrade") + b"\r\n",
        "no-token": ANSWER.replace(b"n: Upgrade", b"n: keep-alive") + b"\r\n",
        "interim": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n" + ANSWER + b"\r\n",
        "no-reason": ANSWER.replace(b" Switching Protocols", b"") + b"\r\n",
        "lines": b"\r\n\n" + ANSWER.replace(b"\r\n", b"\n") + b"\r\n",
        "nul": ANSWER + b"X: \0\r\n\r\n",
        "no-name": ANSWER + b"X Y: z\r\n\r\n",
    }


def seeds() -> dict[str, bytes]:
    """Name and bytes of every seed."""
    out: dict[str, bytes] = {}
    for number, (name, stream) in enumerate(streams().items()):
        split = list(SPLITS)[number % 4]
        out[name] = settings(SLOW * (number % 3 == 0), message=200_000) + stream
        out[f"{name}-{split}"] = settings(SPLITS[split], seed=number, queue=1 + number % 2) + stream
    for number, (name, stream) in enumerate(compressed().items()):
        out[name] = settings(DEFLATE, message=200_000, queue=number % 3) + stream
        out[f"{name}-resets"] = settings(DEFLATE | RESETS | number % 4, message=1000, read=300) + stream
        # Behind a plain message there is a block, into which the next one is inflated.
        out[f"{name}-in-place"] = settings(DEFLATE | number % 4, seed=number) + frame(b"1") + stream
    good = streams()["messages"]
    pings = streams()["pings"]
    calls = {
        "closes": ((CLOSES, 1),),
        "closes-first": ((CLOSES, 0),),
        "aborts": ((ABORTS, 1),),
        "sends": ((SENDS_TEXT, 0), (SENDS_BINARY, 1), (PINGS, 2)),
        "late-pong": ((PAUSES_WRITING, 0), (RESUMES_WRITING, 7)),
        "late-close": ((PAUSES_WRITING, 0), (CLOSES, 4), (RESUMES_WRITING, 7)),
    }
    for name, made in calls.items():
        for part, stream in (("messages", good), ("pings", pings), ("faults", streams()["close-1005"])):
            out[f"{name}-{part}"] = (
                settings(2 | DEFLATE | COMPRESSES, *made, read=5) + stream + close_frame(1000)
            )
    resumes = ((PAUSES_WRITING, 0), (RESUMES_WRITING, 11), (RESUMES_WRITING, 13))
    out["late-pong-once"] = settings(SPLITS["bytes"], *resumes) + pings + close_frame(1000)
    for number, (name, answer) in enumerate(answers().items()):
        out[f"answer-{name}"] = settings(OWN_ANSWER | number % 4 | RESET * (number % 2)) + answer + good
    return out


def main() -> None:
    """Write them."""
    folder = HERE / "corpus_frames"
    folder.mkdir(exist_ok=True)
    for name, data in seeds().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
