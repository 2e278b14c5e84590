"""The faults that a simulator can be told to have, and how they are written: ``NAME:COUNT[:SETTING][xC]``.

What a fault does to a connection is in `rlfast.simulator._faulty_stream`; which connection has which fault,
in `rlfast.simulator._fault_schedule`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rlfast.errors import ConfigError

__all__ = ["FORMS", "Fault", "parse_fault"]

_SPEC = re.compile(r"([a-z]+):([0-9]{1,15})(?::([0-9]{1,9}(?:\.[0-9]{1,9})?))?(?:x([0-9]{1,15}))?")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: a key of `FORMS`.
        count: payloads of a connection before the fault; for ``refuse`` and ``limit``, upgrades refused.
        setting: ``restart``: seconds until the server listens again; ``trickle``: bytes per second;
            ``refuse`` and ``limit``: seconds of Retry-After, None for no such header; otherwise None.
        connections: the fault is for the first so many connections of a server; None: for every one, but
            ``refuse`` and ``limit`` then follow the first connection only.
    """

    name: str
    count: int
    setting: float | None = None
    connections: int | None = None


@dataclass(frozen=True)
class Form:
    """How one fault is written.

    Attributes:
        text: the form without the suffix, such as ``restart:N[:SECONDS]``.
        example: a correct fault.
        has_setting: whether a second number may follow.
        default: the setting when there is none; `needs_setting` says that there must be one.
        is_fractional: whether the setting may have decimals.
        least_count: the smallest count.
        least_setting: the smallest setting.
    """

    text: str
    example: str
    has_setting: bool = False
    default: float | None = None
    needs_setting: bool = False
    is_fractional: bool = False
    least_count: int = 0
    least_setting: int = 0


FORMS = {
    "drop": Form("drop:N", "drop:1000"),
    "rst": Form("rst:N", "rst:1000"),
    "silent": Form("silent:N", "silent:1000"),
    "mute": Form("mute:N", "mute:1000"),
    "restart": Form("restart:N[:SECONDS]", "restart:1000:0.5", True, 0.5, is_fractional=True),
    "trickle": Form("trickle:N[:BYTES_PER_SECOND]", "trickle:1000:2000", True, 2000, least_setting=1),
    # RFC 9110 section 10.2.3: Retry-After is given in whole seconds.
    "refuse": Form("refuse:K[:SECONDS]", "refuse:3:2", True, least_count=1),
    "limit": Form("limit:K:SECONDS", "limit:3:2", True, needs_setting=True, least_count=1),
    "expire": Form("expire:N", "expire:1000"),
    "poison": Form("poison:N", "poison:1000"),
}
"""The faults by name."""


def parse_fault(text: str) -> Fault:
    """Read a fault such as ``drop:1000``, ``restart:500:2.5`` or, for three connections, ``drop:1000x3``.

    Raises:
        ConfigError: there is no such fault, or it is written in another way; the text shows the right one.
    """
    name = text.partition(":")[0]
    form = FORMS.get(name)
    if form is None:
        forms = ", ".join(known.text for known in FORMS.values())
        raise ConfigError(f"there is no fault {name!r}; use one of {forms}")
    match = _SPEC.fullmatch(text)
    if match is None or not _fits(form, match):
        example = form.example
        raise ConfigError(
            f"fault {text!r} must have the form {form.text}, such as {example}"
            f"; x and a number limit it to the first connections: {example}x3"
        )
    setting = form.default if match[3] is None else float(match[3])
    return Fault(name, int(match[2]), setting, None if match[4] is None else int(match[4]))


def _fits(form: Form, match: re.Match[str]) -> bool:
    _, count, setting, connections = match.groups()
    if int(count) < form.least_count or (connections is not None and int(connections) < 1):
        return False
    if setting is None:
        return not form.needs_setting
    is_exact = form.is_fractional or "." not in setting
    return form.has_setting and is_exact and float(setting) >= form.least_setting
