from typing import Any, final

from rlfast._core.objects import ObjectDecoder

def slots_of(cls: type, names: Any) -> bool: ...

@final
class StructDecoder(ObjectDecoder):
    def __new__(cls, plan: Any, kernel: str = "auto") -> StructDecoder: ...
