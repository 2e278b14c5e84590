"""Autobahn's case files against our client and the simulator, run by kosoku: ``pytest -m conformance``.

Sections 1 to 7 and 10 are the protocol itself; 9 is large messages and many of them. 12 and 13 are
compression, hundreds of thousands of messages, and have a command of their own:
``pytest -m conformance_compression``.
"""

from __future__ import annotations

import asyncio
import re
from typing import Literal

import kosoku
import pytest

from rlfast import ConnectionOptions, DecodeError, Deflate, WebSocketConnection, connect
from rlfast.errors import ConnectError, MessageTooBigError, NotConnectedError
from rlfast.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.timeout(900)

# Autobahn's messages are no JSON, or by chance: every one is refused, and the error holds it as it came.
Refused = Literal["what no message is"]

OPTIONS = ConnectionOptions(max_message_size=32 << 20, high_water=64 << 20, close_timeout=2.0)

ANY_ID = "5f0c1e9a-7d3b-4c56-9e21-a1b2c3d4e5f6"

EXPECTED_FAILURES_OF_THE_SIMULATOR = {
    # Two close frames: if one read brings both, picows, which parses one frame ahead, answers the second one.
    "7.1.2",
}


async def echo(ws: WebSocketConnection[Refused]) -> None:
    """Send back what arrives, text as text and binary as binary, until the connection ends."""
    binary = 0
    while True:
        try:
            message = await ws.next_message()
            assert message is None, "no message is of this type"
            return
        except MessageTooBigError:
            continue
        except DecodeError as error:
            payload = error.raw
        is_text = ws.stats.binary_messages == binary
        binary = ws.stats.binary_messages
        try:
            await ws.send(payload.decode() if is_text else payload)
        except (NotConnectedError, UnicodeDecodeError):
            pass  # It was the last message of a connection that is closed by now.


def failed_cases(error: kosoku.FailureError) -> set[str]:
    return set(re.findall(r"^ +(\d+(?:\.\d+)+): ", str(error), re.MULTILINE))


async def run(cases: list[str], compression: Deflate | None = None) -> set[str]:
    """Run cases; returns those that failed."""
    async with kosoku.run_fuzzingserver(cases, port=0) as server:
        base = f"ws://127.0.0.1:{server.port}"
        async with connect(f"{base}/getCaseCount", backoff=None) as ws:
            count = await ws.next_message()
        assert count >= 1
        for case in range(1, count + 1):
            connecting = connect(
                f"{base}/runCase?case={case}&agent=rlfast",
                type=Refused,
                backoff=None,
                compression=compression,
                options=OPTIONS,
            )
            try:
                async with connecting as ws:
                    await asyncio.wait_for(echo(ws), 120)
            except ConnectError:
                pass  # Then the case has failed, and the report says so.
        async with connect(f"{base}/updateReports?agent=rlfast", backoff=None) as ws:
            await ws.next_message()
        try:
            await server.get_result()
        except kosoku.FailureError as error:
            return failed_cases(error)
    return set()


@pytest.mark.conformance
@pytest.mark.parametrize("section", [1, 2, 3, 4, 5, 6, 7, 10])
async def test_the_protocol(section: int) -> None:
    assert await run([f"{section}.*"]) == set()


@pytest.mark.conformance
async def test_large_messages_and_many_of_them() -> None:
    assert await run(["9.*"]) == set()


async def run_against_the_simulator(cases: list[str]) -> set[str]:
    """Run cases in the role of a client; returns those that failed."""
    async with Simulator(SimulatorOptions(echo=True, pool=1, close_timeout=2.0)) as simulator:
        try:
            results = await kosoku.run_fuzzingclient(simulator.cycle_url(ANY_ID, ANY_ID), cases)
        except kosoku.FailureError as error:
            return failed_cases(error)
    assert results
    return set()


@pytest.mark.conformance
@pytest.mark.parametrize("section", [1, 2, 3, 4, 5, 6, 7, 9, 10])
async def test_the_simulator(section: int) -> None:
    failed = await run_against_the_simulator([f"{section}.*"])
    assert failed - EXPECTED_FAILURES_OF_THE_SIMULATOR == set()


@pytest.mark.conformance_compression
@pytest.mark.parametrize(
    ("sections", "offer"),
    [
        (["12.*"], Deflate()),
        (["13.1.*", "13.3.*", "13.4.*", "13.7.*"], Deflate()),
        # Their server wants messages without context takeover, and only from who offers that.
        (["13.2.*", "13.5.*", "13.6.*"], Deflate(client_no_context_takeover=True)),
    ],
    ids=["12", "13", "13 without context takeover"],
)
# The suite leaves its own files open.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_compression(sections: list[str], offer: Deflate) -> None:
    assert await run(sections, offer) == set()
