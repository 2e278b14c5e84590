"""Names: the words in those of JSON, and what classes and attributes are called after them."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable

__all__ = ["attribute_name", "class_name", "free_name", "singular", "words"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PART = re.compile(r"[^\W_]+")
_BUILTINS = frozenset(dir(builtins))
_TYPES = frozenset({"bool", "dict", "field", "float", "int", "list", "str"})


def words(name: str) -> frozenset[str]:
    """Return the words of a name in lower case: of ``createdAt``, of ``created_at``, of ``created-at``."""
    return frozenset(word.lower() for word in _WORD.findall(name))


def class_name(text: str | int) -> str:
    """Return a text in CamelCase; empty if it has neither letters nor digits.

    ``response.audio.delta`` gives ``ResponseAudioDelta``, ``MESSAGE_CREATE`` gives ``MessageCreate``.
    """
    parts = _PART.findall(unicodedata.normalize("NFKC", str(text)))
    shown = [
        part.capitalize() if part.isupper() and len(part) > 1 else part[:1].upper() + part[1:]
        for part in parts
    ]
    name = "".join(shown)[:60]
    return name if name.isidentifier() or f"A{name}".isidentifier() else ""


def singular(name: str) -> str:
    """Return what one item of a list of this name is called, as far as the ending tells."""
    lower = name.lower()
    if len(name) > 4 and lower.endswith("ies"):
        return f"{name[:-3]}y"
    if lower.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return name[:-2]
    if len(name) > 2 and lower.endswith("s") and not lower.endswith(("ss", "us", "is")):
        return name[:-1]
    return name


def free_name(path: Iterable[str], taken: Collection[str], otherwise: str) -> str:
    """Return a class name that is free: the last of `path`, with those before it as far as it needs them."""
    names = [name for name in path if name] or [otherwise]
    if len(names) > 1 and names[-1] == names[-2]:
        names[-1] += "Body"
    wanted = [_usable("".join(names[i:])) for i in range(len(names) - 1, -1, -1)]
    wanted.append(f"{wanted[0]}{otherwise}")
    wanted += [f"{wanted[0]}{number}" for number in range(2, len(taken) + 3)]
    return next(name for name in wanted if name not in taken)


def _usable(name: str) -> str:
    if not name.isidentifier():
        name = f"Type{name}"
    # What is called like an exception, or in one letter, would be misread where it is used.
    return f"{name}Item" if name in _BUILTINS or keyword.iskeyword(name) or len(name) == 1 else name


def attribute_name(key: str, taken: Collection[str], types: Collection[str]) -> str:
    """Return the attribute for a JSON name: the same, if it is an identifier and free.

    Args:
        key: the name.
        taken: attributes of the same struct.
        types: names that annotations need, which an attribute of that name would hide.
    """
    name = unicodedata.normalize("NFKC", key)
    # In a class body two leading underscores change the name.
    if not name.isidentifier() or name.startswith("__"):
        name = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "field"
        name = name if name.isidentifier() else f"n{name}"
    if keyword.iskeyword(name) or name in _TYPES or name in types:
        name += "_"
    number, free = 1, name
    while free in taken or free in types:
        number += 1
        free = f"{name.rstrip('_')}_{number}"
    return free
