from collections.abc import Iterable
from typing import Any, final

def slots_of(cls: type, names: Iterable[str]) -> bool: ...

@final
class NodeTree:
    def __new__(cls, plan: Any) -> NodeTree: ...
