"""When to try again: the delays between the attempts to reconnect, as a pure iterator.

Nothing here reads a clock or sleeps. `Backoff` says how long to wait and what not to retry; the connection
does the waiting. The randomness is an argument, so that a schedule can be tested without any.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rlfast.errors import HandshakeRejectedError, check_bool, check_int, check_number, check_type

__all__ = ["Backoff"]

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
        fatal_statuses: HTTP statuses of a refused upgrade that end the attempts, because a retry cannot help.
            403 is none of them by default: uvicorn and hypercorn answer it to whatever their application
            refuses, also when it is overloaded or restarting (close code 1013, say).
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
    fatal_statuses: frozenset[int] = frozenset({401})
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
        what = "a frozenset of HTTP statuses"
        check_type("Backoff.fatal_statuses", self.fatal_statuses, frozenset, what=what)
        for status in self.fatal_statuses:
            check_int("Backoff.fatal_statuses", status, 100, 599, note="each")

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
            fatal_statuses=frozenset(),
            honor_retry_after=False,
        )

    @classmethod
    def capture(cls) -> Backoff:
        """Return the schedule of a capture: it tries for ever, spreads out, and stops on 401 only."""
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

    def is_fatal(self, error: BaseException | None) -> bool:
        """Tell whether `error` ends the attempts: a refused upgrade with one of `fatal_statuses`."""
        return isinstance(error, HandshakeRejectedError) and error.status in self.fatal_statuses
