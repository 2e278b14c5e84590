from typing import final

from rlfast._core.objects import ObjectDecoder

@final
class ValueDecoder(ObjectDecoder):
    def __new__(cls, kernel: str = "auto") -> ValueDecoder: ...
