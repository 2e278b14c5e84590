"""Which stream a request asks for, and whether it may have it: checks as a platform makes them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec
from picows import WSUpgradeRequest, WSUpgradeResponse

if TYPE_CHECKING:
    from multidict import CIMultiDict

__all__ = ["AGENT_EVENTS_PATH", "Rejection", "Route", "Stream", "resolve"]

AGENT_EVENTS_PATH = "/api/v1/cognitive/agents/ws"
_CYCLE_PATH = re.compile(r"/ws/cognitive/([^/]+)")
_OVERSIGHT_PATH = re.compile(r"/ws/oversight/([^/]+)")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Stream(Enum):
    """The kinds of streams a platform serves."""

    AGENT_EVENTS = "agent_events"
    CYCLE = "cycle"
    OVERSIGHT = "oversight"

    def url(self, base: str, subject_id: str, tenant_id: str) -> str:
        """Return the stream's URL below a base such as ``ws://127.0.0.1:8080``."""
        subject, tenant = quote(subject_id, safe=""), quote(tenant_id, safe="")
        if self is Stream.AGENT_EVENTS:
            return f"{base}{AGENT_EVENTS_PATH}?agent_id={subject}&tenant_id={tenant}"
        folder = "cognitive" if self is Stream.CYCLE else "oversight"
        return f"{base}/ws/{folder}/{subject}?tenant_id={tenant}"


@dataclass(frozen=True)
class Route:
    """An accepted request.

    Attributes:
        stream: what was asked for.
        subject_id: the agent's id, or the session's for oversight.
        tenant_id: the tenant's id.
    """

    stream: Stream
    subject_id: str
    tenant_id: str


class Rejection(Exception):  # noqa: N818 (an answer to a client, no error of ours)
    """A request that is answered with an HTTP status instead of a stream."""

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        """Say what to answer."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    def response(self) -> WSUpgradeResponse:
        """Return the HTTP answer, with a body such as ``{"error": "not_found", "message": "…"}``."""
        body = msgspec.json.encode({"error": self.status.name.lower(), "message": self.message})
        headers = {"Content-Type": "application/json", **self.headers}
        response: WSUpgradeResponse = WSUpgradeResponse.create_error_response(self.status, body, headers)
        return response


def resolve(request: WSUpgradeRequest, token: str | None) -> Route:
    """Find the stream that a request asks for.

    Path, token and ids are checked in this order, so that a stranger learns no more than which paths exist.

    Raises:
        Rejection: 404 for an unknown path, 401 without the right token, 400 for a missing or malformed id.
    """
    target = urlsplit(request.path.decode("latin-1"))
    stream, path_id = _match(target.path)
    if token is not None and not _is_authorized(request.headers, token):
        raise Rejection(HTTPStatus.UNAUTHORIZED, "a valid token is required", {"WWW-Authenticate": "Bearer"})
    query = parse_qs(target.query, keep_blank_values=True)
    tenant_id = _uuid("tenant_id", _single(query, "tenant_id"))
    if stream is Stream.AGENT_EVENTS:
        return Route(stream, _uuid("agent_id", _single(query, "agent_id")), tenant_id)
    if stream is Stream.CYCLE:
        return Route(stream, _uuid("agent_id", path_id), tenant_id)
    return Route(stream, path_id, tenant_id)


def _match(path: str) -> tuple[Stream, str]:
    if path == AGENT_EVENTS_PATH:
        return Stream.AGENT_EVENTS, ""
    if match := _CYCLE_PATH.fullmatch(path):
        return Stream.CYCLE, unquote(match[1])
    if match := _OVERSIGHT_PATH.fullmatch(path):
        return Stream.OVERSIGHT, unquote(match[1])
    raise Rejection(HTTPStatus.NOT_FOUND, "no such stream")


def _single(query: dict[str, list[str]], name: str) -> str:
    values = query.get(name, [])
    if len(values) != 1:
        raise Rejection(HTTPStatus.BAD_REQUEST, f"{name} must be given exactly once")
    return values[0]


def _uuid(name: str, text: str) -> str:
    if not _UUID.fullmatch(text):
        raise Rejection(HTTPStatus.BAD_REQUEST, f"{name} must be a UUID")
    return text


def _is_authorized(headers: CIMultiDict[str], token: str) -> bool:
    expected = token.encode()
    granted = False
    for candidate in _credentials(headers):
        # Every candidate is compared, in constant time: the answer's timing tells nothing about the token.
        granted |= hmac.compare_digest(candidate.encode("utf-8", "surrogateescape"), expected)
    return granted


def _credentials(headers: CIMultiDict[str]) -> Iterator[str]:
    none: list[Any] = []
    for value in headers.getall("Authorization", none):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "bearer":
            yield credentials.strip()
    for header in headers.getall("Cookie", none):
        for pair in header.split(";"):
            name, equals, value = pair.strip().partition("=")
            yield value.strip('"') if equals else name
