"""Time-outs that do not count the time in which the process was stopped.

After a stop (``docker pause``, Ctrl-Z, a virtual machine that moves) every timer is due at once, before
anything is read that has arrived meanwhile. So a time-out is waited for in steps, and a stop is over with the
step that it falls into.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["finish_within", "wait_within"]

T = TypeVar("T")

LEAST_STEPS = 4
LONGEST_STEP = 1.0


async def wait_within(futures: Iterable[asyncio.Future[Any]], timeout: float) -> set[asyncio.Future[Any]]:
    """Wait for all of `futures`, at most `timeout` seconds. Returns those that are not done."""
    loop = asyncio.get_running_loop()
    pending = set(futures)
    steps = max(LEAST_STEPS, math.ceil(timeout / LONGEST_STEP))
    step = timeout / steps
    late = False
    # One more, if the stop fell into the last one.
    for number in range(steps + 1):
        if not pending or (number == steps and not late):
            break
        due = loop.time() + step
        _, pending = await asyncio.wait(pending, timeout=step)
        late = loop.time() > due + step
    return pending


async def finish_within(coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
    """Return what `coroutine` returns, as `asyncio.wait_for`.

    Raises:
        TimeoutError: `timeout` seconds are over; the coroutine has been cancelled.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        await wait_within([task], timeout)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    if task.cancelled():
        raise TimeoutError
    return task.result()
