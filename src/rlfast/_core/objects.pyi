from typing import Any, final

from typing_extensions import disjoint_base

# Written by Cython for other extensions.
__pyx_capi__: dict[str, object]

@final
class RecentTexts: ...

@disjoint_base
class ObjectDecoder:
    def read(self, payload: bytes) -> Any: ...
    def forget_order(self) -> None: ...
