"""The names that rlfast adds to those of a type's fields, and which one gives way when two are equal.

Two rules, applied to every table and folder that rlfast writes:

- **JSON keeps its names, ours step aside.** A name of ours that a field of the type has, too, gets the prefix
  ``rlfast_``: beside a field ``seq`` our column is ``rlfast_seq``, beside a field ``type`` the folders are
  ``rlfast_type=…``. It holds for all tables of a union, so that a column has one meaning in all of them.
- **Files have no two names that differ in case only**, because DuckDB and Spark do not tell them apart: the
  later one gets ``_1``, ``_2``, …, as DuckDB itself would have it; nor an empty one. See `distinct_names`.

Names are compared without regard to case for both.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

__all__ = ["TYPE_KEYS", "OwnNames", "distinct_names", "own_names"]

TYPE_KEYS = ("type", "rlfast_type")
"""What `OwnNames.type` may be, for who looks for the folder of a type."""


class OwnNames(msgspec.Struct, frozen=True):
    """What the columns and folders that rlfast adds are called beside the fields of a type.

    Attributes:
        seq: column of the sequence number.
        epoch: column of the number of the connection.
        received_at: column of the time of receipt.
        stream: column, in files, of the name of the stream.
        extra: column of the JSON of the fields that the type does not know.
        type: key of the folders of the types, as in ``type=kb_change``.
        date: key of the folders of the days, with a partition.
        hour: key of the folders of the hours, with a partition.
        item: column of the place in its message, of events that are elements of an array; else None.
    """

    seq: str = "seq"
    epoch: str = "epoch"
    received_at: str = "received_at"
    stream: str = "stream"
    extra: str = "_extra"
    type: str = "type"
    date: str = "date"
    hour: str = "hour"
    item: str | None = None

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """The columns of every table of a batch: three in front of the fields, and one after them."""
        return self.seq, self.epoch, self.received_at, self.extra


def own_names(fields: Iterable[str], *, splits: bool = False) -> OwnNames:
    """Return what our names are beside `fields`, the names of all fields of all tables.

    Args:
        fields: names in JSON.
        splits: whether messages are arrays of events.
    """
    taken = {field.lower() for field in fields}
    names: dict[str, str] = {}
    wanted = OwnNames(item="item") if splits else OwnNames()
    for attribute, name in msgspec.structs.asdict(wanted).items():
        if name is None:
            continue
        base = f"rlfast_{name.lstrip('_')}"
        candidates = (name, base, *(f"{base}_{i}" for i in range(1, len(taken) + 1)))
        names[attribute] = next(free for free in candidates if free.lower() not in taken)
    return OwnNames(**names)


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return the names, in order, with a number behind those that differ from an earlier one in case only.

    And behind one that is empty, because DuckDB takes a struct with no other name for a tuple, and fails.
    ``["t", "T", ""]`` gives ``["t", "T_1", "_1"]``.
    """
    wanted = list(names)
    taken = {name.lower() for name in wanted}
    used: set[str] = set()
    found = []
    for name in wanted:
        number, free = 0, name
        while not free or free.lower() in used or (number and free.lower() in taken):
            number += 1
            free = f"{name}_{number}"
        used.add(free.lower())
        found.append(free)
    return found
