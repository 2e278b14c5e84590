r"""Mastodon: the public posts that a server sees.

Documentation: "Streaming timelines", Mastodon API. The query names the stream; the token of an
application or user is a header (it may be a parameter ``access_token``, too). Nothing has to be sent, the
server sends WebSocket pings. What is missed is not sent again: the timelines of the REST API have it,
after a ``since_id``.

``payload`` is JSON as a text inside of the JSON, or an id: ``json_extract(payload, '$.content')`` in
DuckDB.

    rlfast capture 'wss://mastodon.social/api/v1/streaming?stream=public' --out mastodon \
        --types mastodon:Message --header 'Authorization=Bearer ${MASTODON_TOKEN}'
"""

from __future__ import annotations

import asyncio
import os

from msgspec import Struct

import rlfast
from rlfast.capture import capture

URL = "wss://mastodon.social/api/v1/streaming?stream=public"


class Message(Struct):
    stream: list[str]
    event: rlfast.CategoryStr
    payload: str | None = None


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    headers = {"Authorization": f"Bearer {os.environ['MASTODON_TOKEN']}"}
    return rlfast.connect(url, type=Message, headers=headers, backoff=rlfast.Backoff.capture())


async def main() -> None:
    summary = await capture(connect(), "mastodon")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
