from collections.abc import Callable
from typing import Any, final

from typing_extensions import disjoint_base

@disjoint_base
class PayloadDecoder:
    @property
    def name(self) -> str: ...
    @property
    def fault(self) -> str | None: ...

@final
class InflatingDecoder(PayloadDecoder):
    def __new__(cls, name: str) -> InflatingDecoder: ...

@final
class LibraryDecoder(PayloadDecoder):
    def __new__(cls, name: str, make: Callable[[], Any], error: type[Exception]) -> LibraryDecoder: ...
