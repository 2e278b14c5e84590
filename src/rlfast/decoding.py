"""What becomes of a payload: a value, a row of columns, an unknown event, or a dead letter.

msgspec is the judge. The compiled decoder takes the usual event, and msgspec decodes the rest.
Whatever msgspec refuses is looked at here, once, slowly, and gets one of these reasons:

- ``malformed_json``: no JSON (RFC 8259)
- ``invalid_utf8``: bytes that are no UTF-8
- ``too_deep``: nested deeper than msgspec follows
- ``unknown_type``: a tag that the type does not know (in message mode an `UnknownEvent` instead)
- ``schema_mismatch``: a field is missing or does not fit its type or column
- ``message_too_big``: cut short at ``max_message_size``

Message mode does not look into fields that the struct does not know, because msgspec skips them; batch mode
keeps them and so finds what is wrong inside them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import msgspec

from rlfast._core.block import Block
from rlfast._core.columns import ColumnKind, TableBuilder
from rlfast._core.decode import BlockDecoder
from rlfast._core.objects import ObjectDecoder
from rlfast._core.plan import CompiledPlan
from rlfast._core.values import ValueDecoder
from rlfast.batch import EventBatch, EventTable
from rlfast.errors import ConfigError, DecodeError, MessageTooBigError
from rlfast.events import UnknownEvent
from rlfast.naming import OwnNames
from rlfast.schema import ColumnPlan, compile_plan
from rlfast.structs import struct_decoder

UNTYPED_TABLE = "message"

ODD_AT_ONCE = 512
"""Messages that msgspec decodes without a break for the event loop: one or two milliseconds."""

Span: TypeAlias = tuple[Block, int, int]
"""Messages [start, stop) of a block."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A payload that could not become an event, and why."""

    reason: str
    error: str
    raw: bytes


class JsonText(msgspec.Struct, frozen=True, gc=False):
    """One message of an untyped stream."""

    json: str


class Verdict(msgspec.Struct, frozen=True):
    """Why a payload was refused."""

    reason: str
    error: str
    tag: str | None = None
    """The unknown tag, with reason ``unknown_type``."""


def classify(error: Exception, raw: bytes, tag_field: str | None, tags: frozenset[object]) -> Verdict:
    """Find the reason why msgspec refused `raw` with `error`.

    Raises `error` itself if it is none of msgspec's refusals (MemoryError, a fault in a user's hook).
    """
    if not isinstance(error, (ValueError, RecursionError)):
        raise error
    try:
        raw.decode()
        # msgspec stops at the first thing that does not fit the type, before it has seen the rest.
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError as fault:
        return Verdict("invalid_utf8", str(fault))
    except RecursionError as fault:
        return Verdict("too_deep", str(fault))
    except msgspec.ValidationError as fault:
        # JSON, but with a number that Python's types do not hold.
        return Verdict("schema_mismatch", str(fault))
    except msgspec.DecodeError as fault:
        return Verdict("malformed_json", str(fault))
    if tag_field is not None and isinstance(value, dict):
        tag = value.get(tag_field)
        # All tags of a union are of one type; a value of another type is a mistyped field.
        if type(tag) in {type(known) for known in tags} and tag not in tags:
            return Verdict("unknown_type", f"unknown {tag_field} {str(tag)[:100]!r}", str(tag))
    return Verdict("schema_mismatch", str(error))


def check_message_type(type_: Any) -> None:
    """Refuse what msgspec cannot decode to.

    Raises:
        ConfigError: the text says why.
    """
    if type_ is None:
        return
    try:
        msgspec.json.Decoder(type_)
    except TypeError as error:
        was = type(type_).__name__
        raise ConfigError(
            f"type must be a type that msgspec can decode, or None, not {was}"
            # Only the name of a text's type: texts may be secrets.
            + ("" if isinstance(type_, (str, bytes)) else f": {error}")
        ) from None


def _tagging(type_: Any) -> tuple[str | None, frozenset[object]]:
    """Tag field and known tags of a struct type or union; (None, empty) for any other type."""
    info = msgspec.inspect.type_info(type_)
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    structs = [member for member in members if isinstance(member, msgspec.inspect.StructType)]
    fields = {struct.tag_field for struct in structs}
    for struct in structs:
        # msgspec 0.22 does not recognise a tag field, or a tag, that is not ASCII until it was encoded once.
        msgspec.json.encode((struct.tag_field, struct.tag))
    if not structs or len(fields) != 1:
        return None, frozenset()
    return structs[0].tag_field, frozenset(struct.tag for struct in structs)


@functools.cache
def value_decoder() -> ValueDecoder:
    """The compiled decoder of plain values, shared by all connections of the process."""
    return ValueDecoder()


class MessageDecoder:
    """Payloads to values of `type_` (None: plain Python values) for message mode.

    Attributes:
        decode: callable, buffer -> value; what it refuses goes to `recover`.
        make_compiled: callable that gives the compiled decoder, which makes the same of a payload or leaves
            it to `decode`; or None.
        errors, unknown_events: counts of what `recover` was asked about.
    """

    def __init__(self, type_: Any) -> None:
        self.decode: Callable[[Any], Any]
        self.make_compiled: Callable[[], ObjectDecoder | None]
        if type_ is None:
            self.decode = msgspec.json.Decoder().decode
            self.make_compiled = value_decoder
            self._tag_field, self._tags = None, frozenset[object]()
        else:
            self.decode = msgspec.json.Decoder(type_).decode
            self.make_compiled = functools.partial(struct_decoder, type_)
            self._tag_field, self._tags = _tagging(type_)
        self.errors = 0
        self.unknown_events = 0

    def recover(self, error: Exception | None, raw: bytes, seq: int, rejection: str | None) -> UnknownEvent:
        """Give the UnknownEvent for a refused payload.

        Raises:
            MessageTooBigError: the message was cut short.
            DecodeError: it is not JSON or does not fit the type.
        """
        if rejection is not None or error is None:
            self.errors += 1
            raise MessageTooBigError(rejection or "message too big", seq, raw)
        verdict = classify(error, raw, self._tag_field, self._tags)
        if verdict.tag is not None:
            self.unknown_events += 1
            return UnknownEvent(type=verdict.tag, raw=raw)
        self.errors += 1
        raise DecodeError(f"message {seq}: {verdict.error}", verdict.reason, seq, raw) from None


@dataclass(frozen=True)
class _Judging:
    """What is the same for all connections with a type. It takes some milliseconds to make.

    Attributes:
        variants: of each table's struct, a subclass that forbids unknown fields.
        strict: decodes to these, `lenient` to the type itself.
        known_names: of each struct, what its JSON may hold.
    """

    plan: ColumnPlan
    tag_field: str | None
    tags: frozenset[object]
    variants: tuple[type, ...]
    strict: msgspec.json.Decoder[Any]
    lenient: msgspec.json.Decoder[Any]
    known_names: dict[type, frozenset[str]]


def _judging(type_: Any) -> _Judging:
    try:
        hash(type_)
    except TypeError:  # metadata of an Annotated may be anything
        return _make_judging(type_)
    # Unions of the same types are equal in any order, but their tables are in the order of each.
    return _kept_judging(type_, get_args(type_))


@functools.lru_cache(maxsize=64)
def _kept_judging(type_: Any, members: tuple[Any, ...]) -> _Judging:
    return _make_judging(type_)


def _make_judging(type_: Any) -> _Judging:
    plan = compile_plan(type_)
    tag_field, tags = _tagging(type_)
    variants = []
    known_names = {}
    for table in plan.tables:
        config = table.struct.__struct_config__  # type: ignore[attr-defined]
        variant = msgspec.defstruct(
            table.struct.__name__,
            [],
            bases=(table.struct,),
            tag=config.tag,
            tag_field=config.tag_field,
            forbid_unknown_fields=True,
        )
        variants.append(variant)
        known_names[table.struct] = frozenset({f.column for f in table.fields} | {config.tag_field})
    union: Any = variants[0]
    for variant in variants[1:]:
        union = union | variant
    return _Judging(
        plan,
        tag_field,
        tags,
        tuple(variants),
        msgspec.json.Decoder(union),
        msgspec.json.Decoder(type_),
        known_names,
    )


class BatchAssembler:
    """Collects decoded blocks into one `EventBatch` at a time.

    A field that the struct does not know is kept in the column ``_extra``. To see it, every struct is decoded
    as a subclass that forbids unknown fields; the usual event pays nothing for that.

    Args:
        type_: struct type, tagged union of them, or None for any JSON.
        kernel: of the compiled decoder: "auto", one of `rlfast._core.plan.KERNELS`, or None to have msgspec
            decode every event.

    Attributes:
        decoder: what decodes the spans of `begin`.
        num_dead_letters: dead letters in the batches handed out so far.
        buries_hook_errors: whether a message that a user's hook (``__post_init__``) trips over becomes a dead
            letter with reason ``hook_error``; otherwise the exception is raised.
    """

    def __init__(self, type_: Any, kernel: str | None = "auto") -> None:
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
        self.buries_hook_errors = False
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
                self._judge_untyped,
                DeadLetter,
            )
        else:
            self.decoder = self._typed(_judging(type_), kernel)
        self._spans: list[Span] = []
        self._first_seq = -1
        self._last_seq = -1
        self._payload_bytes = 0

    def _typed(self, judging: _Judging, kernel: str | None) -> BlockDecoder:
        plan = judging.plan
        self._tag_field, self._tags = judging.tag_field, judging.tags
        self._known_names = judging.known_names
        self._lenient = judging.lenient
        self._own_names = plan.own_names
        tables: dict[type, TableBuilder] = {}
        for table, variant in zip(plan.tables, judging.variants, strict=True):
            fields = [(f.column, f.attribute, f.kind, f.nullable, f.words) for f in table.fields]
            builder = TableBuilder(table.name, fields, adaptive=True, own_names=plan.own_names.columns)
            tables[table.struct] = tables[variant] = builder
            self._builders.append(builder)
        compiled = None
        if kernel is not None:
            types = list(zip(self._builders, plan.tables, strict=True))
            compiled = CompiledPlan(types, plan.tag_field, kernel)
        return BlockDecoder(
            compiled,
            judging.strict.decode,
            tables,
            self._dead_letters,
            self._judge,
            DeadLetter,
        )

    def _judge(self, error: Exception, raw: bytes) -> tuple[Any, str | None]:
        """Row, and text of its unknown fields or None, for a payload that the strict decoder refused."""
        if self.buries_hook_errors and not isinstance(error, (ValueError, RecursionError, MemoryError)):
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

    def _judge_untyped(self, error: Exception, raw: bytes) -> tuple[Any, str | None]:
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
    def num_judged(self) -> int:
        """Messages, since the start, that it did not take; dead letters are among them."""
        return self.decoder.num_judged

    def add(self, block: Block, start: int, stop: int) -> None:
        """Decode messages [start, stop) of `block`, which continue the sequence.

        When a fault of another kind than a bad payload ends it (MemoryError, an exception of a user's hook),
        `reached` tells which message it stopped at; those before it are collected.
        """
        self.begin([(block, start, stop)])
        try:
            while not self.decoder.done:
                self.decoder.advance(ODD_AT_ONCE)
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
