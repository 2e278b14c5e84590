"""Options that name a stream, the same for every command that connects to one."""

from __future__ import annotations

from rlfast.cli._continuity import ContinuityOptions
from rlfast.cli._messages import KeepAliveOptions
from rlfast.cli._opening import OpeningOptions
from rlfast.cli._options import Field, Group
from rlfast.cli._target import DecodingOptions, TargetOptions

__all__ = ["DECODING", "stream_options"]

_URL = Field("url", "ws:// or wss:// URL.", metavar="URL", argument=True)
_URL_OR_FILE = Field(
    "url",
    "ws:// or wss:// URL, file with one message per line, or folder of a capture.",
    metavar="URL|FILE",
    argument=True,
)
_IDS = (
    Field("agent", "Events of this agent.", metavar="ID"),
    Field("cycle", "Cognitive cycle of this agent.", metavar="ID"),
    Field("session", "This oversight session.", metavar="ID"),
    Field("base_url", "The platform, such as https://host.", metavar="URL", environment="RLFAST_BASE_URL"),
    Field("tenant", "The tenant.", metavar="ID", environment="RLFAST_TENANT"),
    Field(
        "token_env",
        "Environment variable with the bearer token; RLFAST_TOKEN if not given. "
        "The token itself is never an argument.",
        metavar="NAME",
    ),
)
_WAY = (
    Field(
        "proxy",
        "http://, https://, socks5:// or socks4:// proxy. With credentials, use the variable: "
        "arguments are seen by others.",
        metavar="URL",
        environment="RLFAST_PROXY",
    ),
    Field("deflate", "Let the server compress (RFC 7692): for slow networks."),
    Field("encoding", "How the application compresses binary messages, each by itself."),
)
_KEEP_ALIVES = (
    Field(
        "heartbeat",
        "Send this message again and again while connected, such as 20s:ping. Repeatable.",
        metavar="TIME:MESSAGE",
    ),
    Field(
        "reply",
        "Answer messages with the text WHEN in their first 256 bytes; in ANSWER, ${/pointer} is a value of "
        """the message: '"ping"=>{"pong": ${/ping}}'. Repeatable.""",
        metavar="WHEN=>ANSWER",
    ),
    Field(
        "ignore",
        "Only count messages that are just this, such as pong, and those with nothing in them. Repeatable.",
        metavar="TEXT",
    ),
)
_NAME = Field(
    "stream",
    "Name for the column stream; its seq goes on. Default: agent_events:ID and the like, or "
    "host and path of the URL with a hash of its query.",
    metavar="NAME",
)

_OPENING = Group(
    OpeningOptions,
    "What is said on every connection",
    (
        Field(
            "send",
            "Send this message, such as a subscription. Repeatable; in order with --wait-for. @FILE reads it "
            "from a file, and ${NAME} is a variable's value: arguments are seen by others.",
            form="text",
        ),
        Field(
            "wait_for",
            "Before the next --send, wait for a message with this value, such as /type=connection_ack or "
            "/0/msg=authenticated.",
            metavar="POINTER=VALUE",
        ),
        Field("header", "Header of the request; ${NAME} for secrets. Repeatable.", metavar="NAME=VALUE"),
        Field("query", "Parameter of the URL; ${NAME} for secrets. Repeatable.", metavar="NAME=VALUE"),
        Field("subprotocol", "Offer this subprotocol. Repeatable, in order.", metavar="NAME"),
        Field("ca", "Certificates of the authorities to trust, instead of the system's.", form="path"),
        Field("cert", "Certificate to show to the server.", form="path"),
        Field("key", "Its key, if that is in a file of its own.", form="path"),
    ),
)

_FRAMING = Field(
    "framing",
    "What parts JSON documents, if a message has several: each is a row. lines: newlines; json-seq, "
    "record-separator: the character 0x1E, in front of each (RFC 7464) or behind it (SignalR).",
)

_NUMBERS = Group(
    ContinuityOptions,
    "Gaps",
    (
        Field(
            "sequence",
            "JSON Pointer, such as /sequence_num, to a number by which messages follow each other, * for "
            "each element of an array: those that jump or go back are on record.",
            metavar="POINTER",
        ),
        Field(
            "sequence_by",
            "JSON Pointer, such as /product_id, to whose number that is: each has its own.",
            metavar="POINTER",
        ),
        Field(
            "sequence_last",
            "JSON Pointer, such as /u, to the last number of a message that says from where to where.",
            metavar="POINTER",
        ),
        Field(
            "sequence_step",
            "From a number to the next one; 0 of messages that name the one before, such as /prevSeqId, "
            "and have their own at --sequence-last.",
            least=0,
        ),
        Field("sequence_per_connection", "The numbers begin anew with each connection."),
    ),
)

DECODING = Group(
    DecodingOptions,
    "How messages become events",
    (
        Field(
            "events_at",
            "JSON Pointer, such as /data, to the event inside of a message, or to an array of events: "
            "each is a row, with the message's other fields in front of its own.",
            metavar="POINTER",
        ),
        _FRAMING,
        Field(
            "strict",
            'Take exact types only; or also "42" for an integer, 1 for true, and so on.',
            "--strict/--lax",
        ),
        Field("nan", "NaN and infinities, which Python servers send, are null; they are no JSON."),
        Field("surrogates", "Half of a surrogate pair, which browsers send, becomes U+FFFD."),
        Field(
            "dec_hook", "What makes values of types that msgspec does not know.", metavar="MODULE:FUNCTION"
        ),
    ),
)
"""Options for `DecodingOptions`."""


def stream_options(otherwise: str | None, *, named: bool, files: bool = False) -> tuple[Group, ...]:
    """Options for `TargetOptions` and `OpeningOptions`, and with types for `DecodingOptions`.

    Args:
        otherwise: what messages of a stream without a type become, for the help; None: there is no --types.
        named: with one for the name of the stream.
        files: the URL may be the path of a file or folder.
    """
    types = Field(
        "types",
        "msgspec struct, or union of them, of the messages. Default: the agent events for an agent, "
        f"otherwise {otherwise}.",
        metavar="MODULE:TYPE",
    )
    rest = (*_IDS, *((types,) if otherwise is not None else ()), *((_NAME,) if named else ()), *_WAY)
    url = _URL_OR_FILE if files else _URL
    groups = (
        Group(TargetOptions, None, (url,)),
        Group(TargetOptions, "Which stream", rest),
        _OPENING,
        Group(KeepAliveOptions, "Keep-alives of the application", _KEEP_ALIVES),
    )
    if otherwise is None:
        return (*groups, Group(DecodingOptions, "Which stream", (_FRAMING,)))
    return (*groups, DECODING, _NUMBERS)
