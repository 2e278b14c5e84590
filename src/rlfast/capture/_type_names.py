"""Types of events, and how they are decoded, by name, so that a later process can decode a journal."""

from __future__ import annotations

import importlib
import sys
import typing
from types import ModuleType, NoneType, UnionType
from typing import Any

from rlfast.errors import ConfigError
from rlfast.schema._decoding import Decoding

__all__ = ["name_decoding", "name_type", "resolve_decoding", "resolve_type"]

#: What journals of earlier versions call the modules of rlfast's own types.
_MOVED = {"rlfast.events": "rlfast.reasoning_layer"}


def name_type(type_: Any) -> str | None:
    """Return ``module:Name`` of a type, or several of them with ``|`` for a union without a name.

    None stands for an untyped stream; the empty text for a type that no other process can import.
    """
    if type_ is None:
        return None
    members = typing.get_args(type_) if _is_union(type_) else (type_,)
    classes = [member for member in members if isinstance(member, type) and not typing.get_args(member)]
    modules = {_public_module(member) for member in classes}
    if _is_union(type_) or not classes:
        # Those of its classes first: others may only have imported it.
        for module, contents in sorted(
            sys.modules.items(), key=lambda item: (item[0] not in modules, item[0])
        ):
            if module != "__main__" and isinstance(contents, ModuleType):
                for name, value in vars(contents).items():
                    if value is type_ or (module in modules and _is_union(value) and value == type_):
                        return f"{module}:{name}"
    names = [f"{_public_module(member)}:{member.__qualname__}" for member in classes]
    text = "|".join(names)
    if len(names) != len(members) or "__main__" in modules or "<locals>" in text:
        return ""
    return text


def _public_module(type_: type) -> str:
    """The package that exports a class of an internal module; else the module itself."""
    if type_ is NoneType:
        return "types"  # and not where it says to be
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
    union, *members = [_imported(part, "type of its events") for part in name.split("|")]
    for member in members:
        union = union | member
    return union


def _imported(name: str, what: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(_MOVED.get(module, module))
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except (Exception, SystemExit) as error:  # A module may raise anything when it is run.
        raise ConfigError(f"the {what}, {name}, cannot be imported: {error}") from error
    return found


def name_decoding(decoding: Decoding) -> dict[str, Any]:
    """What is not the default of a decoding, besides the type; of its hook ``module:name``, as of a type."""
    changes = decoding.changes()
    if "dec_hook" in changes:
        hook: Any = decoding.dec_hook
        name = getattr(hook, "__qualname__", "<unknown>")
        module = getattr(hook, "__module__", "__main__")
        changes["dec_hook"] = "" if "<" in name or module == "__main__" else f"{module}:{name}"
    return changes


def resolve_decoding(type_: str | None, changes: dict[str, Any]) -> Decoding:
    """Import what `name_type` and `name_decoding` named.

    Raises:
        ConfigError: something cannot be imported.
    """
    hook = changes.get("dec_hook")
    if hook is not None:
        if not hook:
            raise ConfigError("the dec_hook of its events has no name that can be imported")
        changes = {**changes, "dec_hook": _imported(hook, "dec_hook of its events")}
    return Decoding(resolve_type(type_), **changes)
