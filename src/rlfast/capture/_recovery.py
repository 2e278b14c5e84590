"""What a killed capture left, committed: ``rlfast recover``, and the start of every capture.

1. The sink completes, or takes back, a commit that was under way. 2. The write-ahead log of each stream is
   decoded again and replayed into the sink, from behind the last message that is committed, as if it came
   from the network.
3. The log is removed.

Each step asks what is left to do and never what was done, so recovery may itself be killed at any point.

The log names the type of its events, which decodes it. A type that the caller gives takes its place only
where that one cannot be imported, and only for the stream that it was given for: decoded by the type of
another stream, messages could become rows that nobody sent. A log without a type is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from rlfast._core.block import Block
from rlfast._core.wal import WalReader
from rlfast.capture._committer import Committer
from rlfast.capture._options import RotationPolicy
from rlfast.capture._type_names import name_decoding, name_type, resolve_decoding
from rlfast.capture._wal import (
    StoredWalFile,
    WalInfo,
    remove_wal,
    stored_wal_files,
    wal_end,
    wal_folders,
)
from rlfast.decode._assembler import BatchAssembler
from rlfast.errors import (
    CaptureError,
    ConfigError,
    UnsupportedFieldError,
    UsageError,
    check_callable,
    check_path,
    check_type,
)
from rlfast.schema._decoding import Decoding, DecodingArguments
from rlfast.schema._envelope import plan_of
from rlfast.sinks._base import Opened, RunEnd, Sink
from rlfast.sinks._files import explain, prepare_folder
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._sink import ParquetSink
from rlfast.websocket._gaps import Gap
from rlfast.websocket._options import ConnectionOptions
from rlfast.websocket._resume import Finder, Marker

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BY_NAME", "RecoveredStream", "RecoveryReport", "next_seq", "recover", "recover_into", "resume"]

BATCH_ROWS = 65_536
BATCH_BYTES = 64 << 20

#: Stands for: the type that the log names.
BY_NAME: Any = object()

_DECODING = DecodingArguments.__optional_keys__

_log = logging.getLogger("rlfast.capture")


class RecoveredStream(msgspec.Struct, frozen=True):
    """What a journal held that was not committed, and is now.

    Attributes:
        stream: name of the stream.
        messages: recovered messages; the first and the last of them are `first_seq` and `last_seq`.
        dead_letters: those of them that are dead letters.
        first_seq, last_seq: None if there were none.
        gaps: recovered gaps.
        damaged: whether a record was found that is not what was written: the last one was torn off by the
            crash, or the disk has lost something, and then there is a gap with reason ``journal_damaged``.
    """

    stream: str
    messages: int
    dead_letters: int
    first_seq: int | None
    last_seq: int | None
    gaps: int
    damaged: bool


class RecoveryReport(msgspec.Struct, frozen=True):
    """What recovery did.

    Attributes:
        commit: what became of a commit that was under way; None if there was none.
        streams: what the journals held.
        removed: temporary files that were removed.
        left: stream and reason, for each journal that could not be decoded and is still there.
    """

    commit: Literal["completed", "taken_back"] | None
    streams: tuple[RecoveredStream, ...]
    removed: tuple[str, ...]
    left: tuple[tuple[str, str], ...]

    @property
    def nothing_to_do(self) -> bool:
        """Whether the data set was whole."""
        return self == RecoveryReport(None, (), (), ())


def recover(
    out: str | Path | Sink,
    type: Any = BY_NAME,
    *,
    stream: str | None = None,
    progress: Callable[[int], None] | None = None,
    **arguments: Unpack[DecodingArguments],
) -> RecoveryReport:
    """Commit what a capture without an orderly end left.

    Args:
        out: folder of the data set, or another sink.
        type: of the events, as in `rlfast.connect`, for a log whose own type cannot be imported; every other
            one is decoded by its own.
        stream: whose type that is. Needed if there are several logs without a type; those of other streams
            then stay, with a warning.
        progress: called with the messages that were decoded so far.
        **arguments: how events of that type are decoded, as in `rlfast.connect`.

    Raises:
        CaptureError: a capture is running, a file cannot be read or written, a log's type is not to be had,
            or there is no such stream.
        UsageError: there is a stream, and no type.
    """
    sink = out if isinstance(out, Sink) else ParquetSink(out)
    given = _given(type, arguments)
    check_type("stream", stream, str, optional=True)
    check_callable("progress", progress, optional=True)
    if stream is not None and type is BY_NAME:
        raise UsageError(f"all streams are recovered; name {stream} together with the type of its events")
    opened = sink.open("recovery")
    with closing(sink):
        report = recover_into(sink, opened, given, only=stream, progress=progress)
        if stream is None and report.left:
            raise _cannot_decode(report.left)
        if stream is not None:
            if stream not in dict(report.left) and not sink.state(stream).commits:
                names = sorted({*sink.streams(), *dict(report.left)})
                raise CaptureError(
                    f"{sink.folder} has no stream {stream}; it has: {', '.join(names) or 'none'}"
                )
            _warn(report)
    return report


def resume(
    out: str | Path | Sink,
    stream: str,
    type: Any = BY_NAME,
    **options: Any,
) -> ConnectionOptions:
    """Make the folder if need be, recover what a killed capture left there, and say where the stream goes on.

    Args:
        out: folder of the data set, or another sink.
        stream: name of the stream, as in `rlfast.connect`.
        type: of this stream's events, if that of its log cannot be imported; see `recover`. Logs of other
            streams whose type is not to be had stay, with a warning.
        **options: further ones of the `ConnectionOptions`, and how events are decoded, as in
            `rlfast.connect`.

    Returns:
        Options with ``first_seq``, ``first_epoch`` and ``resume_from`` for `rlfast.connect`.

    Raises:
        CaptureError: see `recover`; or the folder cannot be written to.
    """
    sink = out if isinstance(out, Sink) else ParquetSink(out)
    check_type("stream", stream, str)
    given = _given(type, {key: options.pop(key) for key in options.keys() & _DECODING})
    ConnectionOptions(first_seq=0, first_epoch=1, **options)
    prepare_folder(sink.folder)
    opened = sink.open(f"start of a capture of {stream}")
    with closing(sink):
        _warn(recover_into(sink, opened, given, only=stream))
        state = sink.state(stream)
    return ConnectionOptions(
        first_seq=state.next_seq, first_epoch=state.next_epoch, resume_from=state.resume, **options
    )


def next_seq(out: str | Path, stream: str) -> int:
    """Return the sequence number that a stream goes on with in a data set: 0 in a new one.

    That is behind everything that is committed, and behind what a killed capture left in its log.

    Raises:
        CaptureError: the folder or a file of the stream cannot be read.
        MissingExtraError: pyarrow is needed and not installed.
    """
    out = check_path("out", out)
    check_type("stream", stream, str)
    committed = DatasetFolder(out).state(stream).next_seq if out.exists() else 0
    return max(committed, wal_end(out, stream))


def _warn(report: RecoveryReport) -> None:
    for stream, reason in report.left:
        _log.warning("the journal of %s stays, because it cannot be decoded: %s", stream, reason)


def _cannot_decode(left: tuple[tuple[str, str], ...]) -> CaptureError:
    (stream, reason), *more = left
    if not more:
        return CaptureError(
            f"the journal of {stream} cannot be decoded: {reason}; name the type of its events "
            "(--types MODULE:TYPE), everything in it is kept until then"
        )
    return CaptureError(
        f"the journals of {', '.join(stream for stream, _ in left)} cannot be decoded, the first because "
        f"{reason}; name the type of each stream's events by itself (--types MODULE:TYPE --stream NAME), "
        "everything in them is kept until then"
    )


def _given(type_: Any, arguments: Mapping[str, Any]) -> Decoding | None:
    if type_ is not BY_NAME:
        return Decoding(type_, **arguments)
    if arguments:
        raise UsageError(f"{', '.join(arguments)}: name the type that is decoded so; the log knows its own")
    return None


def recover_into(
    sink: Sink,
    opened: Opened,
    given: Decoding | None = None,
    *,
    only: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> RecoveryReport:
    """Replay the logs in a sink's folder into the sink, which is open.

    Args:
        sink: where to.
        opened: what the sink mended by itself.
        given: for the stream `only`; see `recover`.
        only: the stream that must be recovered; others may be left.
        progress: called with the messages that were decoded so far.

    Raises:
        CaptureError: something cannot be read or written, the type of the stream `only` is not to be had, or
            a log is of a capture into another kind of sink.
    """
    folder = sink.folder
    try:
        logs = {path: stored_wal_files(path) for path in wal_folders(folder)}
        for files in filter(None, logs.values()):
            info = files[-1].info
            if info.kind != type(sink).__name__:
                raise CaptureError(
                    f"the journal of {info.stream} in {folder} is of a capture into a {info.kind}, and its "
                    f"messages belong there, not into a {type(sink).__name__}; capture into that sink again, "
                    "or pass it to rlfast.capture.recover"
                )
        decodings, left = _decodings([found[-1].info for found in logs.values() if found], given, only)
        streams = []
        for path, segments in logs.items():
            if segments:
                stream = segments[-1].info.stream
                if stream in left:
                    continue
                found = _Replay(sink, segments, decodings[stream], progress).run()
                if found is not None:
                    streams.append(found)
            remove_wal(path)
    except OSError as error:
        raise explain(error, folder, "cannot recover") from error
    if only in left:
        raise _cannot_decode(((only, left[only]),))
    return RecoveryReport(opened.commit, tuple(streams), opened.removed, tuple(left.items()))


def _decodings(
    infos: Iterable[WalInfo], given: Decoding | None, stream: str | None
) -> tuple[dict[str, Decoding], dict[str, str]]:
    """By stream: how its events are decoded; or the reason why nobody knows.

    `given` is for `stream`, or for the one stream whose own type, or hook, is not to be had.
    """
    decodings: dict[str, Decoding] = {}
    left: dict[str, str] = {}
    for info in infos:
        is_given = (
            given is not None
            and info.type
            and name_type(given.type) == info.type
            and name_decoding(given) == info.decoding
        )
        try:
            found = given if given and is_given else resolve_decoding(info.type, info.decoding)
            decodings[info.stream] = _checked(found)
        except (ConfigError, UnsupportedFieldError) as error:
            left[info.stream] = str(error)
    if given is not None:
        if stream is None and len(left) == 1:
            (stream,) = left
        if stream in left:
            try:
                decodings[stream] = _checked(given)
                del left[stream]
            except UnsupportedFieldError as error:
                left[stream] = str(error)
    return decodings, left


def _checked(decoding: Decoding) -> Decoding:
    """The decoding, whose type can become columns. Raises UnsupportedFieldError."""
    if decoding.type is not None:
        plan_of(decoding)
    return decoding


class _Replay:
    """Decodes one log and commits what it holds."""

    def __init__(
        self,
        sink: Sink,
        segments: list[StoredWalFile],
        decoding: Decoding,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._info: WalInfo = segments[-1].info
        self._segments = segments
        self._assembler = BatchAssembler(decoding, adaptive=False, other=True)
        self._assembler.keeps_hook_errors = True
        self._progress = progress
        stream = self._info.stream
        self._state = state = sink.state(stream)
        self._marker: Marker | None = None
        if self._info.resume is not None:
            self._marker = Marker(Finder(self._info.resume, decoding), state.resume)
            self._marker.keep_all()
            self._assembler.recent = self._marker.recent
        self._committed_gaps = {gap.identity for gap in sink.gaps(stream)}
        # Of this run: commits are counted, because clocks are set back.
        self._was_ended = state.end is not None and (
            state.commits > self._info.segments >= 0
            or (self._info.segments < 0 and state.end.ended_at >= self._info.run)
        )
        self._expected = state.next_seq
        self._writer = sink.writer(stream, self._info.sink)
        self._committer = Committer(self._writer, state, RotationPolicy())
        self._alive_at = self._info.run
        self._epoch = max(1, state.next_epoch - 1)
        self._gaps: dict[object, Gap] = {}
        self._messages = 0
        self._dead_letters = 0
        self._damaged = False

    def run(self) -> RecoveredStream | None:
        """Commit everything; None if all of it was committed before."""
        committer = self._committer
        try:
            for i, segment in enumerate(self._segments):
                later = self._segments[i + 1 :]
                if (
                    later
                    and later[0].first_seq < self._state.next_seq
                    and later[0].info.run == self._info.run
                ):
                    # All its messages are committed, and one behind them. Its gaps need not be: a recovery
                    # that was killed commits them at its end.
                    for reader in segment.records():
                        if reader.is_note:
                            self._take(reader)
                        else:
                            reader.skip()
                    continue
                for reader in segment.records(self._note_damage):
                    self._take(reader)
            self._flush()
            left = [
                gap
                for key, gap in self._gaps.items()
                if key not in self._committed_gaps
                # It is written before the message that it is in front of, which may be missing.
                and not (gap.is_sequence_gap and gap.last_seq >= self._expected - 1)
            ]
            # What may still be filled goes on: with the next run it is, or is not.
            gaps = [gap for gap in left if not gap.undecided]
            ended_at = min((gap.disconnected_at for gap in left if gap.undecided), default=self._alive_at)
            if not self._messages and not gaps and self._was_ended:
                return None
            for gap in gaps:
                committer.add_gap(gap)
            committer.commit(RunEnd(ended_at, "crashed"))
        except BaseException:
            committer.abort()
            raise
        return RecoveredStream(
            self._info.stream,
            self._messages,
            self._dead_letters,
            committer.first_seq,
            committer.last_seq,
            committer.gaps,
            self._damaged,
        )

    def _note_damage(self) -> None:
        self._damaged = True

    def _take(self, reader: WalReader) -> None:
        if reader.is_note:
            self._alive_at = max(self._alive_at, reader.received_at)
            gaps = msgspec.json.decode(reader.take_note(), type=Gap | list[Gap])
            self._gaps |= {gap.identity: gap for gap in ([gaps] if isinstance(gaps, Gap) else gaps)}
            return
        received_at = reader.received_at
        block = reader.take_block()
        stop = len(block)
        start = max(0, self._expected - block.first_seq)
        if start < stop:
            if block.first_seq > self._expected:
                self._skip_to(block, received_at)
            self._assembler.add(block, start, stop)
            self._messages += stop - start
            self._expected = block.first_seq + stop
            if self._assembler.num_rows >= BATCH_ROWS or self._assembler.payload_bytes >= BATCH_BYTES:
                self._flush()
        self._epoch = block.epoch
        self._alive_at = max(self._alive_at, *(time for _, time in block.read_stamps()))

    def _skip_to(self, block: Block, received_at: int) -> None:
        """The log has lost the messages before `block`: a gap, in one commit with what is behind it."""
        self._flush()
        self._committer.commit()
        self._committer.add_gap(
            Gap(
                self._epoch, self._expected - 1, self._alive_at, "journal_damaged", reconnected_at=received_at
            )
        )
        self._damaged = True

    def _flush(self) -> None:
        if not self._assembler.num_rows:
            return
        batch = self._assembler.finish()
        self._dead_letters += batch.dead_letters.num_rows
        marker = self._marker
        for rows in self._writer.prepare(batch, batch.last_seq):
            resume = marker.mark(rows.last_seq) if marker is not None else None
            self._committer.add(rows._replace(resume=resume))
        if marker is not None:
            marker.settle()
        if self._progress is not None:
            self._progress(self._messages)
