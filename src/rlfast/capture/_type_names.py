"""Types of events by name, so that a journal can be decoded by a later process."""

from __future__ import annotations

import importlib
import sys
import typing
from types import UnionType
from typing import Any

from rlfast.errors import ConfigError

__all__ = ["name_type", "resolve_type"]

#: What journals of earlier versions call the modules of rlfast's own types.
_MOVED = {"rlfast.events": "rlfast.reasoning_layer"}


def name_type(type_: Any) -> str | None:
    """Return ``module:Name`` of a type, or several of them with ``|`` for a union without a name.

    None stands for an untyped stream; the empty text for a type that no other process can import.
    """
    if type_ is None:
        return None
    members = typing.get_args(type_) if _is_union(type_) else (type_,)
    modules = {_public_module(member) for member in members if isinstance(member, type)}
    if _is_union(type_):
        for module in sorted(modules & sys.modules.keys()):
            for name, value in vars(sys.modules[module]).items():
                if _is_union(value) and value == type_:
                    return f"{module}:{name}"
    names = [
        f"{_public_module(member)}:{member.__qualname__}" for member in members if isinstance(member, type)
    ]
    text = "|".join(names)
    if len(names) != len(members) or "__main__" in modules or "<locals>" in text:
        return ""
    return text


def _public_module(type_: type) -> str:
    """The package that exports a class of an internal module; else the module itself."""
    package, private, _ = type_.__module__.partition("._")
    if private and getattr(sys.modules.get(package), type_.__qualname__, None) is type_:
        return package
    return type_.__module__


def _is_union(type_: Any) -> bool:
    return isinstance(type_, UnionType) or typing.get_origin(type_) is typing.Union


def resolve_type(name: str | None) -> Any:
    """Import what `name_type` named.

    Raises:
        ConfigError: it cannot be imported.
    """
    if name is None:
        return None
    if not name:
        raise ConfigError("the type of its events has no name that can be imported")
    members: list[Any] = []
    for part in name.split("|"):
        module, _, path = part.partition(":")
        try:
            found: Any = importlib.import_module(_MOVED.get(module, module))
            for attribute in path.split("."):
                found = getattr(found, attribute)
        except (Exception, SystemExit) as error:  # A module may raise anything when it is run.
            raise ConfigError(f"the type of its events, {part}, cannot be imported: {error}") from error
        members.append(found)
    union = members[0]
    for member in members[1:]:
        union = union | member
    return union
