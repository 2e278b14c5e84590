from collections.abc import Callable
from typing import Any, final

from rlfast._core.block import Block
from rlfast._core.columns import TableBuilder

@final
class StructDecoder:
    def __new__(
        cls,
        decode: Callable[[Any], Any],
        tables: dict[type, TableBuilder],
        dead_letters: TableBuilder,
        judge: Callable[[Exception, bytes], tuple[Any, str | None]],
        dead_letter: Callable[[str, str, bytes], Any],
    ) -> StructDecoder: ...
    @property
    def n_judged(self) -> int: ...
    @property
    def position(self) -> int: ...
    def decode_block(self, block: Block, start: int, stop: int) -> None: ...
