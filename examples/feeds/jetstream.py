r"""Bluesky's Jetstream: what everybody on Bluesky writes, likes and follows, as JSON.

Documentation: the README of github.com/bluesky-social/jetstream. It wants no login and no message: the
query says which collections (``wantedCollections``) and accounts (``wantedDids``) are wanted; without it,
all of them come, hundreds of events a second. Servers keep about a day: ``cursor``, the ``time_us`` of an
event, goes on from there, and sends that event again. ``Resume`` does so after each reconnect and each
restart.

    rlfast capture 'wss://jetstream2.us-east.bsky.network/subscribe?wantedCollections=app.bsky.feed.post' \
        --out jetstream --types jetstream:Message --resume cursor=/time_us
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMicros

URL = "wss://jetstream2.us-east.bsky.network/subscribe?wantedCollections=app.bsky.feed.post"


class Record(Struct):
    rev: str
    operation: Literal["create", "update", "delete"]
    collection: rlfast.CategoryStr
    rkey: str
    record: dict[str, Any] | None = None
    """By the lexicon of the collection; none of a record that was deleted."""
    cid: str | None = None


class Handle(Struct):
    did: str
    seq: int
    time: datetime
    handle: str | None = None


class Status(Struct):
    active: bool
    did: str
    seq: int
    time: datetime
    status: str | None = None


class Commit(Struct, tag_field="kind", tag="commit"):
    did: str
    time_us: EpochMicros
    commit: Record


class Identity(Struct, tag_field="kind", tag="identity"):
    did: str
    time_us: EpochMicros
    identity: Handle


class Account(Struct, tag_field="kind", tag="account"):
    did: str
    time_us: EpochMicros
    account: Status


Message = Commit | Identity | Account


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        resume=rlfast.Resume(parameter="cursor", value="/time_us"),
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "jetstream")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
