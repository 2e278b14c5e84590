"""The name of a stream that was not named: the same in every run, another one for another subscription.

The sequence numbers of a capture belong to a stream, so two subscriptions must not share a name, and one that
is connected to again must keep its own. A name is written to files and shown, so it never holds a secret.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

__all__ = ["AGENT_EVENTS_PATH", "default_stream_name"]

AGENT_EVENTS_PATH = "/api/v1/cognitive/agents/ws"

# A parameter counts as a credential, or as one that changes with each connection, if a word of its name is
# one of these (access_token, accessToken, X-Access-Token),
_PASSING_WORD = re.compile(
    r"""
    auth | authentication | authorization | bearer | credentials? | hmac | jwt | oauth | otp | passphrase
    | passwd | password | pwd | secret | session | sid | sig | sign | signature | signed | ticket | tokens?
    | cursor | expires | expiry | nonce | rand | random | since | timestamp | ts
    """,
    re.VERBOSE,
)
# or all of its name is, without what is between words. The first ones are of URLs signed for a short time.
_PASSING_NAME = re.compile(
    r"""
    x(amz|goog).* | .*(apikey|password|secret|signature|timestamp|token)
    | (access|app|auth|client|consumer|listen|private|public|secret|subscription)?key | keyid | pass | pin
    | (client|conn|connect|connection|request|session|trace)id | lasteventid | offset | resume
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def default_stream_name(url: str) -> str:
    """Return host and path of a URL, and a hash of its query: ``host/path?1f2e3d4c5b``.

    The hash is of the query's parameters in sorted order, without those whose names say that they are
    credentials or change with each connection, such as ``token``, ``api_key``, ``signature``, ``timestamp``
    or ``cursor``. If none is left, the name is host and path alone. The events of an agent of the platform
    have the name ``agent_events:{agent_id}``, as by `ReasoningLayerClient`.
    """
    parts = urlsplit(url)
    if parts.path.endswith(AGENT_EVENTS_PATH):
        agent = parse_qs(parts.query).get("agent_id")
        if agent:
            return f"agent_events:{agent[0]}"
    name = f"{parts.netloc}{parts.path}"
    pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    kept = sorted(pair for pair in pairs if not _is_passing(pair[0]))
    if not kept:
        return name
    digest = hashlib.sha256(urlencode(kept, errors="surrogateescape").encode()).hexdigest()
    return f"{name}?{digest[:10]}"


def _is_passing(name: str) -> bool:
    if name == "_":  # against caches
        return True
    words = (word.lower() for word in _WORD.findall(name))
    whole = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(map(_PASSING_WORD.fullmatch, words)) or _PASSING_NAME.fullmatch(whole) is not None
