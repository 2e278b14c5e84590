from typing import Any, final

from rlfast._core.tables import TableBuilder

# Written by Cython for other extensions.
__pyx_capi__: dict[str, object]

KERNELS: tuple[str, ...]

@final
class CompiledPlan:
    def __new__(
        cls,
        types: list[Any] | TableBuilder,
        tag_field: str | None,
        kernel: str = "auto",
        splits: bool = False,
        event_at: list[tuple[int, ...]] | None = None,
        is_value: bool = False,
        separator: int = 0,
    ) -> CompiledPlan: ...
    @property
    def kernel_name(self) -> str: ...
    def forget_order(self) -> None: ...
