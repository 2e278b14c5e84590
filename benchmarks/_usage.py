"""What a process used: CPU time and memory, of itself and of its threads."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any


class Usage:
    """Wall and CPU time since it was made, kernel time included; and the most memory ever resident."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def result(self) -> dict[str, Any]:
        # Kilobytes, but on macOS, which counts bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._cpu,
            "peak_rss_bytes": peak,
        }
