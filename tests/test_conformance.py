"""Autobahn's case files against our client, run by kosoku: ``pytest -m conformance``.

Sections 1 to 7 and 10 are the protocol itself; 9 is large messages and many of them; 12 and 13 are
compression, which is not offered.
"""

from __future__ import annotations

import asyncio
import re

import kosoku
import msgspec
import pytest

from rlfast import ConnectionOptions, DecodeError, WebSocketConnection, connect
from rlfast.errors import ConnectError, MessageTooBigError, NotConnectedError

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

OPTIONS = ConnectionOptions(max_message_size=32 << 20, high_water=64 << 20, close_timeout=2.0)

EXPECTED_FAILURES = {
    # Two close frames in one segment: picows parses one frame ahead, and answers the second one itself.
    "7.1.2",
}


async def echo(ws: WebSocketConnection[msgspec.Raw]) -> None:
    """Send back what arrives, text as text and binary as binary, until the connection ends."""
    binary = 0
    while True:
        try:
            message = await ws.next_message()
            if message is None:
                return
            payload = bytes(message)
        except MessageTooBigError:
            continue
        except DecodeError as error:
            payload = error.raw  # Autobahn's messages are no JSON.
        is_text = ws.stats.binary_messages == binary
        binary = ws.stats.binary_messages
        try:
            await ws.send(payload.decode() if is_text else payload)
        except (NotConnectedError, UnicodeDecodeError):
            pass  # It was the last message of a connection that is closed by now.


async def run(cases: list[str]) -> set[str]:
    """Run cases; returns those that failed."""
    async with kosoku.run_fuzzingserver(cases, port=0) as server:
        base = f"ws://127.0.0.1:{server.port}"
        async with connect(f"{base}/getCaseCount", backoff=None) as ws:
            count = await ws.next_message()
        assert count >= 1
        for case in range(1, count + 1):
            connecting = connect(
                f"{base}/runCase?case={case}&agent=rlfast", type=msgspec.Raw, backoff=None, options=OPTIONS
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
            return set(re.findall(r"^ +(\d+(?:\.\d+)+): ", str(error), re.MULTILINE))
    return set()


@pytest.mark.parametrize("section", [1, 2, 3, 4, 5, 6, 7, 10])
async def test_the_protocol(section: int) -> None:
    failed = await run([f"{section}.*"])
    assert failed == {case for case in EXPECTED_FAILURES if case.startswith(f"{section}.")}


async def test_large_messages_and_many_of_them() -> None:
    assert await run(["9.*"]) == set()
