from collections.abc import Iterable
from enum import IntEnum
from typing import final

from typing_extensions import Buffer

# Written by Cython for other extensions.
__pyx_capi__: dict[str, object]

class ColumnKind(IntEnum):
    INT64 = 0
    FLOAT64 = 1
    BOOL = 2
    UTF8 = 3
    UUID = 4
    DICT_UTF8 = 5
    LIST_UTF8 = 6
    LIST_UUID = 7
    BINARY = 8
    TIMESTAMP = 9

@final
class OwnedBuffer(Buffer):
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...

@final
class ColumnData:
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> ColumnKind: ...
    @property
    def declared(self) -> ColumnKind: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def length(self) -> int: ...
    @property
    def null_count(self) -> int: ...
    @property
    def validity(self) -> OwnedBuffer | None: ...
    @property
    def offsets(self) -> OwnedBuffer | None: ...
    @property
    def data(self) -> OwnedBuffer: ...
    @property
    def child_offsets(self) -> OwnedBuffer | None: ...
    @property
    def dictionary(self) -> ColumnData | None: ...
    def plain(self) -> ColumnData: ...

@final
class ColumnBuilder:
    def __new__(
        cls,
        name: str,
        kind: ColumnKind,
        nullable: bool = False,
        categories: Iterable[str] | None = None,
        adaptive: bool = False,
    ) -> ColumnBuilder: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> ColumnKind: ...
    @property
    def nullable(self) -> bool: ...
    def __len__(self) -> int: ...
    def push(self, value: object) -> None: ...
    def take_back(self, length: int) -> None: ...
    def finish(self) -> ColumnData: ...

@final
class TableBuilder:
    def __new__(
        cls,
        name: str,
        fields: Iterable[
            tuple[str, str, ColumnKind, bool] | tuple[str, str, ColumnKind, bool, Iterable[str] | None]
        ],
        with_extra: bool = True,
        adaptive: bool = False,
        own_names: tuple[str, str, str, str] = ...,
    ) -> TableBuilder: ...
    @property
    def name(self) -> str: ...
    @property
    def num_rows(self) -> int: ...
    def push_row(
        self, row: object, seq: int, epoch: int, received_at: int, extra: str | None = None
    ) -> None: ...
    def finish(self) -> list[ColumnData]: ...
