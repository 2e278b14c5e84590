"""A long capture at full speed from a server that fails at random: do memory, descriptors or threads grow?

    python -m benchmarks.soak --minutes 30

The server is a process of its own, which this one also kills and starts again now and then. Committed
segments are checked against the manifest (every file there, checksum right, seq without a hole) and deleted,
or they would fill the disk. Exits with 1 if something is wrong or has grown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

AGENT = "5f0c1e9a-7d3b-4c56-9e21-a1b2c3d4e5f6"
TENANT = "9a41c2d3-1e4f-4a5b-8c6d-7e8f90a1b2c3"


async def serve(port: int, seed: int) -> None:
    """Serve without end; each connection ends at a random place, in a random way."""
    from rlfast.simulator import Simulator, SimulatorOptions, StreamConnection

    source = random.Random(seed)

    def fail(connection: StreamConnection) -> None:
        action = source.choice(
            [
                StreamConnection.abort,
                lambda one: one.close(1001, "going away"),
                lambda one: one.close(1011, "internal error"),
                lambda one: one._stop_sending(),  # Half-open: sends nothing any more.
            ]
        )
        connection.at(int(source.expovariate(1 / 20_000_000)) + 1, action)

    async with Simulator(SimulatorOptions(port=port), on_connect=fail) as simulator:
        print(simulator.base_url, flush=True)
        await asyncio.Event().wait()


class Server:
    """The server's process."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._port = 0
        self.starts = 0
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            __spec__.name,
            "--serve",
            str(self._port),
            str(self._seed + self.starts),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.base_url = self._process.stdout.readline().strip()
        self._port = int(self.base_url.rpartition(":")[2])
        self.starts += 1

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Checker(threading.Thread):
    """Follows the manifest, checks each segment, and deletes its files."""

    def __init__(self, out: Path) -> None:
        super().__init__(daemon=True)
        self.segments = self.events = self.gaps = 0
        self.fault = ""
        self._out = out
        self._at = 0
        self._next_seq = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopped.wait(1.0):
                self.look()
            self.look()
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error}"

    def look(self) -> None:
        from xxhash import xxh3_64_hexdigest

        from rlfast.sinks.parquet._manifest import ManifestEntry

        path = self._out / "_manifest.jsonl"
        if not path.exists():
            return
        with path.open("rb") as lines:
            lines.seek(self._at)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                entry = msgspec.json.decode(line, type=ManifestEntry)
                if entry.last_seq >= entry.first_seq:
                    assert entry.first_seq == self._next_seq, f"seq {entry.first_seq} behind {self._next_seq}"
                    self._next_seq = entry.last_seq + 1
                rows = 0
                for file in entry.files:
                    assert xxh3_64_hexdigest((self._out / file.path).read_bytes()) == file.checksum, file.path
                    rows += 0 if file.path.startswith("_gaps") else file.rows
                    (self._out / file.path).unlink()
                assert rows == entry.events + entry.dead_letters
                self.segments += 1
                self.events += entry.events
                self.gaps += len(entry.gaps)


class Sample(msgspec.Struct):
    seconds: float
    rss: int
    descriptors: int
    threads: int
    journal: int
    events: int


def take_sample(seconds: float, journal: int, events: int) -> Sample:
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Sample(
        seconds, rss, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), journal, events
    )


async def soak(seconds: float, seed: int, out: Path) -> int:
    import rlfast
    from rlfast.capture import CaptureOptions, CaptureProgress, RotationPolicy, capture

    server = Server(seed)
    checker = Checker(out)
    checker.start()
    samples: list[Sample] = []
    source = random.Random(seed)

    def progress(state: CaptureProgress) -> None:
        samples.append(take_sample(state.seconds, state.journal_bytes, state.events))
        if len(samples) % 60 == 0:
            last = samples[-1]
            print(
                f"{last.seconds:6.0f} s  {last.events:,} events  rss {last.rss >> 20} MiB  "
                f"descriptors {last.descriptors}  threads {last.threads}  journal {last.journal >> 20} MiB  "
                f"gaps {state.gaps}  segments {checker.segments}  server starts {server.starts}",
                flush=True,
            )

    async def restart() -> None:
        while True:
            await asyncio.sleep(source.uniform(20, 90))
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(source.uniform(0, 1))
            await asyncio.to_thread(server.start)

    url = f"{server.base_url.replace('http', 'ws', 1)}/api/v1/cognitive/agents/ws"
    options = CaptureOptions(
        duration=seconds, rotation=RotationPolicy(interval=10.0), progress_interval=1.0, max_backlog=64 << 20
    )
    limits = rlfast.ConnectionOptions(idle_timeout=1.0, pong_timeout=1.0, data_timeout=3.0)
    backoff = rlfast.Backoff(initial=0.05, cap=1.0)
    connecting = rlfast.connect(
        f"{url}?agent_id={AGENT}&tenant_id={TENANT}", type=rlfast.AgentEvent, backoff=backoff, options=limits
    )
    restarting = asyncio.create_task(restart())
    try:
        async with connecting as ws:
            summary = await capture(ws, out, options, progress=progress)
    finally:
        restarting.cancel()
        checker.stopped.set()
        await asyncio.to_thread(checker.join)
        server.kill()
    return report(samples, summary, checker)


def report(samples: list[Sample], summary: object, checker: Checker) -> int:
    from rlfast.capture import CaptureSummary

    assert isinstance(summary, CaptureSummary)
    rate = summary.events / summary.seconds / 1e6
    print(
        f"{summary.events:,} events in {summary.seconds:.0f} s ({rate:.2f} M/s), "
        f"{checker.segments} segments, {summary.gaps} gaps, {summary.reconnects} reconnects"
    )
    faults = [checker.fault] if checker.fault else []
    if checker.events != summary.events or checker.gaps != summary.gaps:
        faults.append(f"the manifest has {checker.events:,} events and {checker.gaps} gaps")
    tenth = max(1, len(samples) // 10)
    # The first tenth fills buffers and the ring of the journal.
    for name, slack in (("rss", 1.15), ("descriptors", 1.3), ("threads", 1.3)):
        values = [getattr(sample, name) for sample in samples[tenth:]]
        early = statistics.median(values[:tenth])
        late = statistics.median(values[-tenth:])
        shown = (
            f"{value / (1 << 20):.0f} MiB" if name == "rss" else f"{value:.0f}"
            for value in (early, late, max(values))
        )
        print("{}: early {}, late {}, most {}".format(name, *shown))
        if late > early * slack:
            faults.append(f"{name} has grown")
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder to capture into (default: a temporary one)")
    parser.add_argument("--serve", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(*options.serve))
        return
    out = options.out or Path(tempfile.mkdtemp(prefix="rlfast-soak-"))
    try:
        code = asyncio.run(soak(options.minutes * 60, options.seed, out))
    finally:
        if options.out is None:
            shutil.rmtree(out)
    sys.exit(code)


if __name__ == "__main__":
    main()
