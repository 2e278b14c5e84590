"""The flat-out server as a process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import _firehose
from benchmarks._harness import ROOT, environment


@dataclass(frozen=True)
class Firehose:
    """A running server."""

    port: int
    process: psutil.Process
    authority: str | None = None

    def cpu_seconds(self) -> float:
        """CPU time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def firehose(payloads: Sequence[bytes], repeats: int, *, tls: bool = False) -> Iterator[Firehose]:
    """Run the server: it sends all payloads, so many times. `authority` is who signed its certificate."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="rlfast-bench-"))
        file.write(_firehose.frames(payloads))
        file.flush()
        command = [sys.executable, "-m", "benchmarks._firehose", file.name, str(repeats)]
        authority = None
        if tls:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rlfast-bench-")))
            authority = str(_certify(folder))
            command.append(str(folder / "server.pem"))
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Firehose(int(process.stdout.readline()), psutil.Process(process.pid), authority)
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def _certify(folder: Path) -> Path:
    import trustme

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return folder / "authority.pem"
