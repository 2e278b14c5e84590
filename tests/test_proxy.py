"""Connecting through proxies, and what their refusals say."""

from __future__ import annotations

import logging
import socket
import ssl

import pytest
import trustme
from proxies import serve_proxy
from wsserver import Peer, serve

import rlfast
from rlfast import ConnectionOptions
from rlfast.websocket._proxy import check_proxy, display_proxy

PASSWORD = "p@ss/w0rd:that-nobody-may-see"
ENCODED = "p%40ss%2Fw0rd%3Athat-nobody-may-see"


async def hello(peer: Peer) -> None:
    await peer.text('"hello"')
    await peer.wait_closed()


def trusted() -> tuple[trustme.CA, ssl.SSLContext]:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return authority, context


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("credentials", [False, True])
async def test_through_a_proxy(kind: str, credentials: bool) -> None:
    user, password = ("me", PASSWORD) if credentials else (None, None)
    async with serve(hello) as server, serve_proxy(kind, user=user, password=password) as proxy:
        at = f"me:{ENCODED}@" if credentials else ""
        url = f"{kind}://{at}127.0.0.1:{proxy.port}"
        async with rlfast.connect(server.url, proxy=url) as ws:
            assert await ws.next_message() == "hello"
        assert proxy.targets == [f"127.0.0.1:{server.port}"]


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_tls_is_verified_with_the_server_behind_the_proxy(kind: str) -> None:
    authority, context = trusted()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    async with serve(hello, ssl_context=server_side) as server, serve_proxy(kind) as proxy:
        url = f"{kind}://127.0.0.1:{proxy.port}"
        async with rlfast.connect(server.url, proxy=url, ssl=context) as ws:
            assert await ws.next_message() == "hello"
        # The proxy resolves the name.
        assert proxy.targets == [f"localhost:{server.port}"]
        with pytest.raises(rlfast.ConnectError, match="TLS certificate: (?i:hostname|IP address) mismatch"):
            await rlfast.connect(f"wss://127.0.0.1:{server.port}/", proxy=url, ssl=context)


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("at", ["", "me:wr0ng@"])
async def test_wrong_credentials(kind: str, at: str) -> None:
    async with serve(hello) as server, serve_proxy(kind, user="me", password=PASSWORD) as proxy:
        with pytest.raises(rlfast.ConnectError, match="the proxy wants other credentials") as caught:
            await rlfast.connect(server.url, proxy=f"{kind}://{at}127.0.0.1:{proxy.port}")
        assert server.requests == []
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize(("kind", "refusal"), [("http", 502), ("http", 403), ("socks5", 5), ("socks5", 1)])
async def test_a_proxy_that_does_not_connect(kind: str, refusal: int) -> None:
    async with serve_proxy(kind) as proxy:
        proxy.refuse = refusal
        with pytest.raises(
            rlfast.ConnectError,
            match=rf"^websocket connect failed: ws://.*: the proxy does not connect: .* \(proxy {kind}:",
        ):
            await rlfast.connect("ws://127.0.0.1:1/", proxy=f"{kind}://127.0.0.1:{proxy.port}")


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_no_proxy_there(kind: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(rlfast.ConnectError, match=r"proxy") as caught:
        await rlfast.connect("ws://127.0.0.1:1/", proxy=f"{kind}://me:{ENCODED}@127.0.0.1:{port}")
    assert ENCODED not in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_proxy_that_says_nothing_is_bounded_by_connect_timeout(kind: str) -> None:
    async def hang(peer: Peer) -> None:
        await peer.hang()

    async with serve(hang, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"no answer within 0\.2 s \(proxy"):
            await rlfast.connect(
                "ws://127.0.0.1:1/",
                proxy=f"{kind}://127.0.0.1:{server.port}",
                options=ConnectionOptions(connect_timeout=0.2),
            )


async def test_no_credential_of_a_proxy_in_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for name in ("rlfast", "rlfast.wire", "picows", "asyncio"):
        logging.getLogger(name).setLevel(1)
    async with serve(hello) as server, serve_proxy("http", user="me", password=PASSWORD) as proxy:
        url = f"http://me:{ENCODED}@127.0.0.1:{proxy.port}"
        async with rlfast.connect(server.url, proxy=url) as ws:
            shown = repr(ws) + ws.url + ws.stream + repr(ws.stats)
        proxy.refuse = 500
        with pytest.raises(rlfast.ConnectError) as caught:
            await rlfast.connect(server.url, proxy=url)
    shown += str(caught.value) + repr(caught.value) + caplog.text
    assert f"proxy http://127.0.0.1:{proxy.port}" in shown
    assert PASSWORD not in shown
    assert ENCODED not in shown


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("127.0.0.1:3128", "looks like"),
        ("ftp://h:1", "looks like"),
        ("http://", "looks like"),
        ("http://h:99999", "host or port"),
        (f"http://me:{PASSWORD}@h", "host or port|percent-encode"),
        ("http://h/path", "percent-encode"),
        ("http://h?x", "percent-encode"),
        ("http://h\r\nX: y", "control"),
        (7, "URL"),
    ],
)
def test_impossible_proxies_are_refused_with_their_remedy(url: str, text: str) -> None:
    with pytest.raises(rlfast.ConfigError, match=text) as caught:
        check_proxy(url)
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@h", "http://h:80"),
        ("socks5://h", "socks5://h:1080"),
        ("https://me@[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_what_is_shown_of_a_proxy(url: str, shown: str) -> None:
    assert check_proxy(url) == url
    assert display_proxy(url) == shown


async def test_a_proxy_over_tls() -> None:
    """The certificate of the proxy is verified with the system's authorities: this one is unknown."""
    authority, _ = trusted()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with serve_proxy("http", ssl_context=context) as proxy:
        with pytest.raises(rlfast.ConnectError, match="TLS certificate"):
            await rlfast.connect("ws://127.0.0.1:1/", proxy=f"https://localhost:{proxy.port}")
        assert proxy.targets == []
