from collections.abc import Callable
from typing import Any, final

from rlfast._core.block import Block
from rlfast._core.columns import TableBuilder
from rlfast._core.plan import CompiledPlan

@final
class BlockDecoder:
    def __new__(
        cls,
        plan: CompiledPlan | None,
        decode: Callable[[Any], Any],
        tables: dict[type, TableBuilder],
        dead_letters: TableBuilder,
        judge: Callable[[Exception, bytes], tuple[Any, str | None]],
        dead_letter: Callable[[str, str, bytes], Any],
    ) -> BlockDecoder: ...
    @property
    def num_fast(self) -> int: ...
    @property
    def num_judged(self) -> int: ...
    @property
    def reached(self) -> tuple[int, int]: ...
    def decode_blocks(self, spans: list[tuple[Block, int, int]]) -> None: ...
