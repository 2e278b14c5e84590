"""Answers to servers that ask whether we are there, and messages that only say that they are."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from rlfast._core.frame_handler import FrameHandler
from rlfast.errors import ConfigError, check_bool, check_type
from rlfast.schema._pointer import parse_pointer
from rlfast.websocket._heartbeats import check_message
from rlfast.websocket._sending import Encoded, encode

__all__ = ["Replies", "Reply", "check_ignore", "check_replies"]

_log = logging.getLogger("rlfast.connection")

WINDOW = 256
"""Bytes at the beginning of a message in which `Reply.when` is looked for."""

Answerer: TypeAlias = Callable[[bytes], Encoded | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to every message with a certain text near its beginning.

    Attributes:
        when: text that is found in the first 256 bytes of a message that wants to be answered.
        answer: as for `send`: a str, bytes, or what is sent as JSON. In it ``${/pointer}`` (RFC 6901) stands
            for a value of the message: for its JSON outside of the quotes of a template that is JSON, for its
            text inside of them and in any other template; a str that is nothing else, inside of a dict or
            struct, becomes the value. Or a function that gets the message as plain Python values, or as str
            if it is no JSON, and returns an answer, or None for none.
        ignore: whether the message is taken out of the stream, and counted with those of `ignore`.
    """

    when: str
    answer: Any = field(repr=False)
    ignore: bool = False

    def __post_init__(self) -> None:
        """Check the types, and the pointers."""
        check_type("Reply.when", self.when, str)
        if not 0 < len(_utf8("Reply.when", self.when)) <= WINDOW:
            raise ConfigError(f"Reply.when must be str of 1 to {WINDOW} bytes, such as '\"ping\"'")
        check_message("Reply.answer", self.answer)
        check_bool("Reply.ignore", self.ignore)
        _answerer(self.answer)


def check_replies(value: Sequence[Reply]) -> tuple[Reply, ...]:
    """Return what `reply=` says. Raises ConfigError: it is no list of replies."""
    what = "a list of Reply"
    replies = (value,) if isinstance(value, Reply) else value
    check_type("reply", replies, (list, tuple), what=what)
    for reply in replies:
        check_type("reply", reply, Reply, what=what)
    return tuple(replies)


def check_ignore(value: Sequence[str] | None) -> tuple[bytes, ...] | None:
    """Return what `ignore=` says, without white space around it. Raises ConfigError: it is no list."""
    what = "a list of str, or None"
    check_type("ignore", value, (list, tuple), what=what, optional=True)
    for text in value or ():
        check_type("ignore", text, str, what=what)
    return None if value is None else tuple(_utf8("ignore", text.strip(" \t\n\v\f\r")) for text in value)


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name} must be str that UTF-8 can write, without lone surrogates") from None


class Replies:
    """Answers messages of one connection after the other, in the order in which they came.

    Attributes:
        frame_handler: of the connection that is open; None: none is.
    """

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.frame_handler: FrameHandler | None = None
        self._answerers = [_answerer(reply.answer) for reply in replies]
        self._unanswered: set[int] = set()

    def asked(self, which: int, message: bytes) -> None:
        """Answer a message by reply number `which`."""
        frame_handler = self.frame_handler
        if frame_handler is None or not frame_handler.sends:
            return
        try:
            answer = self._answerers[which](message)
        except _UnanswerableError as why:
            if which not in self._unanswered:
                self._unanswered.add(which)
                _log.debug("a message was not answered by reply[%d]: %s", which, why)
            return
        except Exception:
            _log.exception("the function of reply[%d] failed", which)
            return
        if answer is not None:
            payload, binary = answer
            frame_handler.answer(which, bytes(payload), binary)


# -- templates -----------------------------------------------------------------------------------------------

_PLACE = re.compile(r"\$\{(/[^}]*)\}")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\$\{(/[^}]*)\}', re.DOTALL)
_CONTAINERS = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])
_INDEX = re.compile("0|[1-9][0-9]*")

#: how a value is written: as it stands in the message, as the inside of a JSON string, or as plain text
_VALUE, _INSIDE, _PLAIN = "value", "inside", "plain"


class _UnanswerableError(Exception):
    """The message has not got what the answer needs."""


def _answerer(answer: Any) -> Answerer:
    """What makes an answer of a message. Raises ConfigError: a pointer in the template cannot work."""
    if callable(answer):
        return lambda message: _call(answer, message)
    payload, binary = encode(answer)
    try:
        text = bytes(payload).decode()
    except UnicodeDecodeError:
        text = ""
    if "${/" not in text:
        return lambda message: (payload, binary)
    try:
        parts = _parts_of_json(text, values_in_quotes=not isinstance(answer, str) and not binary)
    except msgspec.DecodeError:
        parts = _split(text, _PLAIN)
    if len([part for part in parts if not isinstance(part, str)]) != text.count("${/"):
        raise ConfigError("Reply.answer has a ${/ without its }; write it as in '{\"pong\": ${/ping}}'")
    return lambda message: (_fill(parts, message), binary)


def _call(function: Callable[[Any], Any], message: bytes) -> Encoded | None:
    value: Any
    try:
        value = msgspec.json.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = message.decode(errors="replace")
    answer = function(value)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("the answer must not be awaited: the function has to return it")
    return None if answer is None else encode(answer)


#: text that is sent as it is, or a place for a value: its pointer, and how it is written
Part: TypeAlias = str | tuple[tuple[str, ...], str]


def _split(text: str, form: str) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for place in _PLACE.finditer(text):
        pointer = place[1]
        if form == _INSIDE:
            # It is in a JSON string itself.
            pointer = msgspec.json.decode(f'"{pointer}"')
        parts += [text[at : place.start()], (parse_pointer(pointer), form)]
        at = place.end()
    return [*parts, text[at:]]


def _parts_of_json(text: str, values_in_quotes: bool) -> list[Part]:
    """The parts of a template that is JSON when its places are filled.

    Raises:
        msgspec.DecodeError: it is not.
    """
    parts: list[Part] = []
    at = 0
    for token in _JSON_TOKEN.finditer(text):
        parts.append(text[at : token.start()])
        if token[1] is not None:
            parts.append((parse_pointer(token[1]), _VALUE))
        else:
            inside = _split(token[0], _INSIDE)
            is_key = text.startswith(":", token.end())
            if values_in_quotes and not is_key and len(inside) == 3 and inside[0] == inside[2] == '"':
                parts.append((inside[1][0], _VALUE))  # type: ignore[arg-type]
            else:
                parts += inside
        at = token.end()
    parts.append(text[at:])
    example = "".join(
        part if isinstance(part, str) else "null" if part[1] == _VALUE else "x" for part in parts
    )
    msgspec.json.decode(example)
    return parts


def _fill(parts: list[Part], message: bytes) -> bytes:
    filled = []
    for part in parts:
        if isinstance(part, str):
            filled.append(part)
            continue
        pointer, form = part
        try:
            filled.append(_write(_find(message, pointer), form))
        except (msgspec.MsgspecError, ValueError, LookupError, RecursionError) as error:
            # What it says may quote the message.
            why = f"it has no /{'/'.join(pointer)} ({type(error).__name__})"
            raise _UnanswerableError(why) from None
    return "".join(filled).encode()


def _find(message: bytes, pointer: tuple[str, ...]) -> str:
    """The JSON of a value, as it stands in the message: a number keeps all its digits."""
    value: Any = message
    for name in pointer:
        inside = _CONTAINERS.decode(value)
        if isinstance(inside, dict):
            value = inside[name]
        elif _INDEX.fullmatch(name):
            value = inside[int(name)]
        else:
            raise LookupError(name)
    return bytes(value).decode()


def _write(value: str, form: str) -> str:
    if form == _VALUE:
        return value
    text = msgspec.json.decode(value) if value.startswith('"') else value
    return msgspec.json.encode(text).decode()[1:-1] if form == _INSIDE else text
