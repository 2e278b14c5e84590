"""A server that costs next to nothing: it sends a file of frames again and again, as fast as they are taken.

    python -m benchmarks._firehose FRAMES REPEATS

It prints its port, serves one client after the other, ends each stream with a close frame, and ends when
standard input does.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
NORMAL_CLOSE = b"\x88\x02\x03\xe8"


def frames(payloads: Iterable[bytes]) -> bytes:
    """Unmasked text frames (RFC 6455 section 5.2)."""
    out = []
    for payload in payloads:
        size = len(payload)
        header = struct.pack("!BB", 0x81, size) if size < 126 else struct.pack("!BBH", 0x81, 126, size)
        out += [header, payload]
    return b"".join(out)


def serve(client: socket.socket, data: bytes, repeats: int) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = client.recv(65536)
        if not piece:
            return
        request += piece
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    for _ in range(repeats):
        client.sendall(data)
    client.sendall(NORMAL_CLOSE)
    client.settimeout(5)
    while client.recv(65536):
        pass


def main(path: str, repeats: str) -> None:
    data = Path(path).read_bytes()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        client, _ = listener.accept()
        with client:
            try:
                serve(client, data, int(repeats))
            except OSError:
                pass  # The client had enough.


if __name__ == "__main__":
    main(*sys.argv[1:])
