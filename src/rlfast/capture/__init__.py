"""Capture of a stream into a data set of Parquet files; needs the extra ``rlfast[capture]``."""

import importlib
from typing import TYPE_CHECKING, Any

from rlfast.capture.dataset import StreamState, next_seq, prepare_folder, stream_state
from rlfast.capture.options import CaptureOptions, RotationPolicy
from rlfast.capture.runner import capture
from rlfast.capture.summary import CaptureProgress, CaptureSummary, TypeSummary

if TYPE_CHECKING:
    from rlfast.capture.burial import list_dead_letters, redrive
    from rlfast.capture.compaction import compact
    from rlfast.capture.inspection import inspect_dataset
    from rlfast.capture.recovery import RecoveredStream, RecoveryReport, recover, resume

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
    "RecoveredStream": "recovery",
    "RecoveryReport": "recovery",
    "compact": "compaction",
    "inspect_dataset": "inspection",
    "list_dead_letters": "burial",
    "recover": "recovery",
    "redrive": "burial",
    "resume": "recovery",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"rlfast.capture.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
