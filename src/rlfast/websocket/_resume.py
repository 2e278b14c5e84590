"""Going on where the stream was: a cursor in the URL, and what the server sends twice left out.

A `Mark` says where a stream is: the cursor of its last message, and hashes of its last messages. The next
connection begins from that cursor, and what it brings again is known by the hashes, or by its cursor. So is
what became of a gap: it is filled if the server has gone on from there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, unquote_plus

import msgspec

from rlfast._core.queue import BlockQueue
from rlfast._core.recent import CallScreen, RecentMessages
from rlfast.errors import ConfigError, check_bool, check_type
from rlfast.schema._decoding import Decoding
from rlfast.schema._pointer import Condition, parse_pointer
from rlfast.websocket._received import plain

__all__ = [
    "Filling",
    "Mark",
    "Marker",
    "Overlap",
    "Resume",
    "Resumption",
    "with_parameter",
    "without_parameter",
]

MESSAGES = 4096
MAX_BYTES = 1 << 20
"""What is kept of the last messages, to know them again."""
OLDER = 256
"""Messages with an older cursor whose hashes a mark has: for a server that begins a little before."""
LONGEST = 4096
"""Characters of a cursor."""
HASH = 8
FAILURES = 2
"""Connections in a row that fail at the first message behind a cursor; then it is given up."""
REFUSALS = (400, 410, 416, 422)
"""Statuses that say that the cursor is gone, or means nothing any more."""

_DIGITS = re.compile(r"-?[0-9]{1,64}")
_NUMBER = re.compile(r"-?[0-9]{1,64}(\.[0-9]{1,64})?([eE][-+]?[0-9]{1,3})?")
Key: TypeAlias = "int | Decimal"


@dataclass(frozen=True, slots=True)
class Resume:
    """How a stream goes on where it was, after a disconnect, a restart or a crash.

    Each connection but the first asks for what is behind the last message that was received, by a parameter
    in the query of its URL. What the server sends a second time is left out.

    Attributes:
        parameter: of the query, such as ``cursor``; that of the URL, if it has one, is for the first
            connection only.
        value: JSON Pointer to its value in a message, a number or a string: ``/time_us``. Messages without
            it, such as answers, are no part of what is repeated.
        inclusive: whether the server begins with the message of the cursor itself (Jetstream), so that one
            which does not has lost it, and the gap is not filled; False: it begins behind that one
            (``since_id`` of Mastodon). None: as the server was seen to do; until then it is believed.
        gone: ``POINTER=VALUE`` of the message by which a server says that it has no such cursor any more,
            where it does not refuse the upgrade: ``/object/code=410`` of Kubernetes. The next connection
            begins without one, and the gap is not filled.

    Raises:
        ConfigError: a value cannot work.
    """

    parameter: str
    value: str
    inclusive: bool | None = None
    gone: str | None = None

    def __post_init__(self) -> None:
        """Check types and values."""
        check_type("Resume.parameter", self.parameter, str)
        if not self.parameter:
            raise ConfigError(
                "Resume.parameter is the name of a parameter in the URL's query, such as cursor"
            )
        check_type("Resume.value", self.value, str, what="a JSON Pointer (str)")
        if not parse_pointer(self.value):
            raise ConfigError("Resume.value is a JSON Pointer to a field of a message, such as /time_us")
        if self.inclusive is not None:
            check_bool("Resume.inclusive", self.inclusive)
        check_type("Resume.gone", self.gone, str, what="POINTER=VALUE (str)", optional=True)
        if self.gone is not None:
            Condition.parse(self.gone)


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a stream is, for whoever goes on there."""

    pointer: str
    """Where the cursor stands in a message."""
    value: str
    """The cursor of the last message that has one."""
    largest: str | None = None
    """The largest cursor of the messages in `seen`; None: they cannot be compared."""
    floor: str | None = None
    """Every message with a smaller cursor is older than those in `seen`; None: it is not known."""
    seen: bytes = b""
    """Hashes of the last messages that have a cursor, eight bytes each, newest first: all, within bounds,
    whose cursor is not less than `value`, and some before."""
    overlaps: bool = False
    """Whether the server was seen to send the message of the cursor again."""


class Filling(NamedTuple):
    """What became of a gap."""

    from_: str
    """The cursor that the server was asked for."""
    to: str
    """The cursor of the first new message."""
    filled: bool


class Value(NamedTuple):
    """The cursor of a message."""

    text: str
    key: Key | None
    """What it is compared by; None: it is no number."""


def _key(text: str) -> Key:
    return int(text) if _DIGITS.fullmatch(text) else Decimal(text)


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=HASH).digest()


class Finder:
    """Finds the cursor of a message.

    Args:
        pointer: where.
        decoding: how lenient messages are read.

    Attributes:
        text: that every message with a cursor holds; empty: none is known.
    """

    def __init__(self, pointer: str, decoding: Decoding | None = None) -> None:
        names = parse_pointer(pointer)
        self.pointer = pointer
        self._steps = [_step(name) for name in names]
        plain = [name for name in names if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name)]
        # Other characters may be written as escapes.
        self.text = plain[-1].encode() if plain else b""
        self._find = self._walk if decoding is None else decoding.repairing(self._walk)

    def __call__(self, payload: bytes) -> Value | None:
        """Return the cursor; None: there is none."""
        try:
            raw: bytes | None = self._find(payload)
        except (ValueError, RecursionError):
            return None
        if raw is None or len(raw) > 2 * LONGEST:
            return None
        if raw[:1] == b'"':
            text: str = msgspec.json.decode(raw)
            is_number = _DIGITS.fullmatch(text) is not None
        else:
            text = raw.decode()
            is_number = _NUMBER.fullmatch(text) is not None
            if not is_number and not text[-1:].isdigit():
                return None  # true, null, an array
        if not 0 < len(text) <= LONGEST:
            return None
        return Value(text, _key(text) if is_number else None)

    def _walk(self, payload: Any) -> bytes | None:
        for step in self._steps:
            payload = step(payload)
            if payload is None:
                return None
        return bytes(payload).strip()


def _step(name: str) -> Callable[[Any], Any]:
    """What finds a member of an object, or an element of an array, as raw JSON; None: it is not there."""
    fields: list[Any] = [("value", msgspec.Raw, msgspec.Raw(b""))]
    one: Any = msgspec.json.Decoder(msgspec.defstruct("One", fields, rename={"value": name}))
    every = msgspec.json.Decoder(list[msgspec.Raw])
    index = int(name) if re.fullmatch(r"0|[1-9][0-9]{0,8}", name) else None

    def step(payload: Any) -> Any:
        if index is not None and bytes(payload).lstrip()[:1] == b"[":
            items = every.decode(payload)
            return items[index] if index < len(items) else None
        found = one.decode(payload).value
        return found if bytes(found) else None

    return step


class Marker:
    """Makes the mark of a stream from its last messages.

    Args:
        find: their cursors.
        base: the mark of what was before them.

    Attributes:
        recent: the messages: to be filled.
        overlaps: what the marks say of the server.
    """

    def __init__(self, find: Finder, base: Mark | None = None) -> None:
        self._find = find
        self.recent = RecentMessages(find.text, MESSAGES, MAX_BYTES)
        self.recent.on_trim = self._forget
        self.overlaps = False
        self._base: Mark | None = None
        #: whether the base ends where the messages begin
        self._joins = True
        self._last: Mark | None = None
        self.begin(base)

    def begin(self, base: Mark | None, first_seq: int = 0) -> None:
        """Go on from a mark; the messages before `first_seq`, if there are any, are part of it."""
        recent = self.recent
        self._base = base if base is not None and base.pointer == self._find.pointer else None
        self._joins = not len(recent) or recent.seq(0) >= first_seq
        self._last = None
        self.overlaps = self.overlaps or (self._base is not None and self._base.overlaps)

    def keep_all(self) -> None:
        """Forget nothing but by `settle`."""
        self.recent.trims = False

    def settle(self) -> None:
        """Forget all but the last messages: no mark of an earlier one will be asked for."""
        self.recent.trim()

    def _forget(self, count: int) -> None:
        """The first `count` messages are about to be forgotten."""
        recent = self.recent
        if len(recent) - count < OLDER:
            # They are large, and so few that those before them matter.
            self._base, self._joins, self._last = self._mark(count), True, None
            return
        # None of the others may have a cursor.
        if not any(self._find(recent.payload(i)) for i in range(len(recent) - 1, count - 1, -1)):
            self._last = self.mark()
        self._joins = False

    def mark(self, last_seq: int | None = None) -> Mark | None:
        """Return the mark of the messages up to `last_seq`; None: no message had a cursor yet."""
        stop = len(self.recent)
        if last_seq is not None:
            stop = bisect_right(range(stop), last_seq, key=self.recent.seq)
        return self._mark(stop)

    def _mark(self, stop: int) -> Mark | None:
        recent, find = self.recent, self._find
        values: list[Value] = []
        seen: list[bytes] = []
        older = 0
        for i in range(stop - 1, -1, -1):
            payload = recent.payload(i)
            value = find(payload)
            if value is None:
                continue
            values.append(value)
            seen.append(_digest(payload))
            older += _is_before(value, values[0])
            if older == OLDER or len(seen) == MESSAGES:
                break
        base = self._base if self._joins and older < OLDER else None
        if not values:
            found = self._last or self._base
            if found is None:
                return None
            return msgspec.structs.replace(found, overlaps=self.overlaps)
        keys = [value.key for value in values if value.key is not None]
        if len(keys) < len(values) or (base is not None and base.largest is None):
            hashes = _joined(seen, base, base is not None)
            return Mark(self._find.pointer, values[0].text, seen=hashes, overlaps=self.overlaps)
        in_order = all(new >= old for new, old in pairwise(keys))
        texts = [value.text for value in values]
        largest = texts[keys.index(max(keys))]
        floor = texts[-1] if in_order and older == OLDER else None
        hashes = b"".join(seen)
        if base is not None and base.largest is not None:
            top = _key(base.largest)
            if in_order and top <= keys[-1]:
                floor = base.floor
            hashes = _joined(seen, base, top >= keys[0])
            if top > max(keys):
                largest = base.largest
        return Mark(self._find.pointer, texts[0], largest, floor, hashes, self.overlaps)


def _is_before(value: Value, last: Value) -> bool:
    if value.key is not None and last.key is not None:
        return value.key < last.key
    return value.text != last.text


def _joined(seen: list[bytes], base: Mark | None, all_of_it: bool) -> bytes:
    """Hashes, with those of the mark before them: as many as there is room for."""
    most = HASH * (MESSAGES if all_of_it else max(len(seen), 2 * OLDER))
    return (b"".join(seen) + (base.seen if base is not None else b""))[:most]


class Overlap:
    """What a connection that began from a mark sends again.

    Args:
        mark: where it began.

    Attributes:
        reached: whether it was seen to have gone back to the mark.
        is_exact: whether it has sent the message of the cursor itself.
        is_anew: whether the server has begun to count anew.
        is_over: whether nothing more can come again.
    """

    def __init__(self, mark: Mark) -> None:
        self.reached = False
        self.is_exact = False
        self.is_anew = False
        self.is_over = False
        self._value = mark.value
        self._left = Counter(mark.seen[i : i + HASH] for i in range(0, len(mark.seen), HASH))
        self._key: Key | None = None
        self._largest: Key | None = None
        self._floor: Key | None = None
        if mark.largest is not None:
            self._key, self._largest = _key(mark.value), _key(mark.largest)
            self._floor = _key(mark.floor) if mark.floor is not None else None
        self._new = 0

    def drops(self, value: Value, payload: bytes) -> bool:
        """Whether a message was received before."""
        digest = _digest(payload)
        left = self._left.get(digest, 0)
        if left:
            self.reached = True
            self.is_exact = self.is_exact or value.text == self._value
            if left == 1:
                del self._left[digest]
            else:
                self._left[digest] = left - 1
            return True
        if self._key is None or self._largest is None or value.key is None:
            is_behind = value.text != self._value
            self.reached = self.reached or not is_behind
            self.is_over = is_behind and self._key is None
        else:
            if not self._new and not self.reached and 2 * value.key < self._key:
                # Nobody goes back so far: the server has begun to count anew, and all of it is new.
                self._floor = None
                self.is_anew = True
            self.reached = self.reached or (value.key <= self._key and not self.is_anew)
            if self._floor is not None and value.key < self._floor:
                return True
            self.is_over = value.key > self._largest
        self._new += 1
        # One that never ends, because of an outlier, would cost for ever.
        self.is_over = self.is_over or not self._left or self._new >= MESSAGES
        return False


class Resumption:
    """A connection's cursor: from its messages into the URL of the next attempt, and what comes twice.

    Args:
        resume: what the user wants.
        decoding: of the messages.
        queue: where they go.
        mark: where the stream was left before the first connection, or None.
        on_filled: called with the cursor of the first new message behind a gap, and whether that is filled:
            before that message is in the queue.

    Attributes:
        find: the cursor of a message.
        duplicates: messages that were left out.
        first: what became of the gap before the first connection; None: it is not known yet.
    """

    def __init__(
        self,
        resume: Resume,
        decoding: Decoding,
        queue: BlockQueue,
        mark: Mark | None,
        on_filled: Callable[[str, bool], None],
    ) -> None:
        self._resume = resume
        self._gone = Condition.parse(resume.gone) if resume.gone is not None else None
        self.find = Finder(resume.value, decoding)
        self._queue = queue
        self._marker = Marker(self.find, mark)
        self._on_filled = on_filled
        self._start = self._marker.mark()
        queue.watchers = (*queue.watchers, self._marker.recent)
        self.duplicates = 0
        self.first: Filling | None = None
        #: of the attempt that is being made, or the connection that is open
        self._mark: Mark | None = None
        self._gives_up = False
        self._overlap: Overlap | None = None
        self._screen: CallScreen | None = None
        self._is_decided = True
        self._failures = 0

    @property
    def overlaps(self) -> bool:
        """Whether the server was seen to send the message of the cursor again."""
        return self._marker.overlaps

    def seed(self, mark: Mark | None) -> None:
        """Begin from a mark, before the first connection."""
        self._marker.begin(mark)
        self._start = self._marker.mark()

    def began_from(self, mark: Mark | None) -> bool:
        """Whether the first connection has begun, or will begin, from the cursor of a mark."""
        return mark is not None and self._start is not None and self._start.value == mark.value

    def url(self, url: str) -> str:
        """The URL for the next attempt."""
        self._mark = mark = self._marker.mark()
        if mark is None:
            return url
        if self._gives_up or self._failures >= FAILURES:
            self._gives_up = True
            return without_parameter(url, self._resume.parameter)
        return with_parameter(url, self._resume.parameter, mark.value)

    def refused(self, status: int) -> bool:
        """The server has refused the upgrade. Returns whether to try without the cursor, which is gone."""
        if status not in REFUSALS or self._mark is None or self._gives_up:
            return False
        self._gives_up = True
        return True

    def opened(self) -> None:
        """A connection is open, before its first message."""
        self._end()
        if self._mark is not None:
            self._is_decided = False
            self._overlap = Overlap(self._mark)
            self._screen = CallScreen(self._takes)
            self._queue.append_screen(self._screen)

    def lost(self, reason: str) -> str | None:
        """A connection is lost. Returns the cursor that the next one begins from."""
        if self._is_decided:
            self._failures = 0
        elif reason.startswith(("message_too_big", "protocol_error")):
            # Its first message cannot be received, and would be sent again and again.
            self._failures += 1
        self._end()
        mark = self._marker.mark()
        return mark.value if mark is not None else None

    def _takes(self, payload: bytes) -> bool:
        value, overlap = self.find(payload), self._overlap
        if value is None or overlap is None:
            if self._gone is not None and self._gone.holds(plain(payload)):
                self._gives_up = True
            return True
        is_known = overlap.drops(value, payload)
        self._marker.overlaps = self._marker.overlaps or overlap.is_exact
        if is_known:
            self.duplicates += 1
            return False
        if not self._is_decided:
            self._decide(value, overlap)
        if overlap.is_over:
            self._end()
        return True

    def _decide(self, value: Value, overlap: Overlap) -> None:
        assert self._mark is not None
        self._is_decided = True
        inclusive = self._resume.inclusive
        must_overlap = self._mark.overlaps if inclusive is None else inclusive
        goes_on = not self._gives_up and not overlap.is_anew
        filled = goes_on and (overlap.reached or not must_overlap)
        self._gives_up = False
        if self.first is None:
            self.first = Filling(self._mark.value, value.text, filled)
        self._on_filled(value.text, filled)

    def _end(self) -> None:
        """Nothing comes twice any more."""
        screen, self._screen, self._overlap = self._screen, None, None
        if screen is not None:
            self._queue.remove_screen(screen)


def with_parameter(url: str, name: str, value: str) -> str:
    """Return a URL with a parameter in its query set; the others are as they were."""
    base, _, query = without_parameter(url, name).partition("?")
    pair = f"{quote(name, safe='')}={quote(value, safe='')}"
    return f"{base}?{query}&{pair}" if query else f"{base}?{pair}"


def without_parameter(url: str, name: str) -> str:
    """Return a URL without a parameter in its query; the others are as they were."""
    base, mark, query = url.partition("?")
    pairs = query.split("&")
    kept = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) != name]
    if len(kept) == len(pairs):
        return url
    return f"{base}{mark}{'&'.join(kept)}" if kept else base
