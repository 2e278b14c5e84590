"""Checks of arguments: what is wrong is said by the call that got it, not by a task later on.

Every error is a `ConfigError` that names the argument, what it must be, and what it was: the name of its
type, or the number or word that is out of range. Nothing else is shown, since it may be a secret.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlfast.errors import ConfigError

__all__ = [
    "check_bool",
    "check_callable",
    "check_choice",
    "check_int",
    "check_number",
    "check_path",
    "check_type",
    "must_be",
]


def must_be(name: str, what: str, value: object) -> ConfigError:
    """The error of an argument of another type."""
    return ConfigError(f"{name} must be {what}, not {type(value).__name__}")


def check_type(
    name: str, value: object, kinds: type | tuple[type, ...], *, what: str = "", optional: bool = False
) -> None:
    """Refuse a value of other types than `kinds`; `what` says which they are, if their names do not."""
    if isinstance(value, kinds) or (optional and value is None):
        return
    names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
    expected = what or " or ".join(names)
    raise must_be(name, expected + _or_none(optional), value)


def check_bool(name: str, value: object) -> None:
    """Refuse what is not True or False."""
    check_type(name, value, bool, what="True or False")


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse what cannot be called."""
    if not (callable(value) or (optional and value is None)):
        raise must_be(name, f"a callable{_or_none(optional)}", value)


def check_int(
    name: str, value: Any, least: int, most: int | None = None, *, note: str = "", optional: bool = False
) -> None:
    """Refuse what is not an int from `least` to `most`."""
    if optional and value is None:
        return
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise _out_of_range(name, f"int {bounds}", note, optional, value)


def check_number(
    name: str,
    value: Any,
    least: float,
    most: float = math.inf,
    *,
    above: bool = False,
    note: str = "",
    optional: bool = False,
) -> None:
    """Refuse what is not an int or float from `least` to `most`; with `above`, also `least` itself."""
    if optional and value is None:
        return
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # A chain of <= is false for NaN, too.
    if not is_number or not least <= value <= most or (above and value == least):
        bounds = f"{'more than' if above else 'at least'} {least:g}"
        if most != math.inf:
            bounds += f" and at most {most:g}"
        raise _out_of_range(name, f"a number of {bounds}", note, optional, value)


def check_choice(name: str, value: object, choices: Sequence[str], *, optional: bool = False) -> None:
    """Refuse what is not one of some texts."""
    if optional and value is None:
        return
    if not isinstance(value, str) or value not in choices:
        expected = f"one of {', '.join(choices)}{_or_none(optional)}"
        if isinstance(value, str):
            raise ConfigError(f"{name} must be {expected}, not {value[:40]!r}")
        raise must_be(name, expected, value)


def check_path(name: str, value: object) -> Path:
    """Return the absolute path that a str or an `os.PathLike` of one names, whatever ``chdir`` does.

    URLs are refused: as a path, ``s3://bucket/x`` is the folder ``./s3:/bucket/x``.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise must_be(name, "str or Path", value)
    # A Path has made one slash of two. One letter and a colon is a drive of Windows.
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", value)
    if url is not None:
        raise ConfigError(
            f"{name} is a URL ({url[0]}/…), and rlfast writes to local folders only; name one, and copy it "
            f"from there (a folder of this name is ./{url[0]}…)"
        )
    return Path(os.path.abspath(value))


def _out_of_range(name: str, expected: str, note: str, optional: bool, value: object) -> ConfigError:
    expected = f"{expected}{note and ' ' + note}{_or_none(optional)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return must_be(name, expected, value)
    # Python refuses to write an int of thousands of digits.
    shown = "a huge one" if isinstance(value, int) and abs(value) >> 64 else value
    return ConfigError(f"{name} must be {expected}, not {shown}")


def _or_none(optional: bool) -> str:
    return " or None" if optional else ""
