"""Names and their addresses: IPv6, several of them, none, and a resolver that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from wsserver import Peer, frame, upgrade_answer

import rlfast
from rlfast import ConnectionOptions


async def serve_at(host: str) -> asyncio.Server:
    """A server that says hello, at an ephemeral port."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        peer = Peer(reader, writer, request)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await peer.write(upgrade_answer(request) + frame(b'"hello"'))
            await peer.wait_closed()
        writer.close()

    return await asyncio.start_server(run, host, 0)


@contextlib.contextmanager
def dead_listener(host: str, port: int) -> Iterator[None]:
    """An address that lets connections hang: its backlog is full, and the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        yield


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names of this test's own and their addresses, beside those of the system's resolver."""
    known: dict[str, list[str]] = {}
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        found = [system(address, port, *args, **kwargs) for address in known.get(name, [host])]
        return [entry for entries in found for entry in entries]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
async def test_ipv6() -> None:
    try:
        listener = await serve_at("::1")
    except OSError:
        pytest.skip("this machine has no IPv6 address")
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        async with rlfast.connect(f"ws://[::1]:{port}/") as ws:
            assert await ws.next_message() == "hello"
            assert ws.url == f"ws://[::1]:{port}/"


@pytest.mark.parametrize("first", ["127.0.0.1", "127.0.0.2"])
async def test_one_dead_and_one_live_address(names: dict[str, list[str]], first: str) -> None:
    listener = await serve_at("127.0.0.1")
    port = listener.sockets[0].getsockname()[1]
    names["two.example"] = [first, "127.0.0.2" if first == "127.0.0.1" else "127.0.0.1"]
    with dead_listener("127.0.0.2", port):
        async with listener:
            began = time.monotonic()
            async with rlfast.connect(f"ws://two.example:{port}/") as ws:
                # A quarter of a second for the dead one, and a lot for a busy machine.
                assert time.monotonic() - began < 5
                assert await ws.next_message() == "hello"


async def test_all_addresses_dead_is_bounded_by_connect_timeout(names: dict[str, list[str]]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    names["dead.example"] = ["127.0.0.2", "127.0.0.3"]
    with dead_listener("127.0.0.2", port), dead_listener("127.0.0.3", port):
        with pytest.raises(rlfast.ConnectError, match=r"no answer within 0\.6 s"):
            await rlfast.connect(f"ws://dead.example:{port}/", options=ConnectionOptions(connect_timeout=0.6))


async def test_all_addresses_refusing_says_so_once(names: dict[str, list[str]]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names["refusing.example"] = ["127.0.0.1", "127.0.0.2"]
    with pytest.raises(rlfast.ConnectError, match=r"connection refused; is the server running"):
        await rlfast.connect(f"ws://refusing.example:{port}/")


async def test_a_resolver_that_does_not_answer_is_bounded_by_connect_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = threading.Event()
    asked = []

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        assert done.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        for _ in range(3):
            with pytest.raises(rlfast.ConnectError, match=r"no answer within 0\.2 s"):
                await rlfast.connect("ws://slow.example/", options=ConnectionOptions(connect_timeout=0.2))
        assert len(asked) == 1  # The attempts wait for the same look-up: no thread for each.
    finally:
        done.set()


HANGING = """
import asyncio, socket, sys, threading
import rlfast

def getaddrinfo(*args, **kwargs):
    print("asked", flush=True)
    threading.Event().wait()

socket.getaddrinfo = getaddrinfo
kind, url, proxy = sys.argv[1:]
if kind == "uvloop":
    import uvloop
    uvloop.install()

async def main():
    await rlfast.connect(url, proxy=proxy or None)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "http://slow.example:1",
        "https://slow.example:1",
        "socks5://slow.example:1",
        "socks4://slow.example:1",
    ],
)
async def test_ctrl_c_ends_the_process_while_the_resolver_hangs(kind: str, proxy: str) -> None:
    """The threads of the loop's executor would be waited for, by the loop's end and by the process's."""
    pytest.importorskip(kind)
    arguments = ("-W", "ignore::DeprecationWarning", "-c", HANGING, kind, "ws://slow.example/", proxy)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"asked\n"
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (process.returncode, out) == (-signal.SIGINT, b""), err.decode()
    finally:
        if process.returncode is None:
            process.kill()
