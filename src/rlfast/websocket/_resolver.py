"""Addresses of host names, by the system's resolver on threads that nobody has to wait for.

``loop.getaddrinfo`` runs on the loop's executor, whose threads are joined when the loop and the process end:
a resolver that hangs (5 s per server and attempt, by default) would hold up a process that is done.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from concurrent.futures import Future
from typing import Any, TypeAlias

__all__ = ["resolve"]

Addresses: TypeAlias = list[Any]
"""What ``socket.getaddrinfo`` returns."""

# By process, host and port: attempts that follow each other while the resolver hangs share one thread.
_under_way: dict[tuple[int, str, int], Future[Addresses]] = {}
_lock = threading.Lock()


async def resolve(host: str, port: int) -> Addresses:
    """Return the addresses of `host` for TCP.

    Raises:
        OSError: there are none (``socket.gaierror``).
    """
    key = os.getpid(), host, port
    with _lock:
        found = _under_way.get(key)
        if found is None:
            found = _under_way[key] = Future()
            # From now on nobody's cancellation reaches it.
            found.set_running_or_notify_cancel()
            threading.Thread(target=_look_up, args=(key, found), name="rlfast-resolver", daemon=True).start()
    return await asyncio.wrap_future(found)


def _look_up(key: tuple[int, str, int], found: Future[Addresses]) -> None:
    _, host, port = key
    addresses: Addresses = []
    error: BaseException | None = None
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except BaseException as raised:
        error = raised
    with _lock:
        del _under_way[key]
    if error is not None:
        found.set_exception(error)
    else:
        found.set_result(addresses)
