"""Capture of a stream into a data set, or another sink; needs the extra ``rlfast[capture]``."""

import importlib
from typing import TYPE_CHECKING, Any

from rlfast.capture._options import CaptureOptions, RotationPolicy
from rlfast.capture._run import capture
from rlfast.capture._summary import CaptureProgress, CaptureSummary, TypeSummary

if TYPE_CHECKING:
    from rlfast.capture._dataset import (
        Dataset,
        compact,
        inspect_dataset,
        list_dead_letters,
        open_dataset,
        redrive,
    )
    from rlfast.capture._recovery import RecoveredStream, RecoveryReport, next_seq, recover, resume

__all__ = [
    "CaptureOptions",
    "CaptureProgress",
    "CaptureSummary",
    "Dataset",
    "RecoveredStream",
    "RecoveryReport",
    "RotationPolicy",
    "TypeSummary",
    "capture",
    "compact",
    "inspect_dataset",
    "list_dead_letters",
    "next_seq",
    "open_dataset",
    "recover",
    "redrive",
    "resume",
]

# These load pyarrow, which takes its time.
_LAZY = {
    "_dataset": ("Dataset", "compact", "inspect_dataset", "list_dead_letters", "open_dataset", "redrive"),
    "_recovery": ("RecoveredStream", "RecoveryReport", "next_seq", "recover", "resume"),
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f"rlfast.capture.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
