"""Annotations that choose a column where a Python type has several."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

__all__ = ["CategoryStr", "UUIDStr"]

UUIDStr: TypeAlias = Annotated[str, msgspec.Meta(extra={"rlfast": "uuid"})]
"""A UUID as text, with its hyphens (RFC 9562 section 4) or without. In columns it is a 16-byte UUID; a value
that is none makes the event a dead letter."""

CategoryStr: TypeAlias = Annotated[str, msgspec.Meta(extra={"rlfast": "category"})]
"""Text of few distinct values, which becomes a dictionary-encoded column."""
