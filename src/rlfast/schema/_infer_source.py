"""A tree of types to the source of a Python module, as ruff formats it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence

import rlfast.schema._markers as markers
from rlfast.schema._infer_names import attribute_name, class_name, free_name
from rlfast.schema._infer_scalars import quoted, times
from rlfast.schema._infer_tree import (
    ANY,
    NONE,
    Choice,
    ListOf,
    MapOf,
    Member,
    OneOf,
    Plain,
    Record,
    Type,
    records,
)

__all__ = ["ALIAS", "module_source", "shown"]

ALIAS = "Event"
"""What the type of all messages is called."""
WIDTH = 88
"""Columns of a line: ruff's default."""
SHARED = 4
"""Fields from which on two equal types are one, whatever they are called."""
FEW = 10
"""A type that was seen less often says so."""
_FROM = {
    "datetime": "datetime",
    "date": "datetime",
    "Decimal": "decimal",
    "Any": "typing",
    "Literal": "typing",
    "Struct": "msgspec",
    "field": "msgspec",
}


def shown(text: str, limit: int = 60) -> str:
    """Return a text of a peer so that it is harmless in a comment, in a docstring and on a terminal."""
    text = "".join(c if c.isascii() and c.isprintable() and c not in '\\"' else "?" for c in text)
    return text if len(text) <= limit else f"{text[:limit]}..."


def module_source(root: Type, docstring: Sequence[str]) -> tuple[str, Callable[[Record], str]]:
    """Return the source of a module with the type of all messages, and what tells the name of a class.

    Args:
        root: the type of the messages.
        docstring: its lines.
    """
    writer = _Writer(root)
    return writer.module(docstring), writer.name_of


class _Writer:
    """Classes in the order of their use, each type written once.

    Attributes:
        uses: names that the module imports.
    """

    def __init__(self, root: Type) -> None:
        self.root = root
        self.uses: set[str] = {"Struct"}
        self._names: dict[tuple[Record, str], str] = {}
        self._counts: Counter[str] = Counter()
        self._aliases: dict[Type, str] = {}
        self._taken = {ALIAS, *_FROM, *markers.__all__}
        self._chunks: list[str] = []
        _collect(root, self.uses)
        # The kinds of messages keep their names, whatever is inside of them.
        for record in (*_outermost(root), *records(root)):
            if _key(record) not in self._names:
                self._names[_key(record)] = name = free_name(record.path, self._taken, "Message")
                self._taken.add(name)
        for record in records(root):
            self._counts[self.name_of(record)] += record.count

    def name_of(self, record: Record) -> str:
        """Return the name of the class of a type."""
        return self._names[_key(record)]

    def module(self, docstring: Sequence[str]) -> str:
        done: set[str] = set()
        for record in records(self.root):
            if self.name_of(record) not in done:
                done.add(self.name_of(record))
                self._class(record)
        self._chunks.append(self._assignment(ALIAS, self.root))
        head = '"""' + "\n".join(docstring) + ('\n"""' if len(docstring) > 1 else '"""')
        return f"{head}\n\n{self._imports()}\n\n\n" + "\n\n\n".join(self._chunks) + "\n"

    def _imports(self) -> str:
        found: dict[str, set[str]] = {}
        for name in self.uses:
            found.setdefault(_FROM.get(name, "rlfast.schema"), set()).add(name)
        lines = {
            module: call(f"from {module} import ", sorted(names, key=_import_order), "", "()", bare=True)
            for module, names in found.items()
        }
        ours = [lines[module] for module in sorted(lines) if module in ("msgspec", "rlfast.schema")]
        theirs = [lines[module] for module in sorted(lines) if module not in ("msgspec", "rlfast.schema")]
        return "\n\n".join("\n".join(group) for group in (theirs, ours) if group)

    def _class(self, record: Record) -> None:
        name = self.name_of(record)
        arguments = ["Struct"]
        if record.array_like:
            arguments.append("array_like=True")
        if record.tag_field is not None:
            tag = quoted(record.tag) if isinstance(record.tag, str) else str(record.tag)
            arguments += [f"tag_field={quoted(record.tag_field)}", f"tag={tag}"]
        members = sorted(record.members, key=lambda member: not member.required and not record.array_like)
        fields: list[str] = []
        taken: set[str] = set()
        types = (self.uses | {*self._names.values(), *self._aliases.values()}) - {"field", "Struct"}
        defaulted = False
        for member in members:
            attribute = attribute_name(member.key, taken, types)
            taken.add(attribute)
            defaulted = defaulted or not member.required
            fields += self._field(name, member, attribute, record.array_like, defaulted)
        count = self._counts[name]
        comment = [f"# Seen {'once' if count == 1 else times(count, 'time')}."] if count < FEW else []
        if record.array_like and members:
            comment += _comment("The items have no names in JSON: call them what they are.", "")
        head = call(f"class {name}", arguments, ":", "()")
        self._chunks.append("\n".join([*comment, head, *(fields or ["    pass"])]))

    def _field(
        self, owner: str, member: Member, attribute: str, positional: bool, optional: bool
    ) -> list[str]:
        """Return the lines of a field; `optional` if it, or an item in front of it, may be absent."""
        parts = member.type.members if isinstance(member.type, Choice) else (member.type,)
        may_be_none = NONE in parts or (optional and member.type != ANY)
        parts = tuple(part for part in parts if part != NONE)
        type_ = parts[0] if len(parts) == 1 else Choice(parts)
        none = " | None" if may_be_none else ""
        hint = f"{owner}{class_name(attribute)}"
        default = " = None" if optional else ""
        options: list[str] = []
        if attribute != member.key and not positional:
            self.uses.add("field")
            options = [f"name={quoted(member.key)}", *(["default=None"] if optional else [])]
            default = " = field"
        line = f"    {attribute}: {self._expression(type_, hint)}{none}{default}"
        if len(line) > WIDTH - 2:
            line = f"    {attribute}: {self._alias(type_, hint)}{none}{default}"
        if options:
            line = call(line, options, "", "()")
        note = "; ".join(member.notes)
        if not note:
            return [line]
        if "\n" not in line and len(line) + len(note) + 4 <= WIDTH:
            return [f"{line}  # {note}"]
        return [*_comment(note, "    "), line]

    # -- types --------------------------------------------------------------------------------------------

    def _expression(self, type_: Type, hint: str) -> str:
        if isinstance(type_, Plain):
            return type_.name
        if isinstance(type_, OneOf):
            return f"Literal[{', '.join(map(quoted, type_.texts))}]"
        if isinstance(type_, ListOf):
            return f"list[{self._expression(type_.item, hint)}]"
        if isinstance(type_, MapOf):
            return f"dict[str, {self._expression(type_.value, hint)}]"
        if isinstance(type_, Record):
            return self.name_of(type_)
        tagged = tuple(m for m in type_.members if isinstance(m, Record) and m.tag_field is not None)
        if len(tagged) > 1:
            others = (m for m in type_.members if m not in tagged)
            rest = [self._alias(Choice(tagged), hint), *(self._expression(m, hint) for m in others)]
        else:
            rest = [self._expression(m, hint) for m in type_.members]
        return " | ".join(sorted(dict.fromkeys(rest), key=lambda text: text == "None"))

    def _alias(self, type_: Type, hint: str) -> str:
        """Return the name of a type that is defined in front of the class that needs it."""
        if type_ not in self._aliases:
            name = free_name((hint,), self._taken, "Value")
            self._taken.add(name)
            chunk = self._assignment(name, type_)
            self._aliases[type_] = name
            self._chunks.append(chunk)
        return self._aliases[type_]

    def _assignment(self, name: str, type_: Type) -> str:
        around = "list[{}]" if isinstance(type_, ListOf) else "{}"
        inner = type_.item if isinstance(type_, ListOf) else type_
        if isinstance(inner, OneOf):
            self.uses.add("Literal")
            return call(
                f"{name} = {around.format('Literal')}", [quoted(text) for text in inner.texts], "", "[]"
            )
        if not isinstance(inner, Choice):
            return f"{name} = {around.format(self._expression(inner, name))}"
        parts = list(dict.fromkeys(self._expression(member, name) for member in inner.members))
        line = f"{name} = {around.format(' | '.join(parts))}"
        if len(line) <= WIDTH:
            return line
        begin, end = ("list[", "]") if isinstance(type_, ListOf) else ("(", ")")
        return f"{name} = {begin}\n    " + "\n    | ".join(parts) + f"\n{end}"


def call(before: str, arguments: Sequence[str], after: str, brackets: str, *, bare: bool = False) -> str:
    """Return arguments in brackets behind `before`: on its line, on one of their own, or one on each.

    `bare` leaves the brackets out where they are not needed.
    """
    begin, end = brackets[0], brackets[1]
    joined = ", ".join(arguments)
    line = f"{before}{joined}{after}" if bare else f"{before}{begin}{joined}{end}{after}"
    if len(line) <= WIDTH:
        return line
    indent = before[: len(before) - len(before.lstrip())]
    if brackets == "()" and not bare and len(indent) + 4 + len(joined) <= WIDTH:
        return f"{before}{begin}\n{indent}    {joined}\n{indent}{end}{after}"
    lines = "".join(f"{indent}    {argument},\n" for argument in arguments)
    return f"{before}{begin}\n{lines}{indent}{end}{after}"


def _comment(text: str, indent: str) -> list[str]:
    lead = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False)


def _key(record: Record) -> tuple[Record, str]:
    """Return what records of one class have in common: small ones of other names are equal by chance."""
    small = len(record.members) < SHARED and not record.array_like
    return record, record.path[-1] if small and record.path else ""


def _outermost(root: Type) -> list[Record]:
    """Return the records that messages, or the items of messages that are lists, have themselves."""
    inner = root.item if isinstance(root, ListOf) else root
    members = inner.members if isinstance(inner, Choice) else (inner,)
    return [member for member in members if isinstance(member, Record)]


def _collect(type_: Type, uses: set[str]) -> None:
    """Add the names that a type needs imported."""
    inner: tuple[Type, ...] = ()
    if isinstance(type_, Plain):
        uses |= {type_.name} & {*_FROM, *markers.__all__}
    elif isinstance(type_, OneOf):
        uses.add("Literal")
    elif isinstance(type_, ListOf):
        inner = (type_.item,)
    elif isinstance(type_, MapOf):
        inner = (type_.value,)
    elif isinstance(type_, Choice):
        inner = type_.members
    else:
        inner = tuple(member.type for member in type_.members)
    for part in inner:
        _collect(part, uses)


def _import_order(name: str) -> tuple[int, str]:
    """Constants, classes, functions: how isort sorts imported names."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name
