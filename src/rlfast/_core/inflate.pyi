from typing import final

@final
class Inflater:
    def __new__(cls, window_bits: int = 15, resets: bool = False) -> Inflater: ...
