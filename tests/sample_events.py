"""One JSON object per event of the agent stream, and a way from payloads to a batch without a socket."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._batch import EventBatch

UUID_A = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"
UUID_B = "8e5a3c2b-09d4-4a57-9a35-3b0b7f0d2e22"

EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "connected", "agent_id": UUID_A, "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "kb_change", "change_type": "added", "sort": "person", "term_id": UUID_A},
    {
        "type": "hitl_request",
        "action_sort": "transfer",
        "confidence": 0.25,
        "deadline": "2026-01-01T00:00:00Z",
        "review_id": UUID_B,
    },
    {
        "type": "cycle_complete",
        "actions_executed": 3,
        "agent_id": UUID_A,
        "beliefs_updated": 7,
        "pending_reviews": [UUID_A, UUID_B],
    },
    {"type": "attention_shift", "from": UUID_A, "priority": 1.5, "to": UUID_B},
    {"type": "attention_shift", "priority": -0.0, "to": UUID_B},
    {"type": "goal_completed", "goal_id": UUID_A, "result": "réussi", "success": True},
    {"type": "goal_completed", "goal_id": UUID_B, "success": False},
    {
        "type": "impasse_detected",
        "blocked_goal": UUID_A,
        "impasse_type": "no_plan",
        "recovery_suggestions": ["relax", "", "ask 🙂"],
    },
    {"type": "heartbeat", "timestamp": "2026-01-01T00:00:05Z"},
    {"type": "error", "code": "E1", "message": "bad"},
)

PAYLOADS: tuple[bytes, ...] = tuple(msgspec.json.encode(event) for event in EVENTS)


def assemble(
    type_: Any, payloads: Iterable[bytes], *, first_seq: int = 0, epoch: int = 1, other: bool = False
) -> EventBatch:
    """Batch of `payloads`, which went through a queue as one socket read of connection `epoch`."""
    queue = BlockQueue(1 << 16, 1 << 30, 1 << 20, first_seq)
    queue.begin_epoch(epoch)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    assembler = BatchAssembler(type_, other=other)
    while (block := queue.take_block()) is not None:
        assembler.add(block, block.taken, block.count)
        queue.give_back(block, block.count)
    return assembler.finish()


def letters(batch: EventBatch) -> list[dict[str, Any]]:
    table = batch.dead_letters
    columns = {name: table[name].tolist() for name in table.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rows(batch: EventBatch) -> dict[int, tuple[str, dict[str, Any], str | None]]:
    """Every event by seq: table name, fields (UUIDs as text), `_extra`."""
    out = {}
    for name, table in batch.items():
        columns = {column: table[column].tolist() for column in table.column_names}
        for i in range(table.num_rows):
            fields = {column: _plain(values[i]) for column, values in columns.items()}
            seq = fields.pop("seq")
            del fields["epoch"], fields["received_at"]
            extra = fields.pop("_extra", None)
            out[seq] = (name, fields, extra)
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value))
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
