"""nginx and haproxy in front of a server: what their reloads and their time-outs do to a connection."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import rlfast

from .counting import Counting, counting
from .programs import Number, capturing, check_numbers, find_program, free_port, listening, running

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
{main}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            {location}
        }}
    }}
}}
"""

HAPROXY = """
global
    log stderr format raw local0 notice
    {main}
defaults
    mode http
    log global
    timeout connect 5s
    {defaults}
frontend public
    bind 127.0.0.1:{port}
    default_backend feed
backend feed
    server feed 127.0.0.1:{upstream}
"""
# What Debian's /etc/haproxy/haproxy.cfg says; haproxy itself has no default.
DEBIANS = "timeout client 50000\n    timeout server 50000"


class Proxy:
    """A proxy that runs.

    Attributes:
        url: of the feed through it.
        reload: has it read its configuration again; returns when the new processes have taken over.
    """

    def __init__(self, port: int, reload: Callable[[], Awaitable[None]]) -> None:
        self.url = f"ws://127.0.0.1:{port}/"
        self.reload = reload


@contextlib.asynccontextmanager
async def nginx(
    feed: Counting, folder: Path, *, cuts: bool = False, timeout: int | None = None
) -> AsyncIterator[Proxy]:
    port = free_port()
    main = "worker_shutdown_timeout 1s;\n" * cuts
    if os.geteuid() == 0:
        main += "user root;"
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=folder,
            port=port,
            upstream=feed.port,
            main=main,
            location="" if timeout is None else f"proxy_read_timeout {timeout}s;",
        )
    )
    command = [find_program("nginx"), "-p", folder, "-e", "stderr", "-c", config]
    async with running(*command) as master:
        await master.printed("start worker process ")

        async def reload() -> None:
            async with running(*command, "-s", "reload") as signaller:
                await signaller.process.wait()
            await master.printed("gracefully shutting down")

        yield Proxy(port, reload)


@contextlib.asynccontextmanager
async def haproxy(
    feed: Counting, folder: Path, *, cuts: bool = False, timeout: int | None = None
) -> AsyncIterator[Proxy]:
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(
        HAPROXY.format(
            port=port,
            upstream=feed.port,
            main="hard-stop-after 1s" * cuts,
            defaults=DEBIANS
            if timeout is None
            else f"timeout client {timeout}s\n    timeout server {timeout}s",
        )
    )
    command = [find_program("haproxy"), "-db", "-f", config]
    async with contextlib.AsyncExitStack() as stack:
        process = await stack.enter_async_context(running(*command))
        await listening(port)

        async def reload() -> None:
            # A new process listens on the same port, and has the old one stop.
            nonlocal process
            old = process
            process = await stack.enter_async_context(running(*command, "-sf", str(old.process.pid)))
            await old.printed("Proxy public stopped")

        yield Proxy(port, reload)


PROXIES: dict[str, Any] = {"nginx": nginx, "haproxy": haproxy}


@pytest.fixture(params=PROXIES)
def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Starts the proxy in front of a feed."""
    return lambda feed, **options: PROXIES[request.param](feed, tmp_path, **options)


async def test_a_reload_leaves_a_connection_to_the_old_process(proxied: Any, tmp_path: Path) -> None:
    async with counting() as feed, proxied(feed) as proxy:
        async with capturing(proxy.url, tmp_path / "out", type=Number) as capture:
            await capture.received(100)
            for _ in range(2):
                await proxy.reload()
                await capture.received(1000)
            await capture.end()
    assert (feed.connections, capture.ws.gaps) == (1, ())
    check_numbers(tmp_path / "out", capture.ws)


async def test_a_reload_that_cuts_old_connections_off_is_a_gap(proxied: Any, tmp_path: Path) -> None:
    async with counting() as feed, proxied(feed, cuts=True) as proxy:
        async with capturing(proxy.url, tmp_path / "out", type=Number) as capture:
            await capture.received(100)
            for times in (1, 2):
                await proxy.reload()
                await capture.reconnected(times)
                await capture.received(1000)
            summary = await capture.end()
    assert feed.connections == 3
    assert summary.gap_reasons == {"connection_lost": 2}
    check_numbers(tmp_path / "out", capture.ws)


async def outlive(proxies: list[Proxy], feed: Counting, out: Path, idle_timeout: float) -> None:
    """Be silent until each proxy has hung up on a client without pings; one with pings is still there."""
    async with contextlib.AsyncExitStack() as stack:
        captures = []
        for i, proxy in enumerate(proxies):
            for name, options in (
                ("pings", rlfast.ConnectionOptions(idle_timeout=idle_timeout)),
                ("silent", rlfast.ConnectionOptions(idle_timeout=None)),
            ):
                capture = capturing(proxy.url, out / f"{name}{i}", type=Number, options=options)
                captures.append(await stack.enter_async_context(capture))
        for capture in captures:
            await capture.received(100)
        feed.silent = True
        for silent in captures[1::2]:
            await silent.reconnected()
        feed.silent = False
        for capture in captures:
            await capture.received(100)
            await capture.end()
    reasons = [[gap.reason for gap in capture.ws.gaps] for capture in captures]
    assert reasons == [[], ["connection_lost"]] * len(proxies)
    for capture in captures:
        check_numbers(capture.out, capture.ws)


async def test_pings_outlive_the_time_out(proxied: Any, tmp_path: Path) -> None:
    async with counting() as feed, proxied(feed, timeout=2) as proxy:
        await outlive([proxy], feed, tmp_path, idle_timeout=0.7)


@pytest.mark.slow
async def test_the_default_outlives_the_default_time_outs(tmp_path: Path) -> None:
    """60 s of nginx, and 50 s in the haproxy.cfg of Debian."""
    async with counting() as feed:
        async with contextlib.AsyncExitStack() as stack:
            proxies = []
            for name, proxy in PROXIES.items():
                folder = tmp_path / name
                folder.mkdir()
                proxies.append(await stack.enter_async_context(proxy(feed, folder)))
            default = rlfast.ConnectionOptions().idle_timeout
            assert default is not None
            await outlive(proxies, feed, tmp_path, default)
