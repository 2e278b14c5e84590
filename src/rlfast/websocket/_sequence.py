"""The numbers by which a feed says in which order its messages are, and which of them do not follow."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from rlfast._core.sequence import SequenceWatcher
from rlfast.errors import ConfigError, check_bool, check_int, check_type
from rlfast.schema._decoding import Decoding
from rlfast.schema._pointer import parse_pointer
from rlfast.websocket._gaps import MAX_GAPS, MORE_SEQUENCE_GAPS, SEQUENCE_GAP, Gap, GapLog

__all__ = ["Sequence", "SequenceListener", "SequenceLog"]

SequenceListener: TypeAlias = Callable[[list[Gap]], None]
Place: TypeAlias = tuple[str, ...]
Found: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]
Jump: TypeAlias = tuple[int, int, int, bytes | None, int]

EACH = "*"
MAX_DEPTH = 32
_INDEX = re.compile("0|[1-9][0-9]{0,17}")
MORE_EVERY = 60_000_000_000
"""Nanoseconds between two gaps that stand for more than are listed."""


@dataclass(frozen=True)
class Sequence:
    """Where the messages of a feed have their numbers, by which gaps are found: see `rlfast.connect`.

    A place is a JSON Pointer (RFC 6901), which counts from the message. In the place of an index ``*`` stands
    for each element of an array: ``Sequence("/data/*/id", by="/data/*/symbol")``. Numbers are integers from
    -2**63 up to 2**64 - 1, or texts of digits. Messages without a number, such as heartbeats, are passed
    over.

    Attributes:
        number: where the number is, such as ``"/sequence_num"``.
        by: where it says whose number that is, such as ``"/product_id"``: each has numbers of its own. None:
            they are the feed's. A message that does not say it has those of nobody in particular.
        last: where the last number is, if a message says from where to where its are (``U`` and ``u``).
        step: from a number to the next one. 0 of messages that name the one before them:
            ``Sequence("/prevSeqId", last="/seqId", step=0)``. How many are missing cannot be told then.
        per_connection: True if numbers begin anew with each connection. If they do not, they tell whether
            something was missed while there was none.

    Raises:
        ConfigError: a value cannot work.
    """

    number: str
    by: str | None = None
    last: str | None = None
    step: int = 1
    per_connection: bool = False

    def __post_init__(self) -> None:
        """Check types and values."""
        for name, optional in (("number", False), ("by", True), ("last", True)):
            value = getattr(self, name)
            check_type(name, value, str, optional=optional)
            if value is not None and len(parse_pointer(value)) > MAX_DEPTH:
                raise ConfigError(f"{name} must lead through {MAX_DEPTH} names at most")
        check_int("step", self.step, 0, 2**63 - 1)
        if self.step == 0 and self.last is None:
            raise ConfigError("step=0 needs last: where the number is that the next message has to name")
        check_bool("per_connection", self.per_connection)
        self.places()

    def places(self) -> tuple[Place, Place | None, Place | None, Place | None, bool]:
        """Return the places of `number`, `last`, `by` and the array each element of which has a number.

        If there is one, the first two count from the element, and `by` if the last of the five is True.
        """
        number: Place = parse_pointer(self.number)
        last = None if self.last is None else parse_pointer(self.last)
        by = None if self.by is None else parse_pointer(self.by)
        if EACH not in number:
            for name, place in (("last", last), ("by", by)):
                if place is not None and EACH in place:
                    raise ConfigError(f"{name} is in each element of an array, and the number is not")
            return number, last, by, None, False
        each, number = _split(number)
        if last is not None:
            of, last = _split(last)
            if of != each:
                raise ConfigError("last must be in the same element of an array as the number")
        in_element = by is not None and EACH in by
        if by is not None and in_element:
            of, by = _split(by)
            if of != each:
                raise ConfigError("by must be in the same element of an array as the number, or in none")
        if any(EACH in place for place in (number, last, by) if place is not None):
            raise ConfigError("a number may be in each element of one array, not of arrays in arrays")
        return number, last, by, each, in_element


def _split(place: Place) -> tuple[Place | None, Place]:
    """The array that `*` stands for the elements of, and the way on from there."""
    if EACH not in place:
        return None, place
    at = place.index(EACH)
    return place[:at], place[at + 1 :]


class SequenceLog:
    """Every number that did not follow the one before, oldest first, as gaps; the last `MAX_GAPS` are kept.

    Args:
        sequence: where the numbers are.
        decoding: of the messages; what it repairs has a number, too.
        gaps: whose callback is told.

    Attributes:
        watcher: for the queue; it has the counts.
        listener: called with new gaps before a tap has the messages behind them; or None.
        recorded: gaps so far.
    """

    def __init__(self, sequence: Sequence, decoding: Decoding, gaps: GapLog) -> None:
        first, last, whose, each, in_element = sequence.places()
        self.watcher = SequenceWatcher(
            *(
                first,
                last,
                whose,
                each,
                in_element,
                sequence.step,
                sequence.per_connection,
                decoding.separator,
            ),
            make_finder(sequence, decoding),
            self._report,
        )
        self.listener: SequenceListener | None = None
        self.recorded = 0
        self._told = gaps
        self._more_at: int | None = None
        self._gaps: deque[Gap] = deque(maxlen=MAX_GAPS)

    def since(self, recorded: int) -> list[Gap]:
        """The gaps behind the first `recorded` ones, as far as they are kept."""
        gaps = list(self._gaps)
        return gaps[max(0, len(gaps) - (self.recorded - recorded)) :]

    def renumber(self, shift: int, least: int) -> None:
        """Messages behind `least` have got numbers that are higher by `shift`; those before have none."""
        replace = msgspec.structs.replace
        gaps = [replace(gap, last_seq=max(gap.last_seq + shift, least)) for gap in self._gaps]
        self._gaps = deque(gaps, maxlen=MAX_GAPS)

    def _report(self, jumps: list[Jump], more: int | None, epoch: int, received_at: int) -> None:
        gaps = [
            Gap(
                epoch=epoch,
                last_seq=seq - 1,
                disconnected_at=before,
                reason=SEQUENCE_GAP,
                reconnected_at=received_at,
                from_=str(from_),
                to=str(to),
                key=None if name is None else _text(name),
            )
            for seq, from_, to, name, before in jumps
        ]
        # Clocks are set back, too.
        if more is not None and (self._more_at is None or not 0 <= received_at - self._more_at < MORE_EVERY):
            self._more_at = received_at
            gaps.append(Gap(epoch, more - 1, received_at, MORE_SEQUENCE_GAPS, reconnected_at=received_at))
        if not gaps:
            return
        self._gaps.extend(gaps)
        self.recorded += len(gaps)
        if self.listener is not None:
            self.listener(gaps)
        self._told.tell_soon(gaps)


def _text(json: bytes) -> str:
    """A name as people write it: a text without its quotes."""
    if json.startswith(b'"'):
        try:
            return msgspec.json.decode(json, type=str)
        except msgspec.DecodeError:  # half of a surrogate pair
            pass
    return json.decode(errors="replace")


def make_finder(sequence: Sequence, decoding: Decoding) -> Callable[[bytes], list[Found]]:
    """Make what reads messages that the compiled code leaves to msgspec: the same, with fewer limits."""
    first, last, whose, each, in_element = sequence.places()

    def look(payload: bytes) -> list[Found]:
        message = msgspec.json.decode(payload, type=msgspec.Raw)
        whose_numbers = _at(message, None if in_element else whose)
        if each is None:
            return [(_at(message, first), _at(message, last), whose_numbers)]
        array = _at(message, each)
        if array is None or not array.startswith(b"["):
            return []
        return [
            (
                _at(element, first),
                _at(element, last),
                _at(element, whose) if in_element else whose_numbers,
            )
            for element in msgspec.json.decode(array, type=list[msgspec.Raw])
        ]

    look_again = decoding.repairing(look)

    def find(payload: bytes) -> list[Found]:
        try:
            found: list[Found] = look_again(payload)
            return found
        except (msgspec.DecodeError, RecursionError):
            return []

    return find


def _at(value: msgspec.Raw, place: Place | None) -> bytes | None:
    """The JSON at a place in a value."""
    if place is None:
        return None
    found: msgspec.Raw | None = value
    for name in place:
        text = bytes(value).lstrip(b" \t\r\n")
        found = None
        if text.startswith(b"{"):
            found = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get(name)
        elif text.startswith(b"[") and _INDEX.fullmatch(name):
            elements = msgspec.json.decode(text, type=list[msgspec.Raw])
            found = elements[int(name)] if int(name) < len(elements) else None
        if found is None:
            return None
        value = found
    return bytes(value).strip(b" \t\r\n")
