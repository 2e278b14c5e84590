"""What is counted and measured of a stream. Public: the counters of a connection."""

from rlfast.metrics._stats import ConnectionStats

__all__ = ["ConnectionStats"]
