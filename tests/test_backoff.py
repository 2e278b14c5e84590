from __future__ import annotations

import math
import random
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlfast.errors import (
    ConfigError,
    ConnectError,
    ConnectionClosedError,
    HandshakeRejectedError,
    NetworkError,
)
from rlfast.websocket._backoff import Backoff


def refused(status: int, retry_after: float | None = None) -> HandshakeRejectedError:
    return HandshakeRejectedError(f"the server answered {status}", status, retry_after)


schedules = st.builds(
    Backoff,
    initial=st.floats(0.001, 10.0),
    factor=st.floats(1.0, 1e3),
    cap=st.floats(10.0, 1e4),
    max_attempts=st.none() | st.integers(1, 50),
    jitter=st.booleans(),
)


def test_the_official_schedule_is_that_of_the_rust_sdk() -> None:
    delays = list(Backoff.official().delays())
    assert delays == [min(1.0 * 2 ** (attempt - 1), 30.0) for attempt in range(1, 11)]
    assert sum(delays) == 181.0


def test_the_official_schedule_retries_everything_and_reads_no_retry_after() -> None:
    backoff = Backoff.official()
    assert all(backoff.retries(refused(status), 10) for status in (401, 403, 404, 500))
    assert backoff.next_delay(4.0, refused(503, 60.0)) == 4.0
    assert backoff.reset_after == 0.0


def test_the_capture_schedule_is_the_default() -> None:
    assert Backoff.capture() == Backoff()
    assert Backoff.capture().max_attempts is None
    assert Backoff.capture().reset_after == 60.0


def test_jitter_survives_the_cap() -> None:
    late = list(islice(Backoff.capture().delays(random.Random(7).random), 50, 150))
    assert len(set(late)) == 100
    assert max(late) - min(late) > 20.0
    assert 0.0 <= min(late) <= max(late) <= 30.0
    assert sum(late) / 100 == pytest.approx(15.0, abs=3.0)


@given(schedules, st.floats(0.0, 1.0, exclude_max=True))
def test_delays_stay_within_their_bounds(backoff: Backoff, fraction: float) -> None:
    count = 40 if backoff.max_attempts is None else backoff.max_attempts
    delays = list(islice(backoff.delays(lambda: fraction), 60 if backoff.max_attempts else 40))
    assert len(delays) == count
    for attempt, delay in enumerate(delays):
        bound = min(backoff.cap, backoff.initial * backoff.factor**attempt)
        assert delay == pytest.approx(bound * fraction if backoff.jitter else bound)
        assert 0.0 <= delay <= backoff.cap
    assert all(earlier <= later for earlier, later in pairwise(delays))


@given(schedules)
def test_without_jitter_no_randomness_is_asked_for(backoff: Backoff) -> None:
    asked: list[None] = []

    def half() -> float:
        asked.append(None)
        return 0.5

    taken = len(list(islice(backoff.delays(half), 7)))
    assert len(asked) == (taken if backoff.jitter else 0)


def test_an_unlimited_schedule_does_not_overflow() -> None:
    assert next(islice(Backoff(jitter=False, factor=1e9, cap=1e9).delays(), 5_000, None)) == 1e9


def test_iterators_are_independent() -> None:
    backoff = Backoff.official()
    first = backoff.delays()
    assert [next(first), next(first)] == [1.0, 2.0]
    assert next(backoff.delays()) == 1.0
    assert next(first) == 4.0


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_and_keeps_the_jitter(status: int) -> None:
    backoff = Backoff.capture()
    assert backoff.next_delay(0.5, refused(status, 20.0)) == 20.5
    assert backoff.next_delay(2.5, refused(status, 1.0)) == 3.5
    assert backoff.next_delay(0.5, refused(status, 86_400.0)) == 300.5
    assert backoff.next_delay(0.5, refused(status, math.inf)) == 300.5


@given(st.floats(0.0, 30.0), st.floats())
def test_the_next_delay_is_finite_and_no_shorter(delay: float, retry_after: float) -> None:
    waited = Backoff.capture().next_delay(delay, refused(429, retry_after))
    assert delay <= waited <= delay + 300.0


@pytest.mark.parametrize(
    "error",
    [
        None,
        refused(429),
        refused(429, 0.0),
        refused(500, 20.0),
        ConnectError("no route"),
        NetworkError("gone"),
    ],
)
def test_without_a_retry_after_to_honour_the_delay_stands(error: NetworkError | None) -> None:
    assert Backoff.capture().next_delay(0.5, error) == 0.5


def test_only_so_many_refusals_end_the_attempts() -> None:
    backoff = Backoff.capture()
    statuses = (400, 401, 403, 404, 429, 500, 503)
    assert all(backoff.retries(refused(status), attempt) for status in statuses for attempt in range(1, 5))
    assert [status for status in statuses if not backoff.retries(refused(status), 5)] == [401, 403]
    for error in (ConnectError("no route"), ConnectionClosedError("busy", 1013, None), ValueError("hook")):
        assert backoff.retries(error, 1000)
    assert not backoff.retries(ConfigError("a header"), 1)
    assert not Backoff(max_refusals=1).retries(refused(403), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial": 0.0}, "initial must be a number of more than 0"),
        ({"initial": -1.0}, "initial must be"),
        ({"initial": math.nan}, "initial must be"),
        ({"initial": "1"}, "initial must be"),
        ({"initial": True}, "initial must be"),
        ({"factor": 0.5}, "factor must be a number of at least 1"),
        ({"factor": math.inf}, "factor must be .* at most 1e.09"),
        ({"cap": 0.5}, "cap must be a number of at least 1"),
        ({"cap": 10**400}, "cap must be"),
        ({"max_attempts": 0}, "max_attempts must be .* pass backoff=None"),
        ({"max_attempts": 2.0}, "max_attempts must be"),
        ({"max_attempts": True}, "max_attempts must be"),
        ({"reset_after": -1.0}, "reset_after must be"),
        ({"max_retry_after": -1.0}, "max_retry_after must be"),
        ({"max_refusals": 0}, "max_refusals must be int of at least 1 or None"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^Backoff.{message}"):
        Backoff(**arguments)
