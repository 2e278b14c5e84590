r"""OpenAI Realtime: what a model says, as it says it.

Documentation: "Realtime API", OpenAI, and its reference of server events. The key is a header. The server
begins with ``session.created``; the client sets the session, and asks for a response. A session lasts 60
minutes at most, and is gone with its connection: a new one begins with nothing. The beta's events are
named here (``OpenAI-Beta: realtime=v1``); without that header ``response.audio.delta`` is
``response.output_audio.delta``, and so on. Types of events that are not listed are kept in ``_other``.

    rlfast capture 'wss://api.openai.com/v1/realtime?model=gpt-realtime' --out openai --types openai:Message \
        --header 'Authorization=Bearer ${OPENAI_API_KEY}' --header OpenAI-Beta=realtime=v1 \
        --send '{"type": "session.update", "session": {"modalities": ["text", "audio"]}}' \
        --send '{"type": "response.create", "response": {"instructions": "Say hello."}}'
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from msgspec import Struct

import rlfast
from rlfast.capture import capture

URL = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
REQUESTS = [
    {"type": "session.update", "session": {"modalities": ["text", "audio"]}},
    {"type": "response.create", "response": {"instructions": "Say hello."}},
]


class SessionCreated(Struct, tag_field="type", tag="session.created"):
    event_id: str
    session: dict[str, Any]


class ItemAdded(Struct, tag_field="type", tag="response.output_item.added"):
    event_id: str
    response_id: str
    output_index: int
    item: dict[str, Any]


class AudioDelta(Struct, tag_field="type", tag="response.audio.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes
    """Sound, base64 in the JSON."""


class TranscriptDelta(Struct, tag_field="type", tag="response.audio_transcript.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class RateLimit(Struct):
    name: rlfast.CategoryStr
    limit: int
    remaining: int
    reset_seconds: float


class RateLimits(Struct, tag_field="type", tag="rate_limits.updated"):
    event_id: str
    rate_limits: list[RateLimit]


class ResponseDone(Struct, tag_field="type", tag="response.done"):
    event_id: str
    response: dict[str, Any]


class Error(Struct, tag_field="type", tag="error"):
    event_id: str
    error: dict[str, Any]


Message = SessionCreated | ItemAdded | AudioDelta | TranscriptDelta | RateLimits | ResponseDone | Error


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "OpenAI-Beta": "realtime=v1"}
    return rlfast.connect(
        url, type=Message, headers=headers, subscribe=REQUESTS, backoff=rlfast.Backoff.capture()
    )


async def main() -> None:
    summary = await capture(connect(), "openai")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
