from collections.abc import Iterable, Sequence
from typing import final

from rlfast._core.columns import ColumnData
from rlfast.schema._columns import Column

@final
class TableBuilder:
    def __new__(
        cls,
        name: str,
        own: Iterable[Column],
        fields: Sequence[Column],
        extra: Column | None = None,
        attributes: Iterable[str] | None = None,
        adaptive: bool = False,
    ) -> TableBuilder: ...
    @property
    def name(self) -> str: ...
    @property
    def num_rows(self) -> int: ...
    def reuse(self) -> None: ...
    def push_row(
        self,
        row: object,
        seq: int,
        epoch: int,
        received_at: int,
        extra: str | None = None,
        item: int | None = None,
    ) -> None: ...
    def finish(self) -> list[ColumnData]: ...
