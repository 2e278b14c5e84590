"""Capture of a stream into a data set of Parquet files; needs the extra ``rlfast[capture]``."""

from typing import TYPE_CHECKING, Any

from rlfast.capture.dataset import StreamState, next_seq, prepare_folder, stream_state
from rlfast.capture.options import CaptureOptions, RotationPolicy
from rlfast.capture.runner import capture
from rlfast.capture.summary import CaptureProgress, CaptureSummary, TypeSummary

if TYPE_CHECKING:
    from rlfast.capture.recovery import RecoveredStream, RecoveryReport, recover

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
    "next_seq",
    "prepare_folder",
    "recover",
    "stream_state",
]

_LAZY = {"RecoveredStream", "RecoveryReport", "recover"}


def __getattr__(name: str) -> Any:
    # These load pyarrow, which takes its time.
    if name in _LAZY:
        from rlfast.capture import recovery

        return getattr(recovery, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
