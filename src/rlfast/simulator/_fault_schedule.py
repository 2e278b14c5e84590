"""Which connection has which fault, and which upgrade is refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus

from rlfast.simulator._endpoints import Rejection
from rlfast.simulator._faults import Fault
from rlfast.simulator._faulty_stream import FaultyConnection
from rlfast.simulator._stream import StreamConnection

__all__ = ["FaultSchedule"]

_REFUSALS = {
    "refuse": (HTTPStatus.SERVICE_UNAVAILABLE, "the service is unavailable"),
    "limit": (HTTPStatus.TOO_MANY_REQUESTS, "too many connections"),
}


class FaultSchedule:
    """The faults of one run of a simulator. Counts its connections.

    Args:
        faults: those that were asked for; at one position, they happen in this order.
        restart: closes the server and lets it listen again after so many seconds.
    """

    def __init__(self, faults: Iterable[Fault], restart: Callable[[float], None]) -> None:
        """Begin before the first connection."""
        self._faults = tuple(faults)
        self._restart = restart
        self._opened = 0
        self._refusals: deque[Fault] = deque()
        self._is_expired = False

    def admit(self) -> None:
        """Let one upgrade request pass, which is in order otherwise.

        Raises:
            Rejection: 401 after ``expire``; 503 or 429 while ``refuse`` or ``limit`` has some to refuse.
        """
        if self._is_expired:
            raise Rejection(HTTPStatus.UNAUTHORIZED, "the token has expired", {"WWW-Authenticate": "Bearer"})
        if self._refusals:
            fault = self._refusals.popleft()
            status, message = _REFUSALS[fault.name]
            headers = {} if fault.setting is None else {"Retry-After": str(int(fault.setting))}
            raise Rejection(status, message, headers)

    def opened(self, connection: FaultyConnection) -> None:
        """Register the faults of a new connection with it."""
        number = self._opened
        self._opened += 1
        for fault in self._faults:
            if fault.name in _REFUSALS:
                if number < (fault.connections or 1):
                    self._refusals.extend([fault] * fault.count)
            elif fault.connections is None or number < fault.connections:
                connection.at(fault.count, self._action(fault))

    def _action(self, fault: Fault) -> Callable[[StreamConnection], None]:
        def act(connection: StreamConnection) -> None:
            assert isinstance(connection, FaultyConnection)
            self._perform(fault, connection)

        return act

    def _perform(self, fault: Fault, connection: FaultyConnection) -> None:
        setting = fault.setting or 0.0
        if fault.name == "drop":
            connection.drop()
        elif fault.name == "rst":
            connection.reset()
        elif fault.name == "silent":
            connection.fall_silent()
        elif fault.name == "mute":
            connection.fall_mute()
        elif fault.name == "trickle":
            connection.slow_down(setting)
        elif fault.name == "poison":
            connection.spoil_next()
        elif fault.name == "restart":
            connection.stop_then(lambda: self._restart(setting))
        else:
            assert fault.name == "expire"
            self._is_expired |= connection.expire()
