"""The simulator: a WebSocket server that looks like the platform, for trials, tests and measurements."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING

from picows import WSUpgradeRequest, WSUpgradeResponseWithListener, ws_create_server

from rlfast.errors import UsageError
from rlfast.simulator import _events as events
from rlfast.simulator._endpoints import Rejection, Stream, resolve
from rlfast.simulator._fault_schedule import FaultSchedule
from rlfast.simulator._faults import parse_fault
from rlfast.simulator._faulty_stream import FaultyConnection
from rlfast.simulator._frames import FrameSequence
from rlfast.simulator._inbound import MAX_ECHO_BYTES
from rlfast.simulator._options import SimulatorOptions
from rlfast.simulator._stream import StreamConnection

if TYPE_CHECKING:
    from typing_extensions import Self

    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter

__all__ = ["Simulator", "serve"]

RETRY_LISTENING = 0.1
"""Seconds between two attempts to get the port back after a restart."""

_LOGGER = logging.getLogger("rlfast.simulator")


class _RedactedLogger(_LoggerAdapter):
    """A logger without the level below DEBUG, at which picows logs whole requests, tokens included."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (the name of logging)
        return level >= logging.DEBUG and super().isEnabledFor(level)


class Simulator:
    """A server with the platform's three streams, on one port. An async context manager.

    Owns its listening socket, its connections and the pools of frames that they share.

    Args:
        options: what to serve, and how.
        on_connect: called with every new connection before its first payload; the place to register actions
            with `StreamConnection.at`.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        on_connect: Callable[[StreamConnection], None] | None = None,
    ) -> None:
        """Keep the options; nothing happens before `start`."""
        self.options = options or SimulatorOptions()
        self._on_connect = on_connect
        self._pools: dict[Stream, FrameSequence] = {}
        self._connections: set[StreamConnection] = set()
        self._all_gone = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._stopping = False
        self._faults: FaultSchedule | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._stop_wanted = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start serving."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self.stop()

    async def start(self) -> None:
        """Listen; when this returns, clients can connect.

        Raises:
            UsageError: the simulator runs already.
            OSError: the address cannot be bound.
        """
        if self._server is not None:
            raise UsageError("the simulator runs already")
        # Before the first client, who would otherwise wait for it; the small pools are made when wanted.
        self._pool(Stream.AGENT_EVENTS)
        self._stopping = False
        self._stop_wanted.clear()
        if self.options.faults:
            self._faults = FaultSchedule(map(parse_fault, self.options.faults), self._restart)
        server = await self._listen(self.options.port)
        self._server = server
        self._port = server.sockets[0].getsockname()[1]

    async def _listen(self, port: int) -> asyncio.Server:
        return await ws_create_server(
            self._accept,
            self.options.host,
            port,
            ssl=self.options.ssl,
            enable_auto_pong=False,
            max_frame_size=MAX_ECHO_BYTES,
            logger_name=_RedactedLogger(_LOGGER, {}),
        )

    async def stop(self) -> None:
        """Close every connection with code 1001 and free the port; do nothing if it is not running.

        Clients that do not leave within ``close_timeout`` seconds are cut off.
        """
        if self._server is None:
            return
        self._stopping = True
        if self._restarting is not None:
            self._stop_wanted.set()
            await asyncio.wait({self._restarting})
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        timeout = self.options.close_timeout
        for connection in self.connections:
            connection.close(1001, "the server shuts down")
        await self._wait_until_gone(timeout)
        self._abort_all(server)
        try:
            await asyncio.wait_for(server.wait_closed(), timeout)
        except asyncio.TimeoutError:
            pass  # Where the server cannot abort its clients, picows' handshake time-out ends the last ones.

    def _abort_all(self, server: asyncio.Server) -> None:
        for connection in self.connections:
            connection.abort()
        # Connections that never got as far as the upgrade are known to the server alone.
        abort_clients = getattr(server, "abort_clients", None)
        if abort_clients is not None:
            abort_clients()

    def _restart(self, seconds: float) -> None:
        """Close the listening socket and all connections at once; listen again after so many seconds."""
        server = self._server
        if server is None or self._stopping or self._restarting is not None:
            return
        server.close()
        self._abort_all(server)
        self._restarting = asyncio.get_running_loop().create_task(self._listen_again(seconds))

    async def _listen_again(self, seconds: float) -> None:
        # Not cancelled when the simulator stops: cancelling half-way would leave a listening socket behind.
        while not await self._stops_within(seconds):
            try:
                self._server = await self._listen(self._port)
                break
            except OSError as error:
                # While nobody listened, another program may have been given the port.
                _LOGGER.warning("cannot listen on port %d again yet: %s", self._port, error)
                seconds = RETRY_LISTENING
        self._restarting = None

    async def _stops_within(self, seconds: float) -> bool:
        try:
            return await asyncio.wait_for(self._stop_wanted.wait(), seconds)
        except asyncio.TimeoutError:
            return False

    async def _wait_until_gone(self, timeout: float) -> None:
        if self._connections:
            self._all_gone.clear()
            try:
                await asyncio.wait_for(self._all_gone.wait(), timeout)
            except asyncio.TimeoutError:
                pass

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        if self._server is None:
            raise UsageError("the simulator does not run")
        return self._port

    @property
    def base_url(self) -> str:
        """The base URL for a client's configuration, such as ``http://127.0.0.1:8080``."""
        return f"http{self._url_rest()}"

    @property
    def connections(self) -> tuple[StreamConnection, ...]:
        """The open connections, in no particular order."""
        return tuple(self._connections)

    def agent_events_url(self, agent_id: str, tenant_id: str) -> str:
        """Return the WebSocket URL of an agent's events."""
        return Stream.AGENT_EVENTS.url(f"ws{self._url_rest()}", agent_id, tenant_id)

    def cycle_url(self, agent_id: str, tenant_id: str) -> str:
        """Return the WebSocket URL of an agent's bidirectional cognitive cycle."""
        return Stream.CYCLE.url(f"ws{self._url_rest()}", agent_id, tenant_id)

    def oversight_url(self, session_id: str, tenant_id: str) -> str:
        """Return the WebSocket URL of an oversight session."""
        return Stream.OVERSIGHT.url(f"ws{self._url_rest()}", session_id, tenant_id)

    def _url_rest(self) -> str:
        secure = "s" if self.options.ssl is not None else ""
        return f"{secure}://{_reachable(self.options.host)}:{self.port}"

    def _accept(self, request: WSUpgradeRequest) -> StreamConnection | WSUpgradeResponseWithListener:
        try:
            if self._stopping:
                raise Rejection(HTTPStatus.SERVICE_UNAVAILABLE, "the server shuts down")
            route = resolve(request, self.options.require_token)
            if self._faults is not None:
                self._faults.admit()
        except Rejection as rejection:
            return WSUpgradeResponseWithListener(rejection.response(), None)
        head = None
        if route.stream is Stream.AGENT_EVENTS:
            head = FrameSequence([events.connected_event(self.options.seed, route.subject_id)])
        # Without faults a stream has nothing of theirs on its way.
        make = StreamConnection if self._faults is None else FaultyConnection
        return make(
            self.options, route, head, self._pool(route.stream), self._add_connection, self._remove_connection
        )

    def _pool(self, stream: Stream) -> FrameSequence:
        if stream not in self._pools:
            make = {
                Stream.AGENT_EVENTS: events.agent_pool,
                Stream.CYCLE: events.cycle_pool,
                Stream.OVERSIGHT: events.alert_pool,
            }[stream]
            self._pools[stream] = FrameSequence(make(self.options.seed, self.options.pool))
        return self._pools[stream]

    def _add_connection(self, connection: StreamConnection) -> None:
        self._connections.add(connection)
        if self._faults is not None and isinstance(connection, FaultyConnection):
            self._faults.opened(connection)
        if self._on_connect is not None:
            self._on_connect(connection)

    def _remove_connection(self, connection: StreamConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()


def _reachable(host: str) -> str:
    """Return how a client on this machine writes the host in a URL."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return str(address) if address.version == 4 else f"[{address}]"


async def serve(options: SimulatorOptions, announce: Callable[[Simulator], None]) -> None:
    """Run a simulator until SIGINT, SIGTERM or SIGHUP, which end it cleanly; those that are ignored stay so.

    Args:
        options: what to serve, and how.
        announce: called once clients can connect.

    Raises:
        OSError: the address cannot be bound.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    previous = {}
    for number in (number for number in signals if signal.getsignal(number) != signal.SIG_IGN):
        # signal.signal, not loop.add_signal_handler: the event loops of Windows have no such method.
        previous[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        async with Simulator(options) as simulator:
            announce(simulator)
            await stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
