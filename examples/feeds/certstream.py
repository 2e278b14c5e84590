r"""Certstream: every TLS certificate that is written into a Certificate Transparency log.

Documentation: the README of github.com/CaliDog/certstream-server; certstream-server-go is a faster server
with the same messages, to be run by oneself. No login, no message, and nothing to answer: the server
sends messages of the type ``heartbeat``. Hundreds of certificates a second are usual; ``/full-stream``
adds ``chain`` and ``as_der``, and is several times as large.

    rlfast capture wss://certstream.calidog.io --out certstream --types certstream:Message
"""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochSeconds

URL = "wss://certstream.calidog.io"


class Subject(Struct):
    aggregated: str
    CN: str | None = None


class Certificate(Struct):
    subject: Subject
    extensions: dict[str, str]
    not_before: EpochSeconds
    not_after: EpochSeconds
    serial_number: str
    fingerprint: str
    all_domains: list[str]


class Log(Struct):
    url: rlfast.CategoryStr
    name: rlfast.CategoryStr


class Entry(Struct):
    update_type: rlfast.CategoryStr
    leaf_cert: Certificate
    cert_index: int
    seen: float
    source: Log
    chain: list[dict[str, Any]] = []


class Update(Struct, tag_field="message_type", tag="certificate_update"):
    data: Entry


class Heartbeat(Struct, tag_field="message_type", tag="heartbeat"):
    timestamp: float


Message = Update | Heartbeat


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(url, type=Message, backoff=rlfast.Backoff.capture())


async def main() -> None:
    summary = await capture(connect(), "certstream")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
