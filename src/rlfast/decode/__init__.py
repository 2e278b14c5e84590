"""Payloads to values and columns; knows no connection. Public: what batches are made of."""

from rlfast.decode._batch import EventBatch, EventTable
from rlfast.decode._messages import UnknownEvent

__all__ = ["EventBatch", "EventTable", "UnknownEvent"]
