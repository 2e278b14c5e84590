"""Batch mode: decoded messages into one `EventBatch` at a time.

The compiled decoder takes the usual event, and msgspec decodes the rest.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rlfast._core.block import Block
from rlfast._core.columns import ColumnKind, TableBuilder
from rlfast._core.decode import BlockDecoder
from rlfast._core.plan import CompiledPlan
from rlfast.decode._batch import EventBatch, EventTable
from rlfast.decode._dead_letters import DeadLetter, classify
from rlfast.schema._names import OwnNames
from rlfast.schema._strict import StrictDecoders, strict_decoders

UNTYPED_TABLE = "message"

SLOW_AT_ONCE = 512
"""Messages that msgspec decodes without a break for the event loop: one or two milliseconds."""

Span: TypeAlias = tuple[Block, int, int]
"""Messages [start, stop) of a block."""


class JsonText(msgspec.Struct, frozen=True, gc=False):
    """One message of an untyped stream."""

    json: str


class BatchAssembler:
    """Collects decoded blocks into one `EventBatch` at a time.

    A field that the struct does not know is kept in the column ``_extra``. To see it, every struct is decoded
    as a subclass that forbids unknown fields; the usual event pays nothing for that.

    Args:
        type_: struct type, tagged union of them, or None for any JSON.
        kernel: of the compiled decoder: "auto", one of `rlfast._core.plan.KERNELS`, or None to have msgspec
            decode every event.
        adaptive: whether the text of a field becomes a dictionary where few of its values are distinct.

    Attributes:
        decoder: what decodes the spans of `begin`.
        num_dead_letters: dead letters in the batches handed out so far.
        keeps_hook_errors: whether a message that a user's hook (``__post_init__``) trips over becomes a dead
            letter with reason ``hook_error``; otherwise the exception is raised.
    """

    def __init__(self, type_: Any, kernel: str | None = "auto", *, adaptive: bool = True) -> None:
        self._dead_letters = TableBuilder(
            "_dead_letters",
            [
                ("reason", "reason", ColumnKind.UTF8, False),
                ("error", "error", ColumnKind.UTF8, False),
                ("raw", "raw", ColumnKind.BINARY, False),
            ],
            False,
        )
        self.num_dead_letters = 0
        self.keeps_hook_errors = False
        self._tag_field: str | None = None
        self._tags: frozenset[object] = frozenset()
        self._builders: list[TableBuilder] = []
        self._own_names = OwnNames()
        if type_ is None:
            table = TableBuilder(UNTYPED_TABLE, [("json", "json", ColumnKind.UTF8, False)], False)
            self._builders.append(table)
            self.decoder = BlockDecoder(
                None if kernel is None else CompiledPlan(table, None, kernel),
                _json_text,
                {JsonText: table},
                self._dead_letters,
                self._fall_back_untyped,
                DeadLetter,
            )
        else:
            self.decoder = self._typed(strict_decoders(type_), kernel, adaptive)
        self._spans: list[Span] = []
        self._first_seq = -1
        self._last_seq = -1
        self._payload_bytes = 0

    def _typed(self, strict: StrictDecoders, kernel: str | None, adaptive: bool) -> BlockDecoder:
        plan = strict.plan
        self._tag_field, self._tags = strict.tag_field, strict.tags
        self._known_names = strict.known_names
        self._lenient = strict.lenient
        self._own_names = plan.own_names
        tables: dict[type, TableBuilder] = {}
        for table, variant in zip(plan.tables, strict.variants, strict=True):
            fields = [(f.column, f.attribute, f.kind, f.nullable, f.categories) for f in table.fields]
            builder = TableBuilder(table.name, fields, adaptive=adaptive, own_names=plan.own_names.columns)
            tables[table.struct] = tables[variant] = builder
            self._builders.append(builder)
        compiled = None
        if kernel is not None:
            types = list(zip(self._builders, plan.tables, strict=True))
            compiled = CompiledPlan(types, plan.tag_field, kernel)
        return BlockDecoder(
            compiled,
            strict.strict.decode,
            tables,
            self._dead_letters,
            self._fall_back,
            DeadLetter,
        )

    def _fall_back(self, error: Exception, raw: bytes) -> tuple[Any, str | None]:
        """Row, and text of its unknown fields or None, for a payload that the strict decoder refused."""
        if self.keeps_hook_errors and not isinstance(error, (ValueError, RecursionError, MemoryError)):
            return DeadLetter("hook_error", f"{type(error).__name__}: {error}", raw), None
        if isinstance(error, msgspec.ValidationError):
            try:
                row = self._lenient.decode(raw)
                # The lenient decoder skips what it does not know without looking at it closely.
                fields = msgspec.json.decode(raw)
            except (ValueError, RecursionError) as refusal:
                error = refusal
            else:
                known = self._known_names[type(row)]
                unknown = [name for name in fields if name not in known]
                if not unknown:
                    return row, None
                raws = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
                return row, msgspec.json.encode({name: raws[name] for name in unknown}).decode()
        verdict = classify(error, raw, self._tag_field, self._tags)
        return DeadLetter(verdict.reason, verdict.error, raw), None

    def _fall_back_untyped(self, error: Exception, raw: bytes) -> tuple[Any, str | None]:
        verdict = classify(error, raw, None, frozenset())
        return DeadLetter(verdict.reason, verdict.error, raw), None

    @property
    def num_rows(self) -> int:
        """Messages collected since the last `finish`."""
        return self._last_seq - self._first_seq + 1 if self._first_seq >= 0 else 0

    @property
    def first_seq(self) -> int:
        """Sequence number of the first of them; -1: there are none."""
        return self._first_seq

    @property
    def payload_bytes(self) -> int:
        """Their payloads, in bytes."""
        return self._payload_bytes

    @property
    def num_fast(self) -> int:
        """Messages, since the start, that the compiled decoder took."""
        return self.decoder.num_fast

    @property
    def num_fallback(self) -> int:
        """Messages, since the start, that it did not take; dead letters are among them."""
        return self.decoder.num_fallback

    def add(self, block: Block, start: int, stop: int) -> None:
        """Decode messages [start, stop) of `block`, which continue the sequence.

        When a fault of another kind than a bad payload ends it (MemoryError, an exception of a user's hook),
        `reached` tells which message it stopped at; those before it are collected.
        """
        self.begin([(block, start, stop)])
        try:
            while not self.decoder.done:
                self.decoder.advance(SLOW_AT_ONCE)
        finally:
            self.end()

    def begin(self, spans: list[Span]) -> None:
        """Prepare to decode the spans, piece by piece, by `decoder`; `end` must follow."""
        self._spans = spans
        self.decoder.begin(spans)

    def end(self) -> None:
        """Collect what is decoded since `begin`, complete or not."""
        complete, position = self.decoder.reached
        for i, (block, start, stop) in enumerate(self._spans[: complete + 1]):
            end = position if i == complete else stop
            if end > start:
                if self._first_seq < 0:
                    self._first_seq = block.first_seq + start
                self._last_seq = block.first_seq + end - 1
                self._payload_bytes += block.span_bytes(start, end)
        self._spans = []

    @property
    def reached(self) -> tuple[int, int]:
        """Span, and index in its block, of the first message that the last call did not collect."""
        return self.decoder.reached

    def empty_tables(self) -> dict[str | None, EventTable]:
        """Return the table of each event type, and for None the dead letters', as before any message."""
        tables: dict[str | None, EventTable] = {
            table.name: EventTable(table.name, 0, table.finish(), self._own_names) for table in self._builders
        }
        tables[None] = EventTable("_dead_letters", 0, self._dead_letters.finish())
        return tables

    def finish(self) -> EventBatch:
        """Hand over what was collected as a batch, and start anew. There must be at least one message."""
        tables = {}
        for builder in self._builders:
            rows = builder.num_rows
            if rows:
                tables[builder.name] = EventTable(builder.name, rows, builder.finish(), self._own_names)
        buried = self._dead_letters.num_rows
        batch = EventBatch(
            tables,
            EventTable("_dead_letters", buried, self._dead_letters.finish()),
            first_seq=self._first_seq,
            last_seq=self._last_seq,
            payload_bytes=self._payload_bytes,
            own_names=self._own_names,
        )
        self.num_dead_letters += buried
        self._first_seq = self._last_seq = -1
        self._payload_bytes = 0
        return batch


def _json_text(payload: Any) -> JsonText:
    msgspec.json.decode(payload)
    return JsonText(str(payload, "utf-8"))
