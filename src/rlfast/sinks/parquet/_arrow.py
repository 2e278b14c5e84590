"""pyarrow, imported in one place, so that its absence has one message."""

from __future__ import annotations

from rlfast.errors import MissingExtraError

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise MissingExtraError("pyarrow", "capture") from error

__all__ = ["pa", "pc", "pq"]
