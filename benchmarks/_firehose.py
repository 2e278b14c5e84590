"""A server that costs next to nothing: it sends a file of frames again and again, as fast as they are taken.

    python -m benchmarks._firehose FRAMES REPEATS [CERTIFICATE]

It prints its port, serves each client in a thread, ends each stream with a close frame, and ends when
standard input does. A client may ask for another number of repeats by the path, GET /5, and that
the first waits for a message of the client, GET /5/wait. With a certificate and its key, in one PEM file, it
speaks TLS.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import ssl
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
        if size < 126:
            header = struct.pack("!BB", 0x81, size)
        elif size < 65536:
            header = struct.pack("!BBH", 0x81, 126, size)
        else:
            header = struct.pack("!BBQ", 0x81, 127, size)
        out += [header, payload]
    return b"".join(out)


def upgrade_response(request: bytes) -> bytes:
    """The answer to a client's upgrade (RFC 6455 section 4.2.2)."""
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def serve(client: socket.socket, data: bytes, repeats: int) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = client.recv(65536)
        if not piece:
            return
        request += piece
    client.sendall(upgrade_response(request))
    asked = re.match(rb"GET /(\d+)(/wait)? ", request)
    if asked and asked[2]:
        client.recv(65536)
    for _ in range(int(asked[1]) if asked else repeats):
        client.sendall(data)
    client.sendall(NORMAL_CLOSE)
    client.settimeout(5)
    # The client's close frame: then the server is the one to close TCP (RFC 6455 section 7.1.1), and some
    # clients wait for it.
    client.recv(65536)


def serve_to_the_end(client: socket.socket, tls: ssl.SSLContext | None, data: bytes, repeats: int) -> None:
    try:
        with tls.wrap_socket(client, server_side=True) if tls else client as stream:
            serve(stream, data, repeats)
    except OSError:
        pass  # The client had enough.


def main(path: str, repeats: str, certificate: str | None = None) -> None:
    data = Path(path).read_bytes()
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    threading.stack_size(256 * 1024)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        client, _ = listener.accept()
        arguments = (client, tls, data, int(repeats))
        threading.Thread(target=serve_to_the_end, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
