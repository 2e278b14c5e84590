"""Everything that can be seen of a batch, to compare what the kernels make of the same payloads."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from core.oracle import plain_values

from rlfast._core.plan import KERNELS
from rlfast._core.queue import BlockQueue
from rlfast._core.structs import StructDecoder
from rlfast._core.values import ValueDecoder
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._batch import EventTable
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope_reference import reference_of
from rlfast.schema._slots import struct_plan

GENERAL = None
"""Instead of a kernel: msgspec decodes everything, into structs that the builders read."""


def rows_of(table: EventTable) -> list[tuple[str, list[Any]]]:
    """Name and values of every column, as `plain_values` has them, which tells 0.0 from -0.0."""
    batch = pa.record_batch(table.with_plain_text())
    batch.validate(full=True)
    return [
        (name, plain_values(column))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if name != "received_at"
    ]


def outcome(
    type_: Any,
    payloads: Iterable[bytes],
    kernel: str | None,
    cuts: Sequence[int] = (),
    block_size: int = 1 << 16,
) -> dict[str, Any]:
    """Tables by name, dead letters as "", of the payloads as one batch, decoded `cuts` messages at a time."""
    queue = BlockQueue(block_size, 1 << 30, 0, 7)
    queue.begin_epoch(3)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    assembler = BatchAssembler(type_, kernel)
    sizes = iter(cuts)
    total = 0
    while (block := queue.take_block()) is not None:
        stop = min(block.count, block.taken + next(sizes, block.count))
        total += stop - block.taken
        assembler.add(block, block.taken, stop)
        queue.give_back(block, stop)
    assert assembler.num_fast + assembler.num_fallback == total
    assert kernel is not GENERAL or assembler.num_fast == 0
    batch = assembler.finish()
    seqs = [seq for table in (*batch.values(), batch.dead_letters) for seq in table["seq"].tolist()]
    decoding = Decoding.of(type_)
    if decoding.framing is not None or (decoding.type is not None and reference_of(type_).plan.splits):
        # A message has as many rows as it has events, or is a dead letter.
        assert set(seqs) <= set(range(7, 7 + total))
    else:
        assert sorted(seqs) == list(range(7, 7 + total))
    found = {name: rows_of(table) for name, table in batch.items()}
    return {**found, "": rows_of(batch.dead_letters)}


def check_equal(
    type_: Any, payloads: Sequence[bytes], cuts: Sequence[int] = (), block_size: int = 1 << 16
) -> None:
    """Every kernel makes of the payloads the rows, and the structs or values, that msgspec makes of them."""
    if Decoding.of(type_).type is None:
        check_values(payloads)
    else:
        check_structs(type_, payloads)
    expected = outcome(type_, payloads, GENERAL)
    for kernel in KERNELS:
        found = outcome(type_, payloads, kernel, cuts, block_size)
        if found != expected:
            report(type_, payloads, kernel)
        assert found == expected, kernel


def check_structs(type_: Any, payloads: Sequence[bytes]) -> int:
    """Every kernel makes the struct that msgspec makes, or leaves the payload to it. Returns how many."""
    plan = struct_plan(type_)
    if plan is None:
        return 0
    decoders = [StructDecoder(plan, kernel) for kernel in KERNELS]
    decoding = Decoding.of(type_)
    judge = decoding.decoder(decoding.type)
    taken = 0
    for payload in payloads:
        found = [decoder.read(payload) for decoder in decoders]
        # What one kernel leaves to msgspec they all do.
        assert len({value is None for value in found}) == 1, payload
        if found[0] is None:
            continue
        taken += 1
        expected = judge.decode(payload)
        for value in found:
            check_made(value, expected, payload)
    return taken


def check_values(payloads: Sequence[bytes]) -> int:
    """The same for plain values."""
    decoders = [ValueDecoder(kernel) for kernel in KERNELS]
    taken = 0
    for payload in payloads:
        found = [decoder.read(payload) for decoder in decoders]
        assert len({value is None for value in found}) == 1, payload
        if found[0] is None:
            continue
        taken += 1
        expected = msgspec.json.decode(payload)
        for value in found:
            check_value(value, expected, payload)
    return taken


def check_made(value: Any, expected: Any, payload: bytes) -> None:
    """The two are equal, and so is all that they hold; and what the collector knows."""
    assert type(value) is type(expected), payload
    if type(value) in (memoryview, msgspec.Raw):
        assert bytes(value) == bytes(expected), payload
        return
    # The collector forgets tuples when it passes by, and dicts are its own affair, see check_value.
    if isinstance(value, (tuple, dict)):
        assert gc.is_tracked(expected) or not gc.is_tracked(value) or type(value) is tuple, payload
    else:
        assert gc.is_tracked(value) == gc.is_tracked(expected), payload
    if isinstance(value, dict):
        # As lists, because the order of keys is the same.
        assert list(value) == list(expected), payload
        inside, others = list(value.values()), list(expected.values())
    elif isinstance(value, (list, tuple)):
        inside, others = list(value), list(expected)
    elif isinstance(value, msgspec.Struct):
        inside = [getattr(value, name) for name in value.__struct_fields__]
        others = [getattr(expected, name) for name in value.__struct_fields__]
    elif dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        inside, others = [getattr(value, name) for name in names], [getattr(expected, name) for name in names]
    else:
        # As repr, which tells 0.0 from -0.0 and 1 from True.
        assert value == expected or value != value, payload  # NaN equals nothing
        assert isinstance(value, (set, frozenset)) or repr(value) == repr(expected), payload
        return
    assert len(inside) == len(others), payload
    for item, other in zip(inside, others, strict=True):
        check_made(item, other, payload)


def check_value(value: Any, expected: Any, payload: bytes) -> None:
    """The two are equal: types, values, order of keys. The collector knows nothing that it need not know."""
    assert type(value) is type(expected), payload
    # As repr, which tells 0.0 from -0.0.
    assert isinstance(value, (dict, list)) or repr(value) == repr(expected), payload
    assert gc.is_tracked(expected) or not gc.is_tracked(value), payload
    if isinstance(value, (dict, list)):
        assert len(value) == len(expected), payload
        for item, other in zip(value, expected, strict=True):
            check_value(item, other, payload)
    if isinstance(value, dict):
        for item, other in zip(value.values(), expected.values(), strict=True):
            check_value(item, other, payload)


def report(type_: Any, payloads: Sequence[bytes], kernel: str) -> None:
    """Name a payload that is enough to see the difference, if one is."""
    for payload in payloads:
        alone, expected = outcome(type_, [payload], kernel), outcome(type_, [payload], GENERAL)
        assert alone == expected, payload
