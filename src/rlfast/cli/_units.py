"""Sizes and times as people write and read them."""

from __future__ import annotations

import math
import re

from rlfast.errors import ConfigError

__all__ = [
    "format_bytes",
    "format_nanoseconds",
    "format_seconds",
    "parse_duration",
    "parse_size",
    "write_duration",
    "write_size",
]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d)\s*)+", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def parse_size(text: str) -> int:
    """Return a size in bytes: ``65536``, ``128MB`` (decimal), ``128MiB`` (binary).

    Raises:
        ConfigError: it is not a size, or less than a byte.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match is not None and not (match[3] and not match[2]):
        size = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()])
    if size < 1:
        raise ConfigError(f"{text!r} is not a size; write for example 500000, 128MB or 128MiB")
    return size


def parse_duration(text: str) -> float:
    """Return a time in seconds: ``90``, ``1.5s``, ``500ms``, ``5m``, ``1h30m``, ``7d``.

    Raises:
        ConfigError: it is not a time, or zero.
    """
    text = text.strip()
    seconds = 0.0
    if _DURATION.fullmatch(text):
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in _PART.findall(text))
    elif re.fullmatch(r"\d+(?:\.\d+)?", text):
        seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{text!r} is not a time; write for example 90, 30s, 5m or 1h30m")
    return seconds


def write_size(size: int) -> str:
    """Return a size as `parse_size` takes it, such as ``128MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size % 1024 or not size:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}GiB"


def write_duration(seconds: float) -> str:
    """Return a time as `parse_duration` takes it, such as ``20s`` or ``100ms``."""
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def format_bytes(size: float) -> str:
    """Return a size in decimal units with three digits, such as ``65.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.2f} TB"


def format_seconds(seconds: float) -> str:
    """Return a time such as ``4.2 s``, ``3:07`` or ``26:03:07``."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    minutes = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{minutes}" if whole >= 3600 else minutes.removeprefix("0")


def format_nanoseconds(value: float) -> str:
    """Return a duration with three digits, such as ``42.1 µs``."""
    for unit in ("ns", "µs", "ms"):
        if value < 999.5:
            return f"{value:.0f} ns" if unit == "ns" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} s"
