"""What a process used: CPU time, with its threads and its children that have ended, and memory of its own."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any


class Usage:
    """Wall and CPU time since it was made, kernel time included; and the most memory ever resident."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = cpu_seconds()

    def result(self) -> dict[str, Any]:
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": cpu_seconds() - self._cpu,
            "peak_rss_bytes": peak_rss(),
        }


def cpu_seconds() -> float:
    """Of this process and its children, kernel time included."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_rss() -> int:
    """The most memory that was resident, in bytes."""
    try:
        # Not ru_maxrss, which on Linux begins with what the process that started this one had.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        # Kilobytes, but on macOS, which counts bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
