"""Batch mode: decoded messages into one `EventBatch` at a time.

The compiled decoder takes the usual event, and msgspec decodes the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from rlfast._core.block import Block
from rlfast._core.decode import BlockDecoder
from rlfast._core.plan import CompiledPlan
from rlfast._core.recent import RecentMessages
from rlfast._core.tables import TableBuilder
from rlfast.decode._batch import OTHER_TABLE, EventBatch, EventTable
from rlfast.decode._dead_letters import DeadLetter, classify, rejected
from rlfast.decode._recognition import OtherMessage, is_word, unrecognised_message
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope_reference import NoEventError, reference_of
from rlfast.schema._framing import Framing, documents
from rlfast.schema._names import OwnNames
from rlfast.schema._plan import ColumnPlan
from rlfast.schema._reference import Reference
from rlfast.schema._tags import Tagging

UNTYPED_TABLE = "message"

SLOW_AT_ONCE = 512
"""Messages that msgspec decodes without a break for the event loop: one or two milliseconds."""

Span: TypeAlias = tuple[Block, int, int]
"""Messages [start, stop) of a block."""


_DEAD_LETTERS = (
    Column("reason", kinds.UTF8),
    Column("error", kinds.UTF8),
    Column("raw", kinds.BINARY),
)


_OTHER = (Column("reason", kinds.UTF8), Column("json", kinds.JSON))


def _split_some(reference: Reference) -> Callable[[Any], list[bytes]]:
    """What splits a message, where one without events is to be in a table all the same."""

    def split(payload: Any) -> list[bytes]:
        events = reference.split(payload)
        if not events:
            raise NoEventError("an empty array")
        return events

    return split


def _split_documents(framing: Framing) -> Callable[[Any], list[bytes]]:
    """What splits a message into its documents; one without any is to be in a table."""

    def split(payload: Any) -> list[bytes]:
        found = documents(payload, framing)
        if not found:
            raise NoEventError("no document")
        return found

    return split


def own_columns(names: OwnNames, *, nullable_item: bool = False) -> tuple[Column, ...]:
    """The columns in front of every table."""
    own = (
        Column(names.seq, kinds.INT64),
        Column(names.epoch, kinds.INT64),
        Column(names.received_at, kinds.TIMESTAMP),
    )
    return own if names.item is None else (*own, Column(names.item, kinds.INT32, nullable=nullable_item))


class JsonText(msgspec.Struct, frozen=True, gc=False):
    """One message of an untyped stream."""

    json: str


def _table(name: str, names: OwnNames, columns: tuple[Column, ...]) -> TableBuilder:
    """A table of rows whose attributes are called as its columns."""
    own = own_columns(names, nullable_item=True)
    return TableBuilder(name, own, columns, attributes=[column.name for column in columns])


class BatchAssembler:
    """Collects decoded blocks into one `EventBatch` at a time.

    A field that a struct does not know is kept in the column ``_extra``.

    Args:
        decoding: how messages become events, or their type alone, as in msgspec; None: any JSON.
        kernel: of the compiled decoder: "auto", one of `rlfast._core.plan.KERNELS`, or None to have msgspec
            decode every event.
        adaptive: whether the text of a field becomes a dictionary where few of its values are distinct.
        other: whether messages of another kind than the type describes are kept in the table ``_other``, and
            are no dead letters.

    Attributes:
        decoder: what decodes the spans of `begin`.
        recent: gets a copy of each message that is collected; None: nobody wants one.
        num_dead_letters: dead letters in the batches handed out so far.
        keeps_hook_errors: whether a message that a user's hook (``__post_init__``) trips over becomes a dead
            letter with reason ``hook_error``; otherwise the exception is raised.
    """

    def __init__(
        self, decoding: Any, kernel: str | None = "auto", *, adaptive: bool = True, other: bool = False
    ) -> None:
        self._plan: ColumnPlan | None = None
        self._decoding = decoding = Decoding.of(decoding)
        reference = reference_of(decoding) if decoding.type is not None else None
        untyped = OwnNames() if decoding.framing is None else OwnNames(item="item")
        self._own_names = untyped if reference is None else reference.plan.own_names
        self._dead_letters = _table("_dead_letters", self._letter_names, _DEAD_LETTERS)
        self.recent: RecentMessages | None = None
        self.num_dead_letters = 0
        self.keeps_hook_errors = False
        self._tags = Tagging()
        self._builders: list[TableBuilder] = []
        self._split = None if decoding.framing is None else _split_documents(decoding.framing)
        if reference is None:
            table = TableBuilder(
                UNTYPED_TABLE, own_columns(untyped), [Column("json", kinds.JSON)], attributes=["json"]
            )
            self._builders.append(table)
            self.decoder = BlockDecoder(
                None if kernel is None else CompiledPlan(table, None, kernel, separator=decoding.separator),
                decoding.repairing(_json_text),
                {JsonText: table},
                self._dead_letters,
                self._refuse,
                rejected,
                self._split,
            )
        else:
            self.decoder = self._typed(reference, kernel, adaptive, other)
        self._spans: list[Span] = []
        self._first_seq = -1
        self._last_seq = -1
        self._payload_bytes = 0

    def _typed(self, reference: Reference, kernel: str | None, adaptive: bool, other: bool) -> BlockDecoder:
        plan = reference.plan
        self._tags = reference.tags
        own, extra = own_columns(plan.own_names), Column(plan.own_names.extra, kinds.JSON, nullable=True)
        self._builders = [
            TableBuilder(table.name, own, table.fields, extra, adaptive=adaptive) for table in plan.tables
        ]
        compiled = None
        if kernel is not None and (plan.envelope is None or not plan.envelope.is_array):
            types = [
                (builder, table.column) for builder, table in zip(self._builders, plan.tables, strict=True)
            ]
            events_at = [table.event_at for table in plan.tables]
            separator = self._decoding.separator
            compiled = CompiledPlan(
                types, plan.tag_field, kernel, plan.splits, events_at, plan.is_value, separator
            )
        tables = {mirror: self._builders[index] for mirror, index in reference.mirrors.items()}
        if other:
            self._plan = plan
            tables[OtherMessage] = _table(OTHER_TABLE, self._letter_names, _OTHER)
            self._builders.append(tables[OtherMessage])
        split = self._split
        if plan.splits:
            split = _split_some(reference) if other else reference.split
        return BlockDecoder(
            compiled,
            reference.decode,
            tables,
            self._dead_letters,
            self._refuse,
            rejected,
            split,
        )

    def _refuse(self, error: Exception, raw: bytes) -> DeadLetter | OtherMessage:
        """What becomes of a payload, or an element of one, that cannot become an event."""
        if self.keeps_hook_errors and not isinstance(error, (ValueError, RecursionError, MemoryError)):
            return DeadLetter("hook_error", f"{type(error).__name__}: {error}", raw)
        text = self._decoding.repaired(raw)
        verdict = classify(error, text, self._tags)
        if self._plan is not None and verdict.value is not msgspec.UNSET:
            is_empty = isinstance(error, NoEventError)
            reason = str(error) if is_empty else unrecognised_message(self._plan, verdict.value)
            if reason is not None:
                return OtherMessage(reason, text.decode())
        framing = self._decoding.framing
        if self._plan is not None and framing is not None and not documents(raw, framing):
            return OtherMessage(str(error), msgspec.json.encode(raw.decode()).decode())
        if self._plan is not None and verdict.reason == "malformed_json" and is_word(raw):
            return OtherMessage("a word", msgspec.json.encode(raw.decode().strip()).decode())
        return DeadLetter(verdict.reason, verdict.error, raw)

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
        if self._first_seq < 0:
            for builder in self._builders:
                builder.reuse()
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
                if self.recent is not None:
                    self.recent.add(block, start, end)
        self._spans = []

    @property
    def reached(self) -> tuple[int, int]:
        """Span, and index in its block, of the first message that the last call did not collect."""
        return self.decoder.reached

    def empty_tables(self) -> dict[str | None, EventTable]:
        """Return the table of each event type, and for None the dead letters', as before any message."""
        tables: dict[str | None, EventTable] = {
            table.name: EventTable(table.name, 0, table.finish(), self._names_of(table))
            for table in self._builders
        }
        tables[None] = EventTable(
            "_dead_letters", 0, self._dead_letters.finish(), self._names_of(self._dead_letters)
        )
        return tables

    def _names_of(self, table: TableBuilder) -> OwnNames:
        if table.name not in ("_dead_letters", OTHER_TABLE):
            return self._own_names
        return self._letter_names

    @property
    def _letter_names(self) -> OwnNames:
        """Of the tables whose fields are ours."""
        return OwnNames(item=None if self._own_names.item is None else "item")

    def finish(self) -> EventBatch:
        """Hand over what was collected as a batch, and start anew. There must be at least one message."""
        tables = {}
        for builder in self._builders:
            rows = builder.num_rows
            if rows:
                tables[builder.name] = EventTable(
                    builder.name, rows, builder.finish(), self._names_of(builder)
                )
        buried = self._dead_letters.num_rows
        batch = EventBatch(
            tables,
            EventTable(
                "_dead_letters", buried, self._dead_letters.finish(), self._names_of(self._dead_letters)
            ),
            first_seq=self._first_seq,
            last_seq=self._last_seq,
            payload_bytes=self._payload_bytes,
            own_names=self._own_names,
        )
        self.num_dead_letters += buried
        self._first_seq = self._last_seq = -1
        self._payload_bytes = 0
        return batch


def _json_text(payload: Any) -> tuple[JsonText, None]:
    msgspec.json.decode(payload)
    return JsonText(str(payload, "utf-8")), None
