"""Servers that mean harm: each costs bounded time and memory, and ends in a clear error."""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from streams import FakeTiming
from wsserver import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, close_frame, frame, serve, until

import rlfast
from rlfast import Backoff, ConnectionOptions

Handler = Callable[[Peer], Awaitable[None]]


def peak_memory() -> int:
    """Bytes that this process has had resident at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def expect_close(peer: Peer, code: int) -> None:
    opcode, payload = await peer.read_frame()
    assert opcode == CLOSE
    assert int.from_bytes(payload[:2], "big") == code


# -- handshakes ----------------------------------------------------------------------------------------------


async def test_a_handshake_byte_by_byte_is_bounded_by_connect_timeout() -> None:
    sent = 0

    async def slow_loris(peer: Peer) -> None:
        nonlocal sent
        answer = b"HTTP/1.1 101 Switching Protocols\r\nX-Padding: " + b"x" * 10_000
        for byte in answer:
            await peer.write(bytes([byte]))
            sent += 1
            await asyncio.sleep(0.001)

    async with serve(slow_loris, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"no answer within 0\.2 s"):
            await rlfast.connect(server.url, options=ConnectionOptions(connect_timeout=0.2))
    assert sent > 10


@pytest.mark.parametrize(
    "line", [b"X-Padding: " + b"x" * 80 + b"\r\n", b"x" * 4096], ids=["headers", "no line end"]
)
async def test_a_handshake_that_never_ends_is_refused_when_it_is_too_large(line: bytes) -> None:
    refused_after = 0

    async def endless(peer: Peer) -> None:
        nonlocal refused_after
        await peer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
        while True:
            await peer.write(line)
            refused_after += len(line)

    before = peak_memory()
    async with serve(endless, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"not a WebSocket upgrade: .*(too|exceed|large|big)"):
            await rlfast.connect(server.url, options=ConnectionOptions(connect_timeout=30))
    assert peak_memory() - before < 32 << 20


@pytest.mark.parametrize("length", ["1000000000000", "-1", "x"])
async def test_a_refusal_with_an_absurd_body_ends(length: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(f"HTTP/1.1 500 Oh\r\nContent-Length: {length}\r\n\r\n".encode())
        while True:
            await peer.write(bytes(65536))

    before = peak_memory()
    async with serve(handler, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match="^websocket connect failed: "):
            await rlfast.connect(server.url, options=ConnectionOptions(connect_timeout=1.0))
    assert peak_memory() - before < 64 << 20


async def test_a_server_that_accepts_tcp_and_says_nothing_to_tls() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)
        await reader.read(100_000)
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(rlfast.ConnectError, match=r"no answer within 0\.2 s"):
            await rlfast.connect(f"wss://127.0.0.1:{port}/", options=ConnectionOptions(connect_timeout=0.2))


@pytest.mark.parametrize("frames", [b"", frame(b"1"), frame(b"1") * 3])
async def test_frames_in_the_segment_of_the_answer_are_kept(frames: bytes) -> None:
    """No hostility, but where a client of two parsers loses bytes."""
    from wsserver import upgrade_answer

    async def handler(peer: Peer) -> None:
        await peer.write(upgrade_answer(peer.request) + frames)
        await peer.close()

    async with serve(handler, accept=False) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert [message async for message in ws] == [1] * (len(frames) // 3)


# -- frames --------------------------------------------------------------------------------------------------


async def last_error(handler: Handler, **options: Any) -> rlfast.WebSocketConnection[Any]:
    """The connection after everything was read."""
    async with (
        serve(handler) as server,
        rlfast.connect(server.url, backoff=None, options=ConnectionOptions(**options)) as ws,
    ):
        while True:
            try:
                if await ws.next_message() is None:
                    return ws
            except (rlfast.DecodeError, rlfast.MessageTooBigError):
                continue


@pytest.mark.parametrize(
    ("length", "code"),
    [(1 << 63, 1002), ((1 << 64) - 1, 1002), ((1 << 63) - 1, 1009), (1 << 40, 1009), ((16 << 20) + 1, 1009)],
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_length_that_nobody_can_hold(length: int, code: int, opcode: int) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1"), bytes([0x80 | opcode, 127]) + length.to_bytes(8, "big"), b"x" * 1000)
        await expect_close(peer, code)

    before = peak_memory()
    ws = await last_error(handler)
    assert isinstance(ws.last_error, rlfast.ProtocolError)
    assert ws.last_error.close_code == code
    assert ws.gaps[0].reason.startswith("message_too_big" if code == 1009 else "protocol_error")
    assert peak_memory() - before < 32 << 20


@pytest.mark.parametrize("piece", [b"", b"x" * 10_000])
async def test_endless_fragments(piece: bytes) -> None:
    """Empty ones cost nothing to keep; of others there is a limit on all of them together."""

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b'"', fin=False))
        fragments = frame(piece, CONTINUATION, fin=False) * (20_000 if not piece else 20)
        for _ in range(10):
            await peer.write(fragments)
        if piece:
            await expect_close(peer, 1009)
        else:
            await peer.write(frame(b'"', CONTINUATION))
            await peer.close()

    before = peak_memory()
    ws = await last_error(handler, max_message_size=1_000_000)
    if piece:
        assert isinstance(ws.last_error, rlfast.MessageTooBigError)
    else:
        assert ws.last_error is None
        assert ws.stats.messages == 1
    assert peak_memory() - before < 32 << 20


async def test_a_million_empty_messages() -> None:
    """Not one byte of payload; they are counted against ``high_water`` all the same."""
    options = ConnectionOptions(high_water=1 << 20, low_water=1 << 19)

    async def handler(peer: Peer) -> None:
        for _ in range(1000):
            await peer.write(frame(b"") * 1000)
        await peer.close()

    count = 0
    async with serve(handler) as server, rlfast.connect(server.url, backoff=None, options=options) as ws:
        await until(lambda: ws.stats.paused)
        assert ws.stats.messages < 400_000
        async for batch in ws.batches():
            count += len(batch.dead_letters)
            assert ws.stats.allocated_bytes < 8 << 20
    assert count == 1_000_000


async def test_a_ping_flood_from_a_peer_that_reads_nothing() -> None:
    """Pongs must not pile up: when the peer reads again, the last of its pings is answered."""
    go = asyncio.Event()
    pings = 200_000

    async def handler(peer: Peer) -> None:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for start in range(0, pings, 1000):
            await peer.write(b"".join(frame(b"%0125d" % n, PING) for n in range(start, start + 1000)))
        await peer.text('"flooded"')
        await go.wait()
        peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
        last = -1
        while last != pings - 1:
            opcode, payload = await peer.read_frame()
            assert opcode == PONG
            assert int(payload) > last, "pongs come in the order of the pings"
            last = int(payload)
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() == "flooded"
        assert ws._reconnector.frame_handler is not None
        assert ws._reconnector.frame_handler.write_paused
        assert ws._reconnector.frame_handler.transport.underlying_transport.get_write_buffer_size() < 1 << 20
        go.set()
        assert await ws.next_message() is None
        assert ws.last_error is None


async def test_pings_under_full_load_are_answered_in_order() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(b"".join(frame(b"1") + frame(b"%d" % n, PING) for n in range(2000)))
        for n in range(2000):
            assert await peer.read_frame() == (PONG, b"%d" % n)
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert len([message async for message in ws]) == 2000


# -- close codes ---------------------------------------------------------------------------------------------

VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999]
INVALID = [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", [*VALID, None])
async def test_every_close_is_echoed_recorded_and_reconnected_from(code: int | None) -> None:
    """The table of docs/connection.md: no code means that the server will never be there again."""

    async def closing(peer: Peer) -> None:
        await peer.text('"first"')
        await peer.write(close_frame(code, b"why" if code else b""))
        opcode, payload = await peer.read_frame()
        assert (opcode, payload) == (CLOSE, (code or 1000).to_bytes(2, "big"))
        await peer.hang()

    async def second(peer: Peer) -> None:
        await peer.text('"second"')
        await peer.wait_closed()

    async with (
        serve(closing, second) as server,
        rlfast.connect(server.url, timing=FakeTiming().timing) as ws,
    ):
        assert await ws.next_message() == "first"
        assert await ws.next_message() == "second"
        (gap,) = ws.gaps
        assert (gap.reason, gap.close_code) == ("closed_by_peer", code)


@pytest.mark.parametrize("code", INVALID)
async def test_a_code_that_may_not_be_sent_is_a_protocol_error_and_reconnected_from(code: int) -> None:
    async def closing(peer: Peer) -> None:
        await peer.write(close_frame(code))
        await expect_close(peer, 1002)

    async def second(peer: Peer) -> None:
        await peer.text('"second"')
        await peer.wait_closed()

    async with (
        serve(closing, second) as server,
        rlfast.connect(server.url, timing=FakeTiming().timing, backoff=Backoff.capture()) as ws,
    ):
        assert await ws.next_message() == "second"
        (gap,) = ws.gaps
        assert gap.reason.startswith("protocol_error: ")
        assert gap.close_code is None


@pytest.mark.parametrize("code", VALID)
async def test_without_backoff_only_1000_is_a_normal_end(code: int) -> None:
    async def closing(peer: Peer) -> None:
        await peer.close(code)

    async with serve(closing) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() is None
        assert (ws.last_error is None) == (code == 1000)
        assert len(ws.gaps) == (code != 1000)


# -- TLS -----------------------------------------------------------------------------------------------------


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(tmp_path: Any) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "self-signed.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("expired", "certificate has expired"),
        ("other host", "hostname mismatch"),
        ("self-signed", "self-signed certificate"),
        ("unknown CA", "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_proves_nothing(fault: str, text: str, tmp_path: Any) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    context = {
        "expired": lambda: context_of(
            authority.issue_cert(
                "localhost", not_before=yesterday - datetime.timedelta(days=9), not_after=yesterday
            )
        ),
        "other host": lambda: context_of(authority.issue_cert("other.example")),
        "self-signed": lambda: self_signed(tmp_path),
        "unknown CA": lambda: context_of(stranger.issue_cert("localhost")),
    }[fault]()

    async def never(peer: Peer) -> None:
        raise AssertionError("the request must not be sent to whoever this is")

    async with serve(never, accept=False, ssl_context=context) as server:
        with pytest.raises(rlfast.ConnectError, match=rf"TLS certificate: (?i:{text}).*; .*cafile"):
            await rlfast.connect(server.url, ssl=trusting, headers={"Authorization": "Bearer secret"})
    assert server.requests == []


@pytest.mark.parametrize("inside_frame", [False, True])
async def test_tls_that_is_cut_off_is_a_lost_connection(inside_frame: bool) -> None:
    """Without close_notify, who cut the stream is not known: it is not an end of the stream."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def cut(peer: Peer) -> None:
        await peer.text('"whole"')
        if inside_frame:
            await peer.write(frame(b'"half of a message"')[:9])
        # Past the TLS layer, and by a socket of our own: uvloop's has no shutdown.
        with socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)
        await peer.hang()

    async def second(peer: Peer) -> None:
        await peer.text('"second"')
        await peer.wait_closed()

    async with (
        serve(cut, second, ssl_context=context_of(authority.issue_cert("localhost"))) as server,
        rlfast.connect(server.url, ssl=trusting, timing=FakeTiming().timing) as ws,
    ):
        assert await ws.next_message() == "whole"
        assert await ws.next_message() == "second"
        (gap,) = ws.gaps
        assert (gap.reason, gap.close_code) == ("connection_lost", None)
