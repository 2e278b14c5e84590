"""A data set folder that is moved, replaced or removed while it is written to."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from wsserver import Peer, frame, serve, until

from rlfast import CaptureError, connect
from rlfast.capture import CaptureOptions, CaptureSummary, RotationPolicy, capture, compact, recover
from rlfast.capture._committer import Committer
from rlfast.sinks import ParquetSink
from rlfast.sinks._lock import FolderLock
from rlfast.sinks._place import check_place

from .helpers import batch_of, files, stored, write


def messages(first: int, count: int) -> list[bytes]:
    return [b'{"n":%d}' % n for n in range(first, first + count)]


def rows_of(payloads: list[bytes]) -> list[dict[str, str]]:
    return [{"type": "message", "json": payload.decode()} for payload in payloads]


async def run_and_disturb(out: Path, options: CaptureOptions, disturb: Callable[[], None]) -> CaptureSummary:
    """Capture while messages come before and after `disturb`; returns the summary."""
    disturbed = asyncio.Event()
    stop = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, messages(0, 100)))
        await disturbed.wait()
        await peer.write(*map(frame, messages(100, 100)))
        await peer.wait_closed()

    async with serve(handler) as server:
        connecting = connect(server.url, stream="s")
        ws = connecting.connection
        running = asyncio.create_task(capture(connecting, out, options, stop=stop))
        await until(lambda: running.done() or ws.stats.messages == 100)
        disturb()
        disturbed.set()
        await until(lambda: running.done() or ws.stats.messages == 200)
        stop.set()
        try:
            return await running
        except CaptureError as error:
            raise _StoppedError(error, ws.stats.messages) from error


class _StoppedError(Exception):
    def __init__(self, error: CaptureError, received: int) -> None:
        super().__init__(str(error))
        self.received = received


EACH_STEP = pytest.mark.parametrize(
    "options",
    [
        CaptureOptions(batch_wait=0.01),
        CaptureOptions(batch_wait=0.01, rotation=RotationPolicy(max_rows=10)),
        CaptureOptions(batch_wait=0.01, rotation=RotationPolicy(max_rows=100), durability="machine"),
    ],
    ids=["one commit", "many commits", "a commit before"],
)


@EACH_STEP
async def test_a_relative_path_does_not_follow_chdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: CaptureOptions
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(tmp_path)
    summary = await run_and_disturb(Path("out"), options, lambda: os.chdir(other))
    assert summary.events == 200
    assert list(other.iterdir()) == []
    assert stored(tmp_path / "out") == rows_of(messages(0, 200))


@EACH_STEP
@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_folder_that_is_moved_ends_the_capture_and_loses_nothing(
    tmp_path: Path, options: CaptureOptions, is_replaced: bool
) -> None:
    out, moved = tmp_path / "out", tmp_path / "moved"
    replacement: list[str] = []

    def disturb() -> None:
        out.rename(moved)
        if is_replaced:
            out.mkdir()
            with closing(ParquetSink(out)) as sink:
                sink.open("another capture")
                batch = batch_of(messages(0, 5), type_=None)
                writer = Committer(sink.writer("s"), sink.state("s"), RotationPolicy())
                for rows in sink.writer("s").prepare(batch, batch.last_seq):
                    writer.add(rows)
                writer.commit()
            replacement.extend(files(out))

    with pytest.raises(
        _StoppedError, match=rf"was moved .*it is {moved} now.*rlfast recover {moved}"
    ) as stopped:
        await run_and_disturb(out, options, disturb)
    assert (files(out) if is_replaced else out.exists()) == (replacement if is_replaced else False)
    recover(moved)
    assert stored(moved) == rows_of(messages(0, stopped.value.received))
    assert not (moved / "_journal").exists()
    if is_replaced:
        assert stored(out) == rows_of(messages(0, 5))


@EACH_STEP
async def test_a_folder_that_is_removed_ends_the_capture_and_is_not_made_anew(
    tmp_path: Path, options: CaptureOptions
) -> None:
    out = tmp_path / "out"
    with pytest.raises(_StoppedError, match="was removed while it was written to; start again"):
        await run_and_disturb(out, options, lambda: shutil.rmtree(out))
    assert not out.exists()


async def test_a_moved_folder_is_noticed_though_nothing_is_received(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, messages(0, 3)))
        await peer.wait_closed()

    out, moved = tmp_path / "out", tmp_path / "moved"
    async with serve(handler) as server:
        connecting = connect(server.url, stream="s")
        running = asyncio.create_task(capture(connecting, out))
        await until(lambda: connecting.connection.stats.messages == 3)
        out.rename(moved)
        with pytest.raises(CaptureError, match=f"it is {moved} now"):
            await running
    recover(moved)
    assert stored(moved) == rows_of(messages(0, 3))


def test_a_link_that_leads_elsewhere_is_another_folder(tmp_path: Path) -> None:
    one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
    one.mkdir()
    two.mkdir()
    link.symlink_to(one)
    with FolderLock(link, "test"):
        check_place(link / "x")
        link.unlink()
        link.symlink_to(two)
        with pytest.raises(CaptureError, match=f"it is {one} now"):
            check_place(link / "x")
    check_place(link / "x")
    assert list(two.iterdir()) == []


def test_a_compaction_of_a_folder_that_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlfast.sinks.parquet import _rewrite as rewriting

    out, moved = tmp_path / "out", tmp_path / "moved"
    for first in (0, 5):
        write(out, messages(first, 5), first_seq=first, stream="s", type_=None)
    real = rewriting.Rewrite.commit

    def commit(self: rewriting.Rewrite, *arguments: object, **more: object) -> None:
        out.rename(moved)
        real(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rewriting.Rewrite, "commit", commit)
    with pytest.raises(CaptureError, match=f"it is {moved} now"):
        compact(out)
    assert not out.exists()
    recover(moved)
    assert stored(moved) == rows_of(messages(0, 10))
