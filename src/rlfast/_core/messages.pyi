import asyncio
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, final

from typing_extensions import Buffer

from rlfast._core.block import BlockQueue

WRONG_LOOP: str

@final
class PayloadView(Buffer): ...

@final
class MessageReader:
    def __new__(
        cls,
        queue: BlockQueue,
        decode: Callable[[Any], Any],
        recover: Callable[[Exception | None, bytes, int, str | None], Any],
        make_usage_error: Callable[[str], Exception],
    ) -> MessageReader: ...
    loop: asyncio.AbstractEventLoop | None
    owner: object
    @property
    def queue(self) -> BlockQueue: ...
    def take_nowait(self, max_messages: int) -> list[Any]: ...
    def next_message(self) -> MessageAwaitable: ...
    def anext_message(self) -> MessageAwaitable: ...
    def wait(self) -> asyncio.Future[None]: ...

@final
class MessageAwaitable:
    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> MessageAwaitable: ...
    def __next__(self) -> Any: ...
    def send(self, value: None) -> Any: ...
    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> Any: ...
    def close(self) -> None: ...
