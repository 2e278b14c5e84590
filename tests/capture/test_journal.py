"""The journal's files: the ring, its bounds, torn and damaged records, spilling; against a slow reader."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest

from rlfast import CaptureError, Gap
from rlfast._core.queue import BlockQueue
from rlfast.capture._wal import Wal, WalInfo, stored_wal_files, wal_end, wal_folders

from .crashing import journal_messages
from .helpers import STREAM

INFO = WalInfo(
    STREAM,
    "rlfast.reasoning_layer:AgentEvent",
    1,
    sink={"uuid": "text", "compression": "zstd", "partition_by": None, "timestamps": "us"},
)
MIB = 1 << 20


class Keeper:
    """A journal attached to a queue, without a network."""

    def __init__(
        self,
        out: Path,
        info: WalInfo = INFO,
        *,
        max_bytes: int = 4 * MIB,
        max_spill: int = 0,
        **queue: int,
    ) -> None:
        self.full: list[bool] = []
        self.errors: list[OSError] = []
        self.journal = Wal(
            out,
            info,
            max_bytes=max_bytes,
            min_free=0,
            durable=False,
            on_full=self.full.append,
            on_error=self.errors.append,
        )
        sizes = {"block_size": 4096, "high_water": 1 << 30, "low_water": 1024, **queue}
        self.queue = BlockQueue(sizes["block_size"], sizes["high_water"], sizes["low_water"])
        self.queue.begin_epoch(1)
        self.queue.attach(self.journal.writer, max_spill)

    def feed(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.queue.feed(payload)
        self.queue.end_of_read()

    def take(self) -> list[bytes]:
        """Everything that the queue has, in order; sequence numbers are checked."""
        found: list[bytes] = []
        while (block := self.queue.take_block()) is not None:
            found += [block.payload(i) for i in range(block.taken, block.count)]
            self.queue.give_back(block, block.count)
        return found


def payloads(count: int, size: int = 100, start: int = 0) -> list[bytes]:
    source = random.Random(start)
    return [b"%d:" % i + source.randbytes(source.randrange(size)) for i in range(start, start + count)]


def replayed(out: Path) -> dict[int, bytes]:
    """What recovery would read: the messages of all segments, later generations first."""
    found: dict[int, bytes] = {}
    for folder in wal_folders(out):
        for segment in stored_wal_files(folder):
            for reader in segment.records():
                if reader.is_note:
                    reader.skip()
                    continue
                block = reader.take_block()
                found |= {block.first_seq + i: block.payload(i) for i in range(block.count)}
    return dict(sorted(found.items()))


def test_what_is_queued_is_in_the_journal(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    sent: list[bytes] = []
    for start in range(0, 3000, 60):
        batch = [*payloads(58, start=start), b"", b"x" * 9000]
        keeper.feed(*batch)
        sent += batch
    assert keeper.take() == sent
    assert list(journal_messages(tmp_path).values()) == sent
    assert list(replayed(tmp_path).values()) == sent
    assert wal_end(tmp_path, STREAM) == len(sent)
    assert keeper.journal.writer.messages == len(sent)
    keeper.journal.close(delete=True)
    assert not (tmp_path / "_journal").exists()


def test_epochs_stamps_and_cut_messages_are_kept(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.feed(b"a", b"b")
    keeper.queue.begin_epoch(2)
    keeper.queue.feed(b"c")
    keeper.queue.feed_rejected(b"prefix", "too long")
    keeper.queue.end_of_read()
    (folder,) = wal_folders(tmp_path)
    (segment,) = stored_wal_files(folder)
    blocks = [reader.take_block() for reader in segment.records()]
    assert [(block.first_seq, block.count, block.epoch) for block in blocks] == [(0, 2, 1), (2, 2, 2)]
    assert blocks[1].payload(1) == b"prefix"
    assert blocks[0].read_stamps()[0][1] > 10**18
    assert segment.info == INFO


def test_segments_are_used_again_and_old_records_are_not_read(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    paths = set()
    sent = 0
    for _ in range(60):
        batch = payloads(1000, 400, sent)
        keeper.feed(*batch)
        sent += len(batch)
        keeper.take()
        keeper.journal.release(sent - 1)
        paths |= {path.name for path in tmp_path.glob("_journal/*/segment-*.rlj")}
        assert keeper.journal.allocated_bytes <= 3 * MIB
    assert len(paths) <= 3
    assert keeper.full == []
    found = replayed(tmp_path)
    assert journal_messages(tmp_path) == found
    assert max(found) == sent - 1
    assert found[sent - 1] == batch[-1]


def test_a_full_journal_says_so_and_takes_what_still_comes(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    sent: list[bytes] = []
    while not keeper.full:
        sent += payloads(100, 2000, len(sent))
        keeper.feed(*sent[-100:])
    assert keeper.journal.used_bytes > 4 * MIB
    assert keeper.journal.is_pressed()
    keeper.feed(b"one more")
    keeper.journal.release(len(sent) // 2)
    keeper.journal.release(len(sent))
    assert keeper.full == [True, False]
    assert not keeper.journal.is_pressed()
    assert list(journal_messages(tmp_path).values())[-1] == b"one more"


@pytest.mark.parametrize("cut", [1, 7, 63, 64, 70, 200])
def test_a_torn_tail_is_left_out(tmp_path: Path, cut: int) -> None:
    keeper = Keeper(tmp_path, block_size=MIB)
    keeper.feed(*payloads(50))
    end = keeper.journal.writer.nbytes
    keeper.feed(*payloads(50, start=50))
    (path,) = tmp_path.glob("_journal/*/segment-*.rlj")
    with path.open("r+b") as file:
        file.seek(4096 + keeper.journal.writer.nbytes - cut)
        file.write(bytes(cut))
    # The last bytes of a record may be padding; then nothing is lost.
    whole = 4096 + keeper.journal.writer.nbytes - cut >= 4096 + end + _length(path, 4096 + end)
    assert list(replayed(tmp_path)) == list(range(100 if whole else 50))
    assert replayed(tmp_path) == journal_messages(tmp_path)


def _length(path: Path, at: int) -> int:
    import struct

    header = struct.unpack_from("<IIQQqIIQIIQ", path.read_bytes(), at)
    return int(64 + 4 * (header[6] + 1) + header[7] + header[8])


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.feed(b"a" * 10)
    keeper.feed(b"b" * 10)
    (path,) = tmp_path.glob("_journal/*/segment-*.rlj")
    data = path.read_bytes()
    end = 4096 + keeper.journal.writer.nbytes // 2
    for at in range(4096, 4096 + 64 + 8 + 10):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        assert replayed(tmp_path) == {}, at
    for at in range(end, end + 64 + 8 + 10):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        assert replayed(tmp_path) == {0: b"a" * 10}, at


def test_notes_stand_between_messages(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.feed(b"a")
    gap = Gap(1, 0, 123, "connection_lost")
    keeper.journal.write_gap(gap)
    keeper.feed(b"b")
    (folder,) = wal_folders(tmp_path)
    (segment,) = stored_wal_files(folder)
    kinds = []
    for reader in segment.records():
        kinds.append(reader.is_note)
        reader.skip()
    assert kinds == [False, True, False]
    assert replayed(tmp_path) == {0: b"a", 1: b"b"}


def test_news_of_an_old_gap_frees_no_segment_that_is_not_committed(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, max_bytes=64 * MIB, max_spill=64 * MIB, high_water=20_000)
    keeper.journal._segment_bytes = MIB
    sent = payloads(60, 200)
    keeper.feed(*sent[:30])
    gap = Gap(1, 29, 123, "protocol_error: " + 60_000 * "x")
    keeper.journal.write_gap(gap)
    keeper.queue.begin_epoch(2)
    keeper.feed(*sent[30:])
    # Told late: its note opens the next segment.
    while len(list(tmp_path.glob("_journal/*/segment-*.rlj"))) == 1:
        keeper.journal.write_gap(gap)
    keeper.journal.release(29)
    more = payloads(20_000, 200, 60)
    keeper.feed(*more)
    assert list(replayed(tmp_path).values()) == sent + more
    assert keeper.take() == sent + more
    keeper.journal.release(59)
    assert not keeper.journal._free  # It holds the gap, which is committed with message 60 at the latest.
    keeper.journal.release(60)
    assert len(keeper.journal._free) == 1


def test_a_long_name_of_a_type_stands_beside_the_segments(tmp_path: Path) -> None:
    name = "|".join(f"some.module:Event{n}" for n in range(500))
    info = msgspec.structs.replace(INFO, type=name)
    keeper = Keeper(tmp_path, info)
    keeper.feed(*payloads(10_000, 400))
    (folder,) = wal_folders(tmp_path)
    segments = stored_wal_files(folder)
    assert len(segments) > 1
    assert all(segment.info == info for segment in segments)
    (path,) = folder.glob("type-*")
    path.write_text(name[:-1])
    assert {segment.info.type for segment in stored_wal_files(folder)} == {""}
    path.unlink()
    assert {segment.info.type for segment in stored_wal_files(folder)} == {""}
    path.write_text(name)
    keeper.journal.close(delete=True)
    assert list(tmp_path.iterdir()) == []


def test_too_long_a_name_of_a_stream_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="the name of the stream has 4000 characters; use a shorter one"):
        Keeper(tmp_path, msgspec.structs.replace(INFO, stream=4000 * "s"))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_before_it_is_full(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"MiB left; a journal segment needs"):
        Wal(
            tmp_path,
            INFO,
            max_bytes=4 * MIB,
            min_free=1 << 60,
            durable=False,
            on_full=lambda _: None,
            on_error=lambda _: None,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_message_larger_than_a_segment(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    large = os.urandom(3 * MIB)
    keeper.feed(b"a", large, b"b")
    assert list(replayed(tmp_path).values()) == [b"a", large, b"b"]


def test_a_failed_write_is_told_once_and_nothing_is_lost_from_the_queue(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.feed(b"a")
    keeper.journal.writer.fail(OSError(5, "Input/output error"))
    keeper.feed(b"b")
    keeper.feed(b"c")
    assert len(keeper.errors) == 1
    assert keeper.take() == [b"a", b"b", b"c"]
    assert replayed(tmp_path) == {0: b"a"}


# -- spilling ------------------------------------------------------------------------------------------------


def test_what_memory_does_not_hold_is_read_back_in_order(tmp_path: Path) -> None:
    source = random.Random(5)
    keeper = Keeper(tmp_path, max_bytes=64 * MIB, max_spill=8 * MIB, high_water=20_000)
    sent: list[bytes] = []
    taken: list[bytes] = []
    spilled = seen_behind = 0
    for turn in range(1200):
        if source.random() < 0.02:
            keeper.queue.begin_epoch(turn + 2)
            if source.random() < 0.5:
                keeper.queue.close_gate()
                behind = len(sent)
        batch = payloads(source.randrange(40), source.choice((50, 50, 6000)), len(sent))
        keeper.feed(*batch)
        sent += batch
        spilled = max(spilled, keeper.queue.spilled_bytes)
        if keeper.queue.gated:
            seen_behind += keeper.queue.spilling
            assert [keeper.queue.peek(i) for i in range(len(sent) - behind)] == sent[behind:]
        else:
            assert keeper.queue.queued_bytes < 400_000
        if source.random() < 0.3:
            for _ in range(source.randrange(6)):
                block = keeper.queue.take_block()
                if block is None:
                    break
                stop = source.randint(block.taken, block.count)
                assert not keeper.queue.gated or block.first_seq + stop <= behind
                taken += [block.payload(i) for i in range(block.taken, stop)]
                keeper.queue.give_back(block, stop)
    assert spilled > 100_000
    assert seen_behind
    keeper.queue.finish()
    taken += keeper.take()
    assert taken == sent
    assert (keeper.queue.spilled_bytes, keeper.queue.spilled_messages, keeper.queue.spilling) == (0, 0, False)
    assert keeper.queue.queued_bytes == 0


def test_the_socket_is_paused_when_the_spill_is_full_too(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, max_bytes=64 * MIB, max_spill=100_000, high_water=20_000)
    paused: list[bool] = []
    keeper.queue.bind(lambda: paused.append(True), lambda: paused.append(False))
    sent: list[bytes] = []
    while not paused:
        sent += payloads(20, 200, len(sent))
        keeper.feed(*sent[-20:])
    assert keeper.queue.spilled_bytes >= 100_000
    assert keeper.take() == sent
    assert paused == [True, False]


def test_a_journal_that_fails_while_spilling_loses_nothing(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, max_bytes=64 * MIB, max_spill=MIB, high_water=5_000)
    sent = payloads(400, 100)
    for start in range(0, 400, 20):
        keeper.feed(*sent[start : start + 20])
    assert keeper.queue.spilling
    keeper.journal.writer.fail(OSError(28, "No space left on device"))
    late = payloads(60, 100, 400)
    keeper.feed(*late[:30])
    keeper.queue.begin_epoch(2)
    keeper.feed(*late[30:])
    assert keeper.queue.paused
    assert keeper.take() == sent + late


def test_detaching_forgets_what_only_the_journal_has(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, max_bytes=64 * MIB, max_spill=MIB, high_water=5_000)
    for start in range(0, 400, 20):
        keeper.feed(*payloads(20, 100, start))
    in_memory = 400 - keeper.queue.spilled_messages
    keeper.queue.detach()
    assert len(keeper.take()) == in_memory < 400
    assert len(replayed(tmp_path)) == 400
    keeper.feed(b"later")
    assert keeper.take() == [b"later"]
