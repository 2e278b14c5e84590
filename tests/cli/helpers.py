"""Running the command: in this process, and as one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

AGENT = "0a8ee6c5-7d7a-4d24-9d6d-3a0c1b1f6d70"
TENANT = "5f0c9d53-92c5-4b5f-8f3e-0d8a5b0a2c11"
POOL = 500

RLFAST = [sys.executable, "-c", "import sys; from rlfast.cli import main; sys.exit(main())"]


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RLFAST_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **extra}


@contextlib.contextmanager
def simulator(*arguments: str, **extra: str) -> Iterator[str]:
    """The simulator in a process of its own; yields its base URL."""
    command = [sys.executable, "-m", "rlfast.simulator", "--port", "0", "--pool", str(POOL), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(**extra))
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def agent_arguments(base_url: str) -> list[str]:
    return ["--agent", AGENT, "--tenant", TENANT, "--base-url", base_url]


def run(*arguments: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RLFAST, *map(str, arguments)],
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def start(
    *arguments: str | Path, prefix: Iterable[str] = (), **options: Any
) -> asyncio.subprocess.Process:
    extra = options.pop("extra", {})
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return await asyncio.create_subprocess_exec(
        *prefix, *RLFAST, *map(str, arguments), env=environment(**extra), **options
    )


def assert_one_line(text: str, *parts: str) -> None:
    """`text` is one line of stderr with all `parts` in it."""
    assert text.startswith("rlfast: "), text
    assert text.count("\n") == 1, text
    assert text.endswith("\n")
    for part in parts:
        assert part in text
