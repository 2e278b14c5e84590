"""Captures disturbed at random moments: killed, moved, stopped, told twice to end, with a wrong clock.

Runs that follow each other into one folder; after each one every promise about a data set holds.
``RLFAST_KILLS=1000 pytest tests/capture/test_disturbances.py`` for more of them than those of every day.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from wsserver import Peer, frame, serve

from rlfast.capture import next_seq, recover
from rlfast.simulator import Simulator, SimulatorOptions

from .crashing import (
    AT_FULL_SPEED,
    POOL,
    RLFAST,
    SEED,
    Expected,
    agent_url,
    capture_command,
    check,
    environment,
    has_journal,
    journal_end,
    journal_files,
    journal_messages,
)
from .helpers import STREAM
from .test_crash import KILLED, KILLS
from .test_crash import library as fixture

library = fixture
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library; kills by SIGKILL")

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def default_signals() -> None:
    """A process in the background, or under nohup, hands some on as ignored, and that stays."""
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)


class Run:
    """One capture into `out`, and what disturbs it."""

    def __init__(self, url: str, out: Path, faults: str, source: random.Random) -> None:
        self.url = url
        self.out = out
        self.faults = faults
        self.source = source

    async def start(
        self, command: list[str], cwd: Path | None = None, **variables: str
    ) -> asyncio.subprocess.Process:
        """Start a capture; returns when it has its journal, and a random time later."""
        assert not journal_files(self.out)
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment(**variables),
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=default_signals,
        )
        await has_journal(process, self.out)
        await asyncio.sleep(self.source.uniform(0.0, 0.6))
        return process

    async def end(self, process: asyncio.subprocess.Process) -> None:
        process.kill()
        _, errors = await process.communicate()
        assert process.returncode == KILLED, errors.decode()

    async def kill(self) -> None:
        await self.end(await self.start(capture_command(self.url, self.out, **AT_FULL_SPEED)))

    async def clock(self) -> None:
        ahead = str(3600 * self.source.randrange(-5, 6))
        command = capture_command(self.url, self.out, **AT_FULL_SPEED)
        await self.end(await self.start(command, LD_PRELOAD=self.faults, FAULT_CLOCK=ahead))

    async def chdir(self) -> None:
        other = self.out.parent / "other"
        other.mkdir(exist_ok=True)
        chdir = (str(other), self.source.uniform(0.0, 0.5))
        command = capture_command(self.url, Path(self.out.name), **AT_FULL_SPEED, chdir=chdir)
        await self.end(await self.start(command, cwd=self.out.parent))
        assert list(other.iterdir()) == []

    async def move(self) -> None:
        moved = self.out.with_name("moved")
        process = await self.start(capture_command(self.url, self.out, **AT_FULL_SPEED))
        self.out.rename(moved)
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert f"it is {moved} now" in errors.decode()
        assert not self.out.exists()
        moved.rename(self.out)

    async def pause(self) -> None:
        """Longer than the time-out, as by ``docker pause``."""
        limits = {"data_timeout": 0.3}
        process = await self.start(capture_command(self.url, self.out, **AT_FULL_SPEED, limits=limits))
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.source.uniform(0.3, 0.9))
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(self.source.uniform(0.0, 0.3))
        assert process.returncode is None, (await process.communicate())[1].decode()
        await self.end(process)

    async def twice(self) -> None:
        command = [*RLFAST, "capture", self.url, "--types", "rlfast:AgentEvent", "--stream", STREAM]
        process = await self.start([*command, "--out", str(self.out), "--min-free", "0"])
        number = self.source.choice(STOPS)
        process.send_signal(number)
        await asyncio.sleep(self.source.uniform(0.0, 0.5))
        if process.returncode is None:
            process.send_signal(number)
        _, errors = await process.communicate()
        assert process.returncode == (130 if number == signal.SIGINT else 0), errors.decode()
        assert not (self.out / "_journal").exists()


@pytest.mark.timeout(180 + 8 * KILLS)
async def test_disturbed_at_random(tmp_path: Path, library: str) -> None:
    source = random.Random(os.environ.get("RLFAST_SEED", "1"))
    expected = Expected()
    disturbances: list[Callable[[Run], Awaitable[None]]] = [
        *(Run.kill, Run.clock, Run.chdir, Run.move, Run.pause, Run.twice)
    ]
    recovered = 0
    for folder in range(-(-KILLS // 12)):
        out = tmp_path / f"out-{folder}"
        rate = source.choice([200, 5_000, 100_000])
        async with Simulator(SimulatorOptions(pool=POOL, seed=SEED, rate=rate)) as simulator:
            run = Run(agent_url(simulator.base_url), out, library, source)
            total = 0
            source.shuffle(disturbances)
            for number in range(min(12, KILLS - 12 * folder)):
                await disturbances[number % len(disturbances)](run)
                least = max(total, await asyncio.to_thread(journal_end, out))
                report = await asyncio.to_thread(recover, out)
                recovered += sum(stream.messages for stream in report.streams)
                total = next_seq(out, STREAM)
                assert total >= least
        assert await asyncio.to_thread(check, out, expected) == total
        shutil.rmtree(out)
    assert recovered


async def kill_after_some(out: Path, source: random.Random) -> tuple[int, bool]:
    """Kill a capture soon after a few messages. Returns how many, and whether it had read all of them.

    The kernel resets a connection that is closed with something unread, and ends it properly otherwise.
    """
    count = source.randrange(1, 6)
    started: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def handler(peer: Peer) -> None:
        for n in range(count):
            await peer.write(frame(b'{"n":%d}' % n))
            await asyncio.sleep(source.uniform(0.0, 0.005))
        # A kill between the call that reads and the one that writes, microseconds, proves nothing.
        await asyncio.sleep(source.uniform(0.005, 0.05))
        (await started).kill()
        try:
            await peer.reader.read()
            ended.set_result(True)
        except ConnectionResetError:
            ended.set_result(False)

    async with serve(handler) as server:
        process = await asyncio.create_subprocess_exec(
            *capture_command(server.url, out, **AT_FULL_SPEED), env=environment()
        )
        started.set_result(process)
        was_read = await ended
        assert await process.wait() == KILLED
    return count, was_read


@pytest.mark.timeout(180 + 8 * KILLS)
async def test_what_left_the_kernel_is_in_the_journal(tmp_path: Path) -> None:
    source = random.Random(os.environ.get("RLFAST_SEED", "1"))
    read = 0
    for number in range(max(5, KILLS // 5)):
        out = tmp_path / f"out-{number}"
        count, was_read = await kill_after_some(out, source)
        if was_read:
            read += 1
            assert list(journal_messages(out).values()) == [b'{"n":%d}' % n for n in range(count)]
        shutil.rmtree(out)
    assert read
