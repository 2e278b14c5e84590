"""Opening a connection: what a server, a network or an argument can do wrong, and what the caller is told."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

import pytest
import trustme
from wsserver import Peer, frame, serve, until

import rlfast
from rlfast import ConnectionOptions
from rlfast.websocket._settings import check_headers, check_url, display_url

SECRET = "t0ken-that-nobody-may-see"
AUTH = {"Authorization": f"Bearer {SECRET}"}


async def hang(peer: Peer) -> None:
    await peer.hang()


def answer(status: str, *headers: str, body: bytes = b"") -> object:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]

    async def handler(peer: Peer) -> None:
        await peer.write("\r\n".join(lines).encode() + body)

    return handler


async def accept(peer: Peer) -> None:
    await peer.accept()
    await peer.text('"hello"')
    await peer.wait_closed()


# -- URLs and headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://localhost/x", "begins with ws://"),
        ("https://localhost/x", "begins with wss://"),
        ("ftp://localhost", "looks like"),
        ("localhost:80/x", "looks like"),
        ("ws://", "looks like"),
        ("ws:///path", "looks like"),
        ("ws://localhost:99999/", "host or port"),
        ("ws://localhost:port/", "host or port"),
        (f"ws://{'a' * 64}.example/", "host or port"),
        ("ws://a..example/", "host or port"),
        ("ws://user:pass@localhost/", "credentials"),
        ("ws://user:s3cret", "host or port"),
        ("ws://localhost/#part", "fragment"),
        ("ws://localhost/a b", "spaces"),
        ("ws://localhost/\r\nX: y", "control"),
        ("", "looks like"),
        (b"ws://localhost", "str"),
    ],
)
async def test_an_impossible_url_is_refused_with_its_remedy(url: str, text: str) -> None:
    with pytest.raises(rlfast.ConfigError, match=text) as caught:
        await rlfast.connect(url)
    assert "s3cret" not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_a_possible_url_is_kept() -> None:
    for url in ("ws://localhost", "wss://[::1]:8443/a/b?c=d&e=%20", "ws://127.0.0.1:1/?x"):
        assert check_url(url) == url


def test_the_query_is_never_shown() -> None:
    assert display_url(f"wss://host:1/path?token={SECRET}") == "wss://host:1/path"


@pytest.mark.parametrize("bad", [f"{SECRET}\r\nX-Injected: 1", f"{SECRET}\n", f"{SECRET}\0", 5, None])
def test_headers_that_could_inject_are_refused_without_being_shown(bad: object) -> None:
    with pytest.raises(rlfast.ConfigError, match="Authorization") as caught:
        check_headers({"Authorization": bad})  # type: ignore[dict-item]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x\r\n", "ä"])
def test_header_names_must_be_tokens(name: str) -> None:
    with pytest.raises(rlfast.ConfigError, match="header name"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"connect_timeout": 0},
        {"max_message_size": 0},
        {"max_message_size": 1 << 31},
        {"low_water": 5, "high_water": 5},
        {"first_seq": -1},
        {"block_size": 1.5},
        {"close_timeout": float("nan")},
        {"busy_poll": 0.0011},
        {"busy_poll": -1e-6},
    ],
)
def test_options_are_checked(arguments: dict[str, float]) -> None:
    with pytest.raises(rlfast.ConfigError):
        ConnectionOptions(**arguments)  # type: ignore[arg-type]


# -- the network -------------------------------------------------------------------------------------------


async def test_connection_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(
        rlfast.ConnectError, match=r"^websocket connect failed: .*refused; is the server running"
    ):
        await rlfast.connect(f"ws://127.0.0.1:{port}/")


async def test_a_host_name_that_does_not_exist() -> None:
    with pytest.raises(rlfast.ConnectError, match="cannot resolve the host name"):
        await rlfast.connect("ws://does-not-exist.invalid/")


async def test_a_server_that_accepts_and_says_nothing_is_bounded_by_connect_timeout() -> None:
    async with serve(hang, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"127\.0\.0\.1:.*: no answer within 0\.05 s"):
            await rlfast.connect(server.url, options=ConnectionOptions(connect_timeout=0.05))


async def test_a_header_provider_that_hangs_is_bounded_too() -> None:
    async def headers() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with serve(accept, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match="within"):
            await rlfast.connect(server.url, headers=headers, options=ConnectionOptions(connect_timeout=0.05))
        assert server.requests == []


async def test_a_cancelled_connect_leaves_no_connection_behind() -> None:
    hung_up = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.hang()
        hung_up.set()

    async with serve(silent, accept=False) as server:
        task = asyncio.ensure_future(rlfast.connect(server.url)._run())
        await until(lambda: server.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # At once, not when the time for the handshake is over.
        await asyncio.wait_for(hung_up.wait(), 10)


# -- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("401 Unauthorized", "credentials are missing, wrong or expired"),
        ("403 Forbidden", "do not allow this stream"),
        ("404 Not Found", "check the path and the ids"),
        ("429 Too Many Requests", "too many requests"),
        ("500 Internal Server Error", "did not accept"),
        ("200 OK", "did not accept"),
    ],
)
async def test_a_refused_upgrade_says_why(status: str, advice: str) -> None:
    async with serve(answer(status, "Retry-After: 7", body=SECRET.encode()), accept=False) as server:
        with pytest.raises(rlfast.HandshakeRejectedError, match=advice) as caught:
            await rlfast.connect(server.url + f"?token={SECRET}", headers=AUTH)
    assert caught.value.status == int(status[:3])
    assert caught.value.retry_after == 7.0
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n",
        b"",
        b"HTTP/1.1 101 Swi",
        b"\xff\xfe\r\n\r\n",
        b"X" * 100_000,
    ],
)
async def test_an_answer_that_is_no_upgrade(reply: bytes) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(reply)

    async with serve(handler, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match="^websocket connect failed: "):
            await rlfast.connect(server.url, options=ConnectionOptions(connect_timeout=10))


async def test_redirects_within_the_origin_are_followed() -> None:
    async with serve(
        answer("302 Found", "Location: /moved?x=1"),
        answer("308 Permanent Redirect", "Location: again"),
        accept,
        accept=False,
    ) as server:
        async with rlfast.connect(server.url, headers=AUTH) as ws:
            assert await ws.next_message() == "hello"
        assert [peer.path for peer in server.requests] == ["/stream", "/moved?x=1", "/again"]
        assert all(peer.header("Authorization") for peer in server.requests)


async def test_a_redirect_to_another_origin_gets_no_credentials() -> None:
    async with serve(accept, accept=False) as other:
        for location in (other.url, other.url.replace("ws:", "http:"), f"//127.0.0.1:{other.port}/x"):
            async with serve(answer("302 Found", f"Location: {location}"), accept=False) as server:
                with pytest.raises(rlfast.ConnectError, match="another origin"):
                    await rlfast.connect(server.url, headers=AUTH)
        assert other.requests == []


@pytest.mark.parametrize("location", ["ws://127.0.0.1:99999/", "ws://127.0.0.1:x/", "ws://[::1/", "//[x]/"])
async def test_a_redirect_to_no_url(location: str) -> None:
    async with serve(answer("302 Found", f"Location: {location}"), accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match="redirect to a URL with an invalid host or port"):
            await rlfast.connect(server.url)


async def test_a_redirect_loop_ends() -> None:
    async with serve(answer("302 Found", "Location: /stream"), accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match="more than 5 redirects"):
            await rlfast.connect(server.url)
        assert len(server.requests) == 6


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_with_a_trusted_certificate(authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serve(accept, accept=False, ssl_context=server_context(authority, "localhost")) as server:
        async with rlfast.connect(server.url, ssl=trusting) as ws:
            assert await ws.next_message() == "hello"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_tls_is_verified_by_default(authority: trustme.CA) -> None:
    async with serve(accept, accept=False, ssl_context=server_context(authority, "localhost")) as server:
        with pytest.raises(rlfast.ConnectError, match=r"TLS certificate: .*cafile"):
            await rlfast.connect(server.url, headers=AUTH)
        assert server.requests == []
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serve(accept, accept=False, ssl_context=server_context(authority, "other.example")) as server:
        with pytest.raises(rlfast.ConnectError, match="TLS certificate: hostname mismatch"):
            await rlfast.connect(server.url, ssl=trusting, headers=AUTH)
        assert server.requests == []


async def test_tls_to_a_port_that_does_not_speak_it() -> None:
    async def plain(peer: Peer) -> None:
        raise AssertionError("a TLS hello is not HTTP request")

    async with serve(plain, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"^websocket connect failed"):
            await rlfast.connect(
                server.url.replace("ws:", "wss:"), options=ConnectionOptions(connect_timeout=0.5)
            )


# -- secrets -----------------------------------------------------------------------------------------------


async def test_no_secret_in_logs_reprs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    """picows logs the whole upgrade request at its debug level (9); asyncio's debug mode logs a lot too."""
    caplog.set_level(1)
    for name in ("rlfast", "rlfast.wire", "picows", "picows.client", "asyncio"):
        logging.getLogger(name).setLevel(1)

    async def breaking(peer: Peer) -> None:
        assert peer.header("Authorization") == f"Bearer {SECRET}"
        await peer.accept()
        await peer.write(frame(b"1") + b"\xff\xff")
        await peer.hang()

    asyncio.get_running_loop().set_debug(True)
    async with serve(breaking, answer("401 Unauthorized"), accept=False) as server:
        ws = await rlfast.connect(server.url + f"?token={SECRET}", headers=AUTH, backoff=None)
        assert await ws.next_message() == 1
        assert await ws.next_message() is None
        shown = [
            repr(ws),
            str(ws.last_error),
            repr(ws.last_error),
            ws.url,
            ws.stream,
            repr(ws.stats),
            repr(ws.gaps),
        ]
        with pytest.raises(rlfast.HandshakeRejectedError) as caught:
            await rlfast.connect(server.url, headers=AUTH)
        shown += [str(caught.value), repr(caught.value)]
    assert caplog.records
    assert SECRET not in caplog.text
    assert SECRET not in "".join(shown)
