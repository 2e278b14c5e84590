"""What a simulator is told to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from ssl import SSLContext

from rlfast.errors import ConfigError
from rlfast.simulator._faults import parse_fault

__all__ = ["SimulatorOptions"]

MAX_POOL = 1 << 22
"""Largest pool: some 550 MB of frames."""


@dataclass(frozen=True)
class SimulatorOptions:
    """Settings of a `Simulator`. All counts and rates hold for each connection by itself.

    Attributes:
        host: the address to listen on.
        port: the TCP port; 0 lets the system choose a free one.
        events: payloads per connection, ``connected`` included; then the server closes with code 1000. None
            means without end.
        rate: events per second, exact on average: what was held up by a slow client follows at once. None
            means as fast as the client reads; a cycle stream then sends of its own accord only if ``events``
            is set.
        seed: what all payloads are derived from.
        pool: how many events are generated before an agent stream repeats them.
        require_token: the token that a client must present as ``Authorization: Bearer …`` or as the value of
            a cookie; None lets everybody in.
        ssl: a server context for ``wss://``; None serves ``ws://``.
        close_timeout: seconds to wait for the client's half of a closing handshake, and for clients to
            leave when the simulator stops.
        faults: what goes wrong, each such as ``drop:1000`` or ``drop:1000x3`` (the first three connections
            only); `rlfast.simulator._faults` has them all. A fault behind the end of a stream never happens,
            nor does one in a cycle stream that sends nothing of its own accord.

        echo: a cycle stream gives the client's messages back as they came, up to 32 MiB each, instead of
            acknowledging them: for trials of a client, and of this server.

    Raises:
        ConfigError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 0
    events: int | None = None
    rate: float | None = None
    seed: int = 7
    pool: int = 65_536
    require_token: str | None = field(default=None, repr=False)
    ssl: SSLContext | None = None
    close_timeout: float = 5.0
    faults: tuple[str, ...] = ()
    echo: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.host:
            raise ConfigError("host must not be empty; use 127.0.0.1 for this machine only")
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port must be between 0 and 65535, not {self.port}")
        if self.events is not None and self.events < 0:
            raise ConfigError(f"events must not be negative, not {self.events}; None means without end")
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise ConfigError(
                f"rate must be a positive number of events per second, not {self.rate}; None is flat out"
            )
        if not 1 <= self.pool <= MAX_POOL:
            raise ConfigError(f"pool must be between 1 and {MAX_POOL}, not {self.pool}")
        if self.require_token is not None and not _is_token(self.require_token):
            raise ConfigError(
                "require_token must be visible ASCII without spaces, commas, semicolons or quotes"
            )
        if not (math.isfinite(self.close_timeout) and self.close_timeout > 0):
            raise ConfigError(f"close_timeout must be a positive number of seconds, not {self.close_timeout}")
        if isinstance(self.faults, str):
            raise ConfigError(f"faults must be a tuple of texts, such as ({self.faults!r},)")
        for fault in self.faults:
            parse_fault(fault)


def _is_token(text: str) -> bool:
    # RFC 6265 section 4.1.1: what a cookie value may hold; a bearer token (RFC 6750 section 2.1) is a subset.
    return bool(text) and all("!" <= char <= "~" and char not in '",;\\' for char in text)
