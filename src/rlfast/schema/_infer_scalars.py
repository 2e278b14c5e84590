"""Numbers and texts of one place in the messages, to the narrowest type that the sample supports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from rlfast.schema._infer_names import words
from rlfast.schema._infer_tree import ANY, OneOf, Plain, Type

__all__ = [
    "DIGITS",
    "SOME",
    "number_or_text_type",
    "number_type",
    "plain_number_type",
    "quoted",
    "text_type",
    "times",
]

DIGITS = Plain("digits")
"""Few texts, all digits: ids, or decimals of which none happened to have a point. The caller knows what is
beside them."""

ENOUGH = 50
"""Texts from which on it counts that they are few distinct ones."""
SOME = 20
"""Values from which on what all of them have in common is taken for a rule."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FIRST, _LAST = 978_307_200, 4_102_444_800
"""2001 to 2100, in seconds since 1970. In other units the two are so far apart that none overlaps."""
_UNITS = {"EpochSeconds": 1, "EpochMillis": 10**3, "EpochMicros": 10**6, "EpochNanos": 10**9}
_DAY, _MINUTE = 86_400, 60
_SOON = 2_200_000_000
"""2039. A later time in seconds is more likely a number that counts something."""

_TIME_WORDS = _set(
    "time timestamp ts at date datetime mts seen created updated modified expires expiry expiration expire "
    "before after since until start end started ended begin when clock utc epoch deadline ping pong sent "
    "received published opened closed issued iat exp nbf"
)
_TIME_LETTERS = frozenset("tTE")
_ID_WORDS = _set("id ids seq sequence num number count nonce offset hash cursor version index serial uid pid")
_FRACTION_WORDS = _set(
    "price px amount qty quantity volume vol rate ratio percent pct temperature temp lat lon lng latitude "
    "longitude seconds score weight balance fee cost avg mean confidence threshold speed humidity "
    "pressure"
)
_NAME_WORDS = _set("version ver jsonrpc protocol code zip phone name key label model build ip")
"""What such a name stands for may look like a number, and is none."""
_ENUM_WORDS = _set(
    "side type status state kind action operation direction event op level severity phase role mode reason "
    "result method category visibility class"
)
_INSTANCE_WORDS = _set(
    "id symbol sym s name pair product market instrument inst currency coin asset ticker channel stream "
    "topic ch host source user item content text title comment description body"
)
"""Names of what there is more of than one sample shows."""

_INTEGER = re.compile(r"-?(?:[1-9]\d*|(?<!-)0)", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FINE = re.compile(r"\.\d{6}\d*[1-9]")
_SIMPLE = re.compile(r"[A-Za-z][\w .:/-]{0,39}", re.ASCII)


def quoted(text: str) -> str:
    """Return a text as Python writes it, in double quotes where that saves backslashes."""
    shown = ascii(text)
    if shown.startswith('"'):
        return shown
    inner = shown[1:-1]
    if '"' not in inner:
        return f'"{inner}"'
    if r"\'" not in inner:
        return shown
    double = inner.replace(r"\'", "'").replace('"', r"\"")
    return f'"{double}"' if len(double) <= len(inner) else shown


def number_type(values: Sequence[int | float], name: str, notes: list[str]) -> Type:
    """Return the type of JSON numbers."""
    unit = _epoch(values, name)
    if unit is not None and all(float(value).is_integer() for value in values):
        return Plain(unit)
    kind = plain_number_type(values, notes)
    if kind == Plain("float") and unit is not None:
        notes.append(f"{unit.removeprefix('Epoch').lower()} since 1970, with a fraction")
    said = words(name)
    if kind == Plain("int") and len(values) < SOME and said & _FRACTION_WORDS and not said & _ID_WORDS:
        notes.append(f"only whole numbers in {times(len(values), 'value')}")
        return Plain("float")
    return kind


def plain_number_type(values: Sequence[int | float], notes: list[str]) -> Type:
    """Return the type of JSON numbers whatever they stand for."""
    if any(isinstance(value, float) for value in values):
        return Plain("float")
    least, most = min(values), max(values)
    if least < -(2**63) or most >= 2**64 or (least < 0 and most >= 2**63):
        notes.append("integers of more than 64 bits")
        return ANY
    return Plain("UInt64" if most >= 2**63 else "int")


def text_type(values: Sequence[str], name: str, notes: list[str]) -> Type:
    """Return the type of JSON texts; it may be `DIGITS`."""
    first = values[0]
    if _UUID.fullmatch(first) and all(map(_UUID.fullmatch, values)):
        return Plain("UUIDStr")
    if first[:4].isdigit() and first[4:5] == "-":
        for type_ in (datetime, date):
            if all(_decodes(value, type_) for value in values):
                if type_ is datetime and any(map(_FINE.search, values)):
                    notes.append("finer than the microseconds of a datetime")
                return Plain(type_.__name__)
    if _NUMBER.fullmatch(first) and all(map(_NUMBER.fullmatch, values)):
        return _numeric_text(values, name, notes)
    if any(value[:1] == "{" and value[-1:] == "}" and _decodes_json(value) for value in values[:SOME]):
        notes.append("JSON in a text")
    return _repeated(values, name, notes)


def number_or_text_type(
    numbers: Sequence[int | float], texts: Sequence[str], name: str, notes: list[str]
) -> list[Type]:
    """Return the types of a place that has both."""
    text = text_type(texts, name, [])
    if text == Plain("Decimal") or (text in (DIGITS, Plain("IntText")) and words(name) & _FRACTION_WORDS):
        return [Plain("Decimal")]
    number = plain_number_type(numbers, notes)
    return [number] if number == ANY else [number, Plain("str")]


def _epoch(values: Sequence[int | float], name: str) -> str | None:
    """Return the marker of the unit, if the numbers are times, by their size and their name or nearness."""
    least, most = min(values), max(values)
    unit = next((u for u, per in _UNITS.items() if _FIRST * per <= least and most <= _LAST * per), None)
    if unit is None or words(name) & _ID_WORDS:
        return None
    per = _UNITS[unit]
    if name in _TIME_LETTERS:
        # Trade ids are called t, too, and have reached the size of seconds.
        return unit if per > 1 or (most <= _SOON and all(value % _MINUTE == 0 for value in values)) else None
    if words(name) & _TIME_WORDS or name.lower().endswith(("time", "timestamp", "date")):
        return unit
    near = most - least <= _DAY * per and most <= _SOON * per
    return unit if per > 1 and len(values) >= SOME and near else None


def _numeric_text(values: Sequence[str], name: str, notes: list[str]) -> Type:
    said = words(name)
    if all(map(_INTEGER.fullmatch, values)):
        whole = [int(value) for value in values]
        unit = _epoch(whole, name) if min(whole) > 0 else None
        if unit is not None:
            return Plain(unit)
        if min(whole) >= -(2**63) and max(whole) < 2**63:
            if said & _FRACTION_WORDS and not said & _ID_WORDS:
                return Plain("Decimal")
            if len(values) >= SOME or said & {"count", "num"}:
                return Plain("IntText")
            return Plain("str") if said & (_NAME_WORDS | _ID_WORDS) else DIGITS
    if said & _NAME_WORDS or max(map(len, values)) > 38 or not any("." in value for value in values):
        return _repeated(values, name, notes)
    # With an exponent a number may have more digits than a decimal column.
    return Plain("FloatText" if any("e" in value.lower() for value in values) else "Decimal")


def _repeated(values: Sequence[str], name: str, notes: list[str]) -> Type:
    """Return the type of texts that are nothing but texts: by how many of them are distinct."""
    total, said = len(values), words(name)
    seen = Counter(values)
    few = len(seen) <= 12 and all(map(_SIMPLE.fullmatch, seen))
    shown = ", ".join(quoted(text) for text in sorted(seen)) if len(seen) <= 12 else ""
    if total < ENOUGH:
        if total > 1 and few and len(seen) <= 4 and said & _ENUM_WORDS and not said & _ID_WORDS:
            notes.append(f"only {shown} in {times(total, 'value')}")
        return Plain("str")
    least = min(seen.values())
    if few and len(seen) >= 2 and least >= 3 and said & _ENUM_WORDS and not said & _ID_WORDS:
        return OneOf(tuple(sorted(seen)))
    several = 2 <= len(seen) <= 6 and least >= 10 and total >= 4 * ENOUGH
    if few and several and not said & (_INSTANCE_WORDS | _ID_WORDS) and all(map(str.islower, seen)):
        return OneOf(tuple(sorted(seen)))
    if len(seen) <= min(total // 20, 1000) and max(map(len, seen)) <= 64:
        return Plain("CategoryStr")
    return Plain("str")


def times(count: int, noun: str) -> str:
    """Return a number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _decodes(value: str, type_: Any) -> bool:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return False
    return True


def _decodes_json(value: str) -> bool:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
