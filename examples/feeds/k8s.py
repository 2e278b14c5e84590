r"""Kubernetes: what happens to the pods of a cluster.

Documentation: "Kubernetes API Concepts", Efficient detection of changes. The API server speaks WebSocket
where a watch is asked for as one. ``kubectl proxy`` has the login; without it, a bearer token is a
header, and the cluster's authority ``--ca FILE``. The server ends a watch after 30 to 60 minutes;
``resourceVersion`` goes on behind an event; ``allowWatchBookmarks`` keeps it recent where little happens.
Servers keep some minutes: who comes later gets the event ``ERROR`` with the code 410. Then the watch begins
anew with what is there, and the gap is on record as not filled.

    rlfast capture 'ws://127.0.0.1:8001/api/v1/pods?watch=true&allowWatchBookmarks=true' --out k8s \
        --types k8s:Message --resume resourceVersion=/object/metadata/resourceVersion \
        --resume-gone /object/code=410
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

import rlfast
from rlfast.capture import capture

URL = "ws://127.0.0.1:8001/api/v1/pods?watch=true&allowWatchBookmarks=true"


class Metadata(Struct, rename="camel"):
    name: str | None = None
    namespace: rlfast.CategoryStr | None = None
    uid: rlfast.UUIDStr | None = None
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    labels: dict[str, str] = {}


class PodStatus(Struct, rename="camel"):
    phase: str | None = None
    pod_ip: str | None = None


class Object(Struct):
    """A pod; or, of an ERROR, what is wrong."""

    kind: rlfast.CategoryStr
    metadata: Metadata
    spec: dict[str, Any] | None = None
    status: PodStatus | str | None = None
    code: int | None = None
    message: str | None = None


class Message(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: Object


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        resume=rlfast.Resume(
            parameter="resourceVersion", value="/object/metadata/resourceVersion", gone="/object/code=410"
        ),
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "k8s")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
