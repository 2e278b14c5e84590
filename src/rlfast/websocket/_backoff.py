"""When to try again, and whether: the delays between attempts to reconnect, as a pure iterator, and the rule.

Nothing here reads a clock or sleeps. `Backoff` says how long to wait and when to give up; the connection
does the waiting. The randomness is an argument, so that a schedule can be tested without any.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rlfast.errors import ConfigError, HandshakeRejectedError, check_bool, check_int, check_number

__all__ = ["Backoff", "Retry"]

Retry: TypeAlias = Callable[[Exception, int], bool]

# Unauthorized and Forbidden (RFC 9110 section 15.5).
_REFUSALS = frozenset({401, 403})

# Too Many Requests and Service Unavailable (RFC 6585 section 4, RFC 9110 section 15.6.4).
_RETRY_AFTER_STATUSES = frozenset({429, 503})
_LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Backoff:
    """A schedule of reconnect attempts with exponentially growing delays. All times are in seconds.

    Before attempt ``n`` (counted from 0) the client waits ``min(cap, initial * factor**n)``; with `jitter`, a
    uniformly random time between 0 and that bound ("full jitter"). The randomness is applied after the cap,
    so that clients that lost the same server stay spread out however long it is gone.

    Attributes:
        initial: the bound of the first delay, more than 0.
        factor: the growth of the bound from one attempt to the next, at least 1.
        cap: the largest bound, at least `initial`.
        max_attempts: attempts in a row before the client gives up; None for no limit.
        jitter: whether the delays are random.
        reset_after: how long a connection must last before the count of attempts starts anew. A server that
            accepts and drops at once then meets growing delays instead of a fresh schedule each time.
        max_refusals: attempts in a row that are answered with 401, or with 403, before the client gives up;
            None for no limit. One alone says little: a token may have expired while it was on its way, and
            uvicorn and hypercorn answer 403 to whatever their application refuses, also when it is
            overloaded or restarting (close code 1013, say).
        honor_retry_after: whether a refusal with 429 or 503 and a Retry-After header delays the next attempt.
        max_retry_after: the most of a Retry-After header that is honoured.

    Raises:
        ConfigError: a value is out of range.
    """

    initial: float = 1.0
    factor: float = 2.0
    cap: float = 30.0
    max_attempts: int | None = None
    jitter: bool = True
    reset_after: float = 60.0
    max_refusals: int | None = 5
    honor_retry_after: bool = True
    max_retry_after: float = 300.0

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_number("Backoff.initial", self.initial, 0, _LARGEST, above=True, note="s")
        check_number("Backoff.factor", self.factor, 1, _LARGEST)
        check_number("Backoff.cap", self.cap, self.initial, _LARGEST, note="s")
        check_number("Backoff.reset_after", self.reset_after, 0, _LARGEST, note="s")
        check_number("Backoff.max_retry_after", self.max_retry_after, 0, _LARGEST, note="s")
        note = "(for no reconnect at all pass backoff=None)"
        check_int("Backoff.max_attempts", self.max_attempts, 1, note=note, optional=True)
        check_bool("Backoff.jitter", self.jitter)
        check_bool("Backoff.honor_retry_after", self.honor_retry_after)
        check_int("Backoff.max_refusals", self.max_refusals, 1, optional=True)

    @classmethod
    def official(cls) -> Backoff:
        """Return the schedule of the official Rust SDK.

        Ten attempts after 1, 2, 4, 8, 16 and then 30 seconds each, 181 seconds in all, without jitter. Every
        connection that opens starts the schedule anew, every error is retried and Retry-After is not read.
        """
        return cls(
            max_attempts=10,
            jitter=False,
            reset_after=0.0,
            max_refusals=None,
            honor_retry_after=False,
        )

    @classmethod
    def capture(cls) -> Backoff:
        """Return the schedule of a capture: it tries for ever, spreads out, and stops after five refusals."""
        return cls()

    def delays(self, random: Callable[[], float] = random.random) -> Iterator[float]:
        """Yield the delay before each attempt, in seconds; ends after `max_attempts`.

        Args:
            random: returns a float from 0 up to 1, as `random.random` does.
        """
        bound = self.initial
        attempt = 0
        while self.max_attempts is None or attempt < self.max_attempts:
            yield bound * random() if self.jitter else bound
            attempt += 1
            # Not initial * factor**attempt: that overflows a float after some hundred attempts.
            bound = min(self.cap, bound * self.factor)

    def next_delay(self, delay: float, error: BaseException | None) -> float:
        """Return `delay` (seconds), prolonged by the Retry-After of the last error if there is one to honour.

        The random delay is added to the server's wish rather than compared with it: all clients that were
        told the same number would otherwise come back in the same instant.
        """
        if (
            not self.honor_retry_after
            or not isinstance(error, HandshakeRejectedError)
            or error.status not in _RETRY_AFTER_STATUSES
            or error.retry_after is None
            or not error.retry_after > 0.0
        ):
            return delay
        return delay + min(error.retry_after, self.max_retry_after)

    def retries(self, error: Exception, attempt: int) -> bool:
        """Tell whether to try again after `error`: the rule that ``retry`` of `rlfast.connect` replaces.

        It is asked when a connection was lost, and when an attempt to reconnect has failed; never about the
        first connection, which is tried once. Credentials and URLs that functions return are asked for anew
        for each attempt.

        Args:
            error: a `ConnectionClosedError` with the close code or another `NetworkError` of a connection
                that was lost; a `HandshakeRejectedError` with the HTTP status or another `ConnectError` of an
                attempt; or whatever a header provider or a URL function has raised.
            attempt: how often in a row it was this one: the same class, HTTP status and close code; from 1.

        Returns:
            False after `max_refusals` answers of 401 or 403, and for a `ConfigError`, which another attempt
            cannot mend: headers or a URL that cannot be sent. True for everything else, every close code
            included.
        """
        if isinstance(error, HandshakeRejectedError) and error.status in _REFUSALS:
            return self.max_refusals is None or attempt < self.max_refusals
        return not isinstance(error, ConfigError)
