r"""Jupyter: what a kernel prints and answers.

Documentation: "WebSocket kernel wire protocol" of Jupyter Server, and "Messaging in Jupyter". KERNEL is
the id of a kernel that runs, from ``GET /api/kernels``. The token is a header. A client that offers no
subprotocol gets JSON; ``v1.kernel.websocket.jupyter.org`` is binary. The output of a kernel comes to
every client, without a message; who wants something done sends a request (here ``kernel_info_request``,
which does no harm when it is sent again on every connection). Nothing has to be answered.

    rlfast capture ws://localhost:8888/api/kernels/KERNEL/channels --out jupyter --types jupyter:Message \
        --header 'Authorization=token ${JUPYTER_TOKEN}' \
        --send '{"channel": "shell", "content": {}, "metadata": {}, "parent_header": {}, "header": {
                 "msg_id": "info", "msg_type": "kernel_info_request", "session": "rlfast",
                 "username": "", "date": "2024-01-01T00:00:00Z", "version": "5.3"}}'
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from typing import Any

from msgspec import Struct

import rlfast
from rlfast.capture import capture

URL = "ws://localhost:8888/api/kernels/KERNEL/channels"
REQUEST = {
    "channel": "shell",
    "content": {},
    "metadata": {},
    "parent_header": {},
    "header": {
        "msg_id": "info",
        "msg_type": "kernel_info_request",
        "session": "rlfast",
        "username": "",
        "date": "2024-01-01T00:00:00Z",
        "version": "5.3",
    },
}


class Header(Struct):
    msg_id: str
    msg_type: rlfast.CategoryStr
    username: rlfast.CategoryStr
    session: rlfast.CategoryStr
    date: datetime
    version: rlfast.CategoryStr


class Message(Struct):
    header: Header
    parent_header: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    channel: rlfast.CategoryStr


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    headers = {"Authorization": f"token {os.environ['JUPYTER_TOKEN']}"}
    return rlfast.connect(
        url, type=Message, headers=headers, subscribe=[REQUEST], backoff=rlfast.Backoff.capture()
    )


async def main() -> None:
    summary = await capture(connect(), "jupyter")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
