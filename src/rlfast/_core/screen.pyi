from collections.abc import Callable, Iterable
from typing import final

from rlfast._core.block import MessageScreen

@final
class KeepAliveScreen(MessageScreen):
    def __new__(
        cls,
        texts: Iterable[bytes] | None,
        asks: Iterable[tuple[bytes, bool]],
        on_asked: Callable[[int, bytes], object],
    ) -> KeepAliveScreen: ...
    @property
    def ignored(self) -> int: ...
