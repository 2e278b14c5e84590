"""An application of ASGI servers that counts to whoever connects.

The environment says how it begins: ``FIRST`` is its first number; of its first connections it refuses
``REFUSED`` and closes as many when they are open, as one that is overloaded or not ready yet.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Any

numbers = itertools.count(int(os.environ.get("FIRST", "0")))
refused = int(os.environ.get("REFUSED", "0"))
connections = itertools.count()
TRY_AGAIN_LATER = {"type": "websocket.close", "code": 1013, "reason": "try again later"}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert (await receive())["type"] == "websocket.connect"
    connection = next(connections)
    if connection < refused:
        await send(TRY_AGAIN_LATER)
        return
    await send({"type": "websocket.accept"})
    if connection < 2 * refused:
        await send(TRY_AGAIN_LATER)
        return
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        for _ in range(10):
            await send({"type": "websocket.send", "text": f'{{"n":{next(numbers)}}}'})
        await asyncio.wait([gone], timeout=0.002)
