"""Answers to the upgrade: what the websockets or the aiohttp client takes, we take, wherever reads cut it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import aiohttp
import pytest
import trustme
import websockets
from proxies import serve_proxy
from test_compression import answer_with
from wsserver import Handler, Peer, close_frame, frame, serve, upgrade_answer

import rlfast
from rlfast import ConnectionOptions

FIRST = b"HTTP/1.1 101 Switching Protocols"
UPGRADE = b"Upgrade: websocket"
CONNECTION = b"Connection: Upgrade"
ACCEPT = b"Sec-WebSocket-Accept: {accept}"


def head(*lines: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join(lines) + 2 * end


def with_connection(*lines: bytes) -> bytes:
    return head(FIRST, UPGRADE, *lines, ACCEPT)


def with_upgrade(*lines: bytes) -> bytes:
    return head(FIRST, *lines, CONNECTION, ACCEPT)


def with_more(*lines: bytes) -> bytes:
    return head(FIRST, UPGRADE, CONNECTION, ACCEPT, *lines)


def with_status(line: bytes) -> bytes:
    return head(line, UPGRADE, CONNECTION, ACCEPT)


PROPER = with_more()

TAKEN = {
    "proper": PROPER,
    # RFC 6455 section 4.1 and RFC 9110 section 7.8: Connection is a list, in one header or in several.
    "connection list": with_connection(b"Connection: keep-alive, Upgrade"),
    "connection list behind": with_connection(b"Connection: upgrade , close"),
    "connection headers": with_connection(b"Connection: keep-alive", CONNECTION),
    "connection headers behind": with_connection(CONNECTION, b"Connection: keep-alive"),
    "connection with empty elements": with_connection(b"Connection: ,keep-alive,,Upgrade,"),
    "upgrade with empty elements": with_upgrade(b"Upgrade: ,websocket,"),
    "upgrade headers": with_upgrade(UPGRADE, b"Upgrade: h2c"),
    "upgrade twice": with_upgrade(UPGRADE, UPGRADE),
    "accept headers": with_more(b"Sec-WebSocket-Accept: AAAA"),
    "case": head(FIRST, b"UPGRADE: WebSocket", b"connection: UPGRADE", b"sec-websocket-accept: {accept}"),
    "white space": head(FIRST, b"Upgrade:websocket", b"Connection: \tUpgrade\t ", ACCEPT),
    # A 101 has no body, whatever it says (RFC 9112 section 6.3).
    "chunked": with_more(b"Transfer-Encoding: chunked"),
    "no content": with_more(b"Content-Length: 0"),
    "content": with_more(b"Content-Length: 5"),
    "absurd content": with_more(b"Content-Length: " + b"6" * 40),
    "no number of content": with_more(b"Content-Length: x"),
    "content and chunks": with_more(b"Content-Length: 0", b"Transfer-Encoding: chunked"),
    # RFC 9110 section 15.2: any number of interim responses come before it.
    "100 before": head(b"HTTP/1.1 100 Continue") + PROPER,
    "102 and 103 before": head(b"HTTP/1.1 102 Processing") + head(b"HTTP/1.1 103 ", b"Link: </x>") + PROPER,
    "many before": head(b"HTTP/1.1 100") * 200 + PROPER,
    "no reason phrase": with_status(b"HTTP/1.1 101"),
    "empty reason phrase": with_status(b"HTTP/1.1 101 "),
    "reason phrase in Latin-1": with_status(b"HTTP/1.1 101 \xe9t\xe9"),
    "reason phrase of 8,000 bytes": with_status(b"HTTP/1.1 101 " + b"x" * 8000),
    "HTTP/1.0": with_status(b"HTTP/1.0 101 Switching Protocols"),
    "HTTP/2.0": with_status(b"HTTP/2.0 101 Switching Protocols"),
    "zero before the status": with_status(b"HTTP/1.1 0101 Switching Protocols"),
    "empty lines before": b"\r\n\n" + PROPER,
    "lines without CR": head(FIRST, UPGRADE, CONNECTION, ACCEPT, end=b"\n"),
    "lines with and without CR": FIRST + b"\n" + UPGRADE + b"\r\n" + CONNECTION + b"\n" + ACCEPT + b"\n\r\n",
    "folded": with_more(b"X: a", b" b"),
    "folded upgrade": with_upgrade(b"Upgrade:", b"\twebsocket"),
    "empty value": with_more(b"X:"),
    "value in Latin-1": with_more(b"X: \xe9"),
    "control character in a value": with_more(b"X: a\x01b\x7f"),
    "no subprotocol": with_more(b"Sec-WebSocket-Protocol:"),
    "cookies": with_more(b"Set-Cookie: a=b", b"Set-Cookie: c=d"),
    "120 headers of 8,000 bytes": with_more(*[b"X%d: " % n + b"x" * 8000 for n in range(120)]),
}

# Answer, and what the error says.
REFUSED = {
    "no upgrade": (with_upgrade(), "its Upgrade header is not websocket"),
    "another protocol": (with_upgrade(b"Upgrade: h2c"), "its Upgrade header"),
    "two protocols": (with_upgrade(b"Upgrade: websocket, h2c"), "its Upgrade header"),
    "two protocols behind": (with_upgrade(b"Upgrade: h2c, websocket"), "its Upgrade header"),
    "protocol with a version": (with_upgrade(b"Upgrade: websocket/13"), "its Upgrade header"),
    "no connection": (with_connection(), "its Connection header does not name upgrade"),
    "close": (with_connection(b"Connection: close"), "its Connection header"),
    "longer token": (with_connection(b"Connection: upgrades, x-upgrade"), "its Connection header"),
    "no comma": (with_connection(b"Connection: keep-alive Upgrade"), "its Connection header"),
    "quoted": (with_connection(b'Connection: "Upgrade"'), "its Connection header"),
    "no accept": (head(FIRST, UPGRADE, CONNECTION), "its Sec-WebSocket-Accept header"),
    "wrong accept": (PROPER.replace(b"{accept}", b"AAAA"), "its Sec-WebSocket-Accept header"),
    "accept in another case": (PROPER.replace(b"{accept}", b"{ACCEPT}"), "its Sec-WebSocket-Accept header"),
    "no colon": (with_more(b"nonsense"), "a line of it is not HTTP header"),
    "no name": (with_more(b": x"), "a line of it is not HTTP header"),
    "space in a name": (with_more(b"X Y: z"), "a line of it is not HTTP header"),
    "space behind a name": (with_more(b"X : y"), "a line of it is not HTTP header"),
    "NUL": (with_more(b"X: a\0b"), "its header X holds CR or NUL"),
    "lines without LF": (head(FIRST, UPGRADE, CONNECTION, ACCEPT, end=b"\r"), "no answer within"),
    "status of four digits": (with_status(b"HTTP/1.1 1010 X"), "it is not HTTP: it begins with"),
    "no status": (with_status(b"HTTP/1.1  101 X"), "it is not HTTP: it begins with"),
    "200": (with_status(b"HTTP/1.1 200 OK"), "HTTP 200"),
    "unregistered": (with_status(b"HTTP/1.1 520 Web Server Returned an Unknown Error"), "HTTP 520"),
    "another server": (b"SSH-2.0-OpenSSH_9.9\r\n", r"it is not HTTP: it begins with b'SSH-2\.0-OpenSSH_9\.9"),
    "cut": (PROPER[:-2], "closed the connection during the upgrade"),
}


def answering(answer: bytes, *, pieces: bool = False, ends: bool = False) -> Handler:
    """A server whose greeting is in the segment with the end of its answer; `pieces`: a byte in a segment."""

    async def handler(peer: Peer) -> None:
        accept = upgrade_answer(peer.request).rpartition(b"Accept: ")[2].strip()
        data = answer.replace(b"{accept}", accept).replace(b"{ACCEPT}", accept.swapcase())
        for n in range(min(len(data), 300) if pieces else 0):
            await peer.write(data[n : n + 1])
            # For a segment of its own.
            await asyncio.sleep(0)
        await peer.write(data[300:] if pieces else data, b"" if ends else frame(b'"hello"'))
        if not ends:
            await peer.hang()

    return handler


async def ours(url: str, **arguments: object) -> object:
    options = ConnectionOptions(connect_timeout=20, close_timeout=0.1)
    async with rlfast.connect(url, backoff=None, options=options, **arguments) as ws:  # type: ignore[arg-type]
        return await ws.next_message()


async def others(url: str, timeout: float) -> list[object]:
    """What each of the others got as the first message; None: it took no upgrade."""
    got: list[object] = [None, None]
    with contextlib.suppress(websockets.InvalidHandshake, TimeoutError):
        async with websockets.connect(
            url, compression=None, proxy=None, open_timeout=timeout, close_timeout=0.1
        ) as first:
            got[0] = await first.recv()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout)) as session:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=0.1)) as second:
                got[1] = await second.receive_str()
    return got


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("name", TAKEN)
async def test_an_upgrade_is_taken(name: str, pieces: bool) -> None:
    async with serve(answering(TAKEN[name], pieces=pieces), accept=False) as server:
        assert await ours(server.url) == "hello"
        assert '"hello"' in await others(server.url, 20)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_upgrade_is_refused(name: str) -> None:
    answer, text = REFUSED[name]
    async with serve(answering(answer, ends=name == "cut"), accept=False) as server:
        options = ConnectionOptions(connect_timeout=1 if "no answer" in text else 20)
        with pytest.raises(rlfast.ConnectError, match=f"^websocket connect failed: .*: .*{text}") as caught:
            await rlfast.connect(server.url, options=options)
        if (status := answer[9:12]) in (b"200", b"520"):
            assert isinstance(caught.value, rlfast.HandshakeRejectedError)
            assert caught.value.status == int(status)
        assert await others(server.url, 1) == [None, None]


@pytest.mark.parametrize("way", ["tls", "http", "https", "socks5"])
@pytest.mark.parametrize("name", ["connection list", "many before", "120 headers of 8,000 bytes"])
async def test_an_upgrade_is_taken_on_every_way(name: str, way: str) -> None:
    """TLS, and proxies with and without TLS behind them."""
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(theirs)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = way in ("tls", "https")
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serve(answering(TAKEN[name]), accept=False, ssl_context=theirs if tls else None)
        )
        arguments: dict[str, object] = {"ssl": context} if tls else {}
        if way != "tls":
            proxy = await stack.enter_async_context(serve_proxy("http" if way == "https" else way))
            arguments["proxy"] = f"{way.replace('https', 'http')}://127.0.0.1:{proxy.port}"
        assert await ours(server.url, **arguments) == "hello"


async def test_the_answer_behind_a_redirect_is_read_alike() -> None:
    moved = answering(head(b"HTTP/1.1 103 Early Hints") + head(b"HTTP/1.1 302", b"Location: /\xe4 b#part"))
    async with serve(moved, answering(TAKEN["connection list"]), accept=False) as server:
        assert await ours(server.url) == "hello"
        # As browsers write what may not stand in a request line.
        assert [peer.path for peer in server.requests] == ["/stream", "/%E4%20b"]


async def test_frames_that_came_with_the_answer_keep_their_place() -> None:
    """Some 3 KiB behind the answer in one segment, cut anywhere, and the rest in the next one."""
    stream = b"".join(frame(b"%d" % n) for n in range(1000)) + close_frame(1000)
    for cut in (0, 1, 2, 3, 1000, 2890, 3000, len(stream)):

        async def handler(peer: Peer, cut: int = cut) -> None:
            await peer.write(upgrade_answer(peer.request), stream[:cut])
            await peer.write(stream[cut:])
            await peer.hang()

        async with serve(handler, accept=False) as server, rlfast.connect(server.url, backoff=None) as ws:
            assert [message async for message in ws] == list(range(1000))


@pytest.mark.parametrize("busy_poll", [0.0, 0.001])
async def test_bytes_behind_the_answer_come_before_what_is_polled(busy_poll: float) -> None:
    """On a reconnect a task waits for a message already, when the answer comes."""

    async def handler(peer: Peer) -> None:
        await peer.write(upgrade_answer(peer.request), b"".join(frame(b"%d" % n) for n in range(500)))
        await peer.write(b"".join(frame(b"%d" % n) for n in range(500, 1000)))
        if len(server.requests) == 5:
            await peer.hang()

    options = ConnectionOptions(busy_poll=busy_poll, read_buffer_size=4096)
    backoff = rlfast.Backoff(initial=0.001)
    async with (
        serve(handler, accept=False) as server,
        rlfast.connect(server.url, backoff=backoff, options=options) as ws,
    ):
        got = [await ws.next_message() for _ in range(4000)]
        for start in range(0, 4000, 1000):
            assert got[start : start + 1000] == list(range(1000))


# -- subprotocols ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [None, "v1.b", "v2"])
async def test_the_subprotocol_is_the_servers_choice(chosen: str | None) -> None:
    greeted: list[str | None] = []

    async def handler(peer: Peer) -> None:
        assert peer.header("Sec-WebSocket-Protocol") == "v2, v1.b"
        header = [] if chosen is None else [f"Sec-WebSocket-Protocol: {chosen}"]
        await peer.write(answer_with(peer, *header))
        await peer.wait_closed()

    def greet(connection: rlfast.NewConnection) -> None:
        greeted.append(connection.subprotocol)

    async with serve(handler, accept=False) as server:
        connecting = rlfast.connect(server.url, subprotocols=("v2", "v1.b"), on_connect=greet)
        assert connecting.connection.subprotocol is None
        async with connecting as ws:
            assert ws.subprotocol == chosen
        async with rlfast.connect(server.url, subprotocols=["v2", "v1.b"]) as ws:
            assert ws.subprotocol == chosen
        assert ws.subprotocol == chosen
    assert greeted == [chosen]


@pytest.mark.parametrize("chosen", [["v3"], ["V2"], ["v2, v1"], ["v2", "v1"], ["v2", "v2"]])
async def test_a_subprotocol_that_was_not_offered_fails_the_attempt(chosen: list[str]) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(answer_with(peer, *(f"Sec-WebSocket-Protocol: {name}" for name in chosen)))
        await peer.hang()

    async with serve(handler, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"chose the subprotocol '.*; v2, v1 was offered$"):
            await rlfast.connect(server.url, subprotocols=["v2", "v1"])
        with pytest.raises(rlfast.ConnectError, match="none was offered$") as raised:
            await rlfast.connect(server.url)
    assert str(raised.value).count("websocket connect failed") == 1


@pytest.mark.parametrize("names", [["a b"], ["a,b"], [""], ["a", "a"], ["\xe9"], ["a\r\n"]])
def test_subprotocols_are_different_tokens(names: list[str]) -> None:
    with pytest.raises(rlfast.ConfigError, match="subprotocols must be"):
        rlfast.connect("ws://localhost/", subprotocols=names)


@pytest.mark.parametrize("name", ["Sec-WebSocket-Protocol", "sec-websocket-protocol"])
async def test_the_header_of_subprotocols_is_refused(name: str) -> None:
    with pytest.raises(rlfast.ConfigError, match=r"subprotocols=\[\.\.\.\]") as caught:
        rlfast.connect("ws://localhost/", headers={name: "s3cret"})
    assert "s3cret" not in str(caught.value)
    with pytest.raises(rlfast.ConfigError, match=r"subprotocols=\[\.\.\.\]"):
        await rlfast.connect("ws://localhost/", headers=lambda: {name: "s3cret"})
