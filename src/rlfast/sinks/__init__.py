"""Where the batches of a capture go: the protocol of a sink, and the data set of Parquet files."""

from typing import TYPE_CHECKING, Any

from rlfast.sinks._base import Opened, Rows, RunEnd, Sink, StreamState, StreamWriter
from rlfast.sinks.parquet._options import ParquetOptions

if TYPE_CHECKING:
    from rlfast.sinks._lock import FolderLock
    from rlfast.sinks.parquet._sink import ParquetSink

__all__ = [
    "FolderLock",
    "Opened",
    "ParquetOptions",
    "ParquetSink",
    "Rows",
    "RunEnd",
    "Sink",
    "StreamState",
    "StreamWriter",
]


def __getattr__(name: str) -> Any:
    # These need the libraries of the extra, which take their time.
    if name == "FolderLock":
        from rlfast.sinks._lock import FolderLock

        return FolderLock
    if name == "ParquetSink":
        from rlfast.sinks.parquet._sink import ParquetSink

        return ParquetSink
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
