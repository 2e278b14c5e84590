"""What a type becomes: columns, slots of structs, and their names. Public: the markers of columns."""

from rlfast.schema._markers import CategoryStr, UUIDStr

__all__ = ["CategoryStr", "UUIDStr"]
