"""Capture of a stream into a data set of Parquet files; needs the extra ``rlfast[capture]``."""

from rlfast.capture.dataset import next_seq, prepare_folder
from rlfast.capture.options import CaptureOptions, RotationPolicy
from rlfast.capture.runner import capture
from rlfast.capture.summary import CaptureProgress, CaptureSummary, TypeSummary

__all__ = [
    "CaptureOptions",
    "CaptureProgress",
    "CaptureSummary",
    "RotationPolicy",
    "TypeSummary",
    "capture",
    "next_seq",
    "prepare_folder",
]
