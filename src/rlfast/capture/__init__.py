"""Capture of a stream into a data set of Parquet files; needs the extra ``rlfast[capture]``."""

import importlib
from typing import TYPE_CHECKING, Any

from rlfast.capture._dataset import StreamState, next_seq, prepare_folder, stream_state
from rlfast.capture._options import CaptureOptions, RotationPolicy
from rlfast.capture._run import capture
from rlfast.capture._summary import CaptureProgress, CaptureSummary, TypeSummary

if TYPE_CHECKING:
    from rlfast.capture._compaction import compact
    from rlfast.capture._dead_letters import list_dead_letters, redrive
    from rlfast.capture._inspect import inspect_dataset
    from rlfast.capture._recovery import RecoveredStream, RecoveryReport, recover, resume

__all__ = [
    "CaptureOptions",
    "CaptureProgress",
    "CaptureSummary",
    "RecoveredStream",
    "RecoveryReport",
    "RotationPolicy",
    "StreamState",
    "TypeSummary",
    "capture",
    "compact",
    "inspect_dataset",
    "list_dead_letters",
    "next_seq",
    "prepare_folder",
    "recover",
    "redrive",
    "resume",
    "stream_state",
]

# These load pyarrow, which takes its time.
_LAZY = {
    "RecoveredStream": "_recovery",
    "RecoveryReport": "_recovery",
    "compact": "_compaction",
    "inspect_dataset": "_inspect",
    "list_dead_letters": "_dead_letters",
    "recover": "_recovery",
    "redrive": "_dead_letters",
    "resume": "_recovery",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"rlfast.capture.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
