from collections.abc import Callable
from typing import final

from rlfast._core.block import BlockTap

@final
class SequenceWatcher(BlockTap):
    def __new__(
        cls,
        first: tuple[str, ...],
        last: tuple[str, ...] | None,
        whose: tuple[str, ...] | None,
        each: tuple[str, ...] | None,
        whose_in_element: bool,
        step: int,
        per_connection: bool,
        separator: int,
        find: Callable[[bytes], list[tuple[bytes | None, bytes | None, bytes | None]]],
        report: Callable[[list[tuple[int, int, int, bytes | None, int]], int | None, int, int], None],
    ) -> SequenceWatcher: ...
    @property
    def places(self) -> tuple[tuple[bytes, ...] | None, ...]: ...
    @property
    def checked(self) -> int: ...
    @property
    def irregular(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def unchecked(self) -> int: ...
