"""Options of the command line from the fields of dataclasses, which hold their types and their defaults."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import typer

from rlfast.cli._common import duration, path, size, size_or_zero
from rlfast.cli._units import write_duration, write_size

__all__ = ["Field", "Group", "make", "takes"]

T = TypeVar("T")

#: How a value is written: metavar, parser, and what shows a default.
_FORMS: dict[str, tuple[str, Callable[[str], Any] | None, Callable[[Any], str] | None]] = {
    "": ("N", None, None),
    "text": ("TEXT", None, None),
    "size": ("SIZE", size, write_size),
    "size or zero": ("SIZE", size_or_zero, lambda value: write_size(value) if value else "0"),
    "time": ("TIME", duration, write_duration),
    "path": ("PATH", path, None),
}


class Field(NamedTuple):
    """One field of a dataclass, as an option.

    Attributes:
        name: of the field.
        help: what the option does.
        option: ``--name``; by default that of the field.
        form: how it is written, a key of `_FORMS`.
        metavar: what stands for the value in the help, if the form's does not fit.
        environment: the variable that it may come from, too.
        argument: whether it is an argument and not an option.
        absent: what the help shows for the default None; "" shows nothing.
        least: of a number.
    """

    name: str
    help: str
    option: str = ""
    form: str = ""
    metavar: str | None = None
    environment: str | None = None
    argument: bool = False
    absent: str = ""
    least: int | None = None


class Group(NamedTuple):
    """Options that make one object of a dataclass, or a part of its fields."""

    cls: type[Any]
    panel: str | None
    fields: tuple[Field, ...]


def _parameter(cls: type[Any], field: Field, panel: str | None) -> inspect.Parameter:
    kind = get_type_hints(cls)[field.name]
    found = next(found for found in fields(cls) if found.name == field.name)
    default: Any = found.default
    if found.default_factory is not MISSING:
        default = found.default_factory()
    metavar, parser, show = _FORMS[field.form]
    plain = (
        [kind for kind in get_args(kind) if kind is not types.NoneType]
        if types.NoneType in get_args(kind)
        else [kind]
    )
    settings: dict[str, Any] = {"help": field.help, "rich_help_panel": panel, "envvar": field.environment}
    if plain[0] is not bool and get_origin(plain[0]) is not Literal:
        settings["metavar"] = field.metavar or metavar
    if parser is not None:
        settings["parser"] = parser
    if show is not None and default is not None:
        settings["show_default"] = show(default)
    elif default is None and field.absent:
        settings["show_default"] = field.absent
    if field.least is not None:
        settings["min"] = field.least
    if field.argument:
        info: Any = typer.Argument(**settings)
    else:
        info = typer.Option(field.option or f"--{field.name.replace('_', '-')}", **settings)
    return inspect.Parameter(
        _key(cls, field.name),
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, info],
    )


def _key(cls: type[Any], name: str) -> str:
    return f"{cls.__name__}_{name}".lower()


def takes(*groups: Group) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of some groups, before its own. It gets all of them as keyword arguments."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(command, eval_str=True)
        own = [
            value
            for value in signature.parameters.values()
            if value.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        made = [_parameter(group.cls, field, group.panel) for group in groups for field in group.fields]

        @wraps(command)
        def run(**given: Any) -> int:
            return command(**given)

        parameters = [*made, *(value.replace(kind=inspect.Parameter.KEYWORD_ONLY) for value in own)]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {value.name: value.annotation for value in parameters}
        return run

    return decorate


def make(cls: type[T], given: dict[str, Any], **more: Any) -> T:
    """Make an object of the options that a command got, and of `more`."""
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: given[_key(cls, name)] for name in names if _key(cls, name) in given}, **more)
