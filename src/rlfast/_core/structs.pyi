from typing import Any, final

from rlfast._core.objects import ObjectDecoder

@final
class StructDecoder(ObjectDecoder):
    def __new__(cls, plan: Any, kernel: str = "auto") -> StructDecoder: ...
